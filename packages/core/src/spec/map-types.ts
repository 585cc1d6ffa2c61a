// Map types: what can be created, and what programs may do with it. As in Linux 7.2.
import { MAP_FLAGS, MAP_TYPES, type MapTypeName } from "../isa/maps.ts";
import type { HelperName } from "./helper-names.ts";

/** Sizes in bytes: from `min` to `max`, in steps of `step` from `min`. */
export interface SizeRule {
  readonly min: number;
  /** Left out where only memory sets a bound. */
  readonly max?: number;
  readonly step: number;
}

/** What a map type is to the verifier. */
export interface MapTypeSpec {
  readonly name: MapTypeName;
  readonly id: number;
  /** Bits that creation takes, and those that it wants. */
  readonly flags: number;
  readonly requiredFlags: number;
  readonly key: SizeRule;
  readonly value: SizeRule;
  /** `any`: 1 or more; `zero`: none; `pages`: bytes, a power of two and a multiple of the page size. */
  readonly entries: "any" | "zero" | "pages";
  /** Creation wants types of key and value. */
  readonly needsBtf: boolean;
  /** Helpers that take such a map. */
  readonly helpers: readonly HelperName[];
  /**
   * What `map_lookup_elem` gives, or null: the value; the value, which the program may not write; another map; a socket, whose
   * reference the program has to release; an AF_XDP socket.
   */
  readonly lookup: "value" | "constant" | "map" | "socket" | "xdp-socket";
  /** What `map_update_elem` takes as value: memory, or a socket. */
  readonly update: "value" | "socket";
  /** A two-slot load can give the address of the value: of an array with one element. */
  readonly directValue: boolean;
  /** Each CPU has values of its own. */
  readonly perCpu: boolean;
  /** Programs that may sleep can use it. */
  readonly sleepable: boolean;
}

type Row = Partial<Omit<MapTypeSpec, "name" | "id" | "flags" | "requiredFlags">> & {
  /** Flags by name; an exclamation mark: wanted. */
  readonly flags: readonly (FlagName | `${FlagName}!`)[];
};

type FlagName = keyof typeof MAP_FLAGS;

const exactly = (size: number): SizeRule => ({ min: size, max: size, step: 1 });
const upTo = (max: number): SizeRule => ({ min: 1, max, step: 1 });
const either = (small: number, large: number): SizeRule => ({ min: small, max: large, step: large - small });
const ANY: SizeRule = { min: 1, step: 1 };
const NOTHING: SizeRule = exactly(0);

/** The most that the per-CPU allocator gives. */
const PER_CPU_MAX = 32768;

const USER: readonly FlagName[] = ["rdonly", "wronly"];
const ACCESS: readonly FlagName[] = [...USER, "rdonly_prog", "wronly_prog"];

const ELEMENTS: readonly HelperName[] = ["map_lookup_elem", "map_update_elem", "map_delete_elem"];
const WALKED: readonly HelperName[] = [...ELEMENTS, "for_each_map_elem"];
const PER_CPU: readonly HelperName[] = [...WALKED, "map_lookup_percpu_elem"];
const QUEUE: readonly HelperName[] = ["map_push_elem", "map_pop_elem", "map_peek_elem"];
const RING: readonly HelperName[] = ["ringbuf_output", "ringbuf_reserve", "ringbuf_query", "ringbuf_reserve_dynptr"];

const storage = (helpers: readonly HelperName[], ...flags: readonly FlagName[]): Row => ({
  flags: ["no_prealloc!", ...flags],
  key: exactly(4),
  value: ANY,
  entries: "zero",
  needsBtf: true,
  helpers,
  sleepable: true,
});
const cgroupStorage: Row = {
  flags: ["numa_node", ...ACCESS],
  key: either(8, 16),
  entries: "zero",
  helpers: ["get_local_storage"],
};

const ROWS: { readonly [T in Exclude<MapTypeName, "unspec">]: Row } = {
  hash: { flags: ["no_prealloc", "numa_node", "zero_seed", ...ACCESS], key: ANY, helpers: WALKED, sleepable: true },
  array: {
    flags: ["numa_node", "mmapable", "inner_map", ...ACCESS],
    helpers: WALKED,
    directValue: true,
    sleepable: true,
  },
  prog_array: { flags: ["numa_node", ...USER], value: exactly(4), helpers: ["tail_call"], sleepable: true },
  perf_event_array: {
    flags: ["numa_node", "preserve_elems", ...USER],
    value: exactly(4),
    helpers: ["perf_event_read", "perf_event_read_value", "perf_event_output", "skb_output", "xdp_output"],
  },
  percpu_hash: {
    flags: ["no_prealloc", "zero_seed", ...ACCESS],
    key: ANY,
    value: upTo(PER_CPU_MAX),
    helpers: PER_CPU,
    perCpu: true,
    sleepable: true,
  },
  percpu_array: { flags: ACCESS, value: upTo(PER_CPU_MAX), helpers: PER_CPU, perCpu: true, sleepable: true },
  stack_trace: {
    flags: ["numa_node", "stack_build_id", ...USER],
    value: { min: 8, max: 1016, step: 8 },
    helpers: ["get_stackid"],
  },
  cgroup_array: {
    flags: ["numa_node", ...USER],
    value: exactly(4),
    helpers: ["skb_under_cgroup", "current_task_under_cgroup"],
  },
  lru_hash: {
    flags: ["no_common_lru", "numa_node", "zero_seed", ...ACCESS],
    key: ANY,
    helpers: WALKED,
    sleepable: true,
  },
  lru_percpu_hash: {
    flags: ["no_common_lru", "zero_seed", ...ACCESS],
    key: ANY,
    value: upTo(PER_CPU_MAX),
    helpers: PER_CPU,
    perCpu: true,
    sleepable: true,
  },
  lpm_trie: {
    flags: ["no_prealloc!", "numa_node", ...ACCESS],
    key: { min: 5, max: 260, step: 1 },
    helpers: ELEMENTS,
    sleepable: true,
  },
  array_of_maps: {
    flags: ["numa_node", ...USER],
    value: exactly(4),
    helpers: ["map_lookup_elem"],
    lookup: "map",
    sleepable: true,
  },
  hash_of_maps: {
    flags: ["no_prealloc", "numa_node", "zero_seed", ...ACCESS],
    key: ANY,
    value: exactly(4),
    helpers: ["map_lookup_elem"],
    lookup: "map",
    sleepable: true,
  },
  devmap: {
    flags: ["numa_node", ...USER],
    value: either(4, 8),
    helpers: ["map_lookup_elem", "redirect_map"],
    lookup: "constant",
  },
  sockmap: {
    flags: ["numa_node", ...USER],
    value: either(4, 8),
    helpers: [...ELEMENTS, "sk_redirect_map", "sock_map_update", "msg_redirect_map", "sk_select_reuseport"],
    lookup: "socket",
    update: "socket",
  },
  cpumap: { flags: ["numa_node"], value: either(4, 8), helpers: ["redirect_map"] },
  xskmap: {
    flags: ["numa_node", ...USER],
    value: exactly(4),
    helpers: ["map_lookup_elem", "redirect_map"],
    lookup: "xdp-socket",
  },
  sockhash: {
    flags: ["numa_node", ...USER],
    key: upTo(512),
    value: either(4, 8),
    helpers: [...ELEMENTS, "sk_redirect_hash", "sock_hash_update", "msg_redirect_hash", "sk_select_reuseport"],
    lookup: "socket",
    update: "socket",
  },
  cgroup_storage: cgroupStorage,
  reuseport_sockarray: {
    flags: ["numa_node", ...ACCESS],
    value: either(4, 8),
    helpers: ["sk_select_reuseport"],
  },
  percpu_cgroup_storage: { ...cgroupStorage, value: upTo(PER_CPU_MAX), perCpu: true },
  queue: { flags: ["numa_node", ...ACCESS], key: NOTHING, helpers: QUEUE, sleepable: true },
  stack: { flags: ["numa_node", ...ACCESS], key: NOTHING, helpers: QUEUE, sleepable: true },
  sk_storage: storage(["sk_storage_get", "sk_storage_delete"], "clone"),
  devmap_hash: {
    flags: ["numa_node", ...USER],
    value: either(4, 8),
    helpers: ["map_lookup_elem", "redirect_map"],
    lookup: "constant",
  },
  struct_ops: { flags: ["vtype_btf_obj_fd", "link"], needsBtf: true, helpers: [] },
  ringbuf: {
    flags: ["numa_node", "rb_overwrite"],
    key: NOTHING,
    value: NOTHING,
    entries: "pages",
    helpers: RING,
    sleepable: true,
  },
  inode_storage: storage(["inode_storage_get", "inode_storage_delete"]),
  task_storage: storage(["task_storage_get", "task_storage_delete"]),
  bloom_filter: {
    flags: ["numa_node", "zero_seed", ...ACCESS],
    key: NOTHING,
    helpers: ["map_push_elem", "map_peek_elem"],
  },
  user_ringbuf: {
    flags: ["numa_node"],
    key: NOTHING,
    value: NOTHING,
    entries: "pages",
    helpers: ["user_ringbuf_drain"],
    sleepable: true,
  },
  cgrp_storage: storage(["cgrp_storage_get", "cgrp_storage_delete"]),
  arena: {
    flags: ["mmapable!", "segv_on_fault", "no_user_conv"],
    key: NOTHING,
    value: NOTHING,
    helpers: [],
    sleepable: true,
  },
  insn_array: { flags: [], value: exactly(16), helpers: [], directValue: true, sleepable: true },
  rhash: { flags: ["no_prealloc!", "numa_node", ...ACCESS], key: ANY, helpers: WALKED, sleepable: true },
};

function bitsOf(names: Row["flags"], wanted: boolean): number {
  let bits = 0;
  for (const name of names) {
    if (!wanted || name.endsWith("!")) bits |= MAP_FLAGS[name.replace("!", "") as FlagName];
  }
  return bits;
}

const SPECS: ReadonlyMap<number, MapTypeSpec> = new Map(
  Object.entries(ROWS).map(([name, row]): [number, MapTypeSpec] => {
    const id = MAP_TYPES[name as MapTypeName];
    const { flags, ...rest } = row;
    return [
      id,
      {
        name: name as MapTypeName,
        id,
        key: exactly(4),
        value: ANY,
        entries: "any",
        needsBtf: false,
        lookup: "value",
        update: "value",
        directValue: false,
        perCpu: false,
        sleepable: false,
        helpers: [],
        ...rest,
        flags: bitsOf(flags, false),
        requiredFlags: bitsOf(flags, true),
      },
    ];
  }),
);

/** A map type by its number; undefined where there is none. */
export function mapType(id: number): MapTypeSpec | undefined {
  return SPECS.get(id);
}
