// Maps as structures of the kernel, which programs may read: how they are called, and where they hold pointers.
import { MAP_TYPES, type MapTypeName } from "../isa/maps.ts";

const STRUCTS: Readonly<Record<string, readonly MapTypeName[]>> = {
  bpf_htab: ["hash", "percpu_hash", "lru_hash", "lru_percpu_hash", "hash_of_maps"],
  bpf_array: ["array", "percpu_array", "array_of_maps", "prog_array", "perf_event_array", "cgroup_array"],
  bpf_ringbuf_map: ["ringbuf", "user_ringbuf"],
  bpf_queue_stack: ["queue", "stack"],
  bpf_dtab: ["devmap", "devmap_hash"],
  lpm_trie: ["lpm_trie"],
  bpf_cpu_map: ["cpumap"],
  xsk_map: ["xskmap"],
  bpf_bloom_filter: ["bloom_filter"],
  bpf_stack_map: ["stack_trace"],
  bpf_stab: ["sockmap"],
  bpf_shtab: ["sockhash"],
  reuseport_array: ["reuseport_sockarray"],
};

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(STRUCTS).flatMap(([struct, types]) =>
    types.map((type): [number, string] => [MAP_TYPES[type], struct]),
  ),
);

/** The structure that a map of a type is. */
export function mapStruct(type: number): string {
  return NAMES.get(type) ?? "bpf_map";
}

/** Pointers at the beginning of `struct bpf_map`, with which all of these structures begin: name by offset, as far as they are known. */
export type MapPointers = Readonly<Record<number, string>>;
