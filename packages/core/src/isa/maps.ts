// Map types and flags by the names and numbers of the kernel's UAPI.

/** Number of each map type; names as bpftool prints them. */
export const MAP_TYPES = {
  unspec: 0,
  hash: 1,
  array: 2,
  prog_array: 3,
  perf_event_array: 4,
  percpu_hash: 5,
  percpu_array: 6,
  stack_trace: 7,
  cgroup_array: 8,
  lru_hash: 9,
  lru_percpu_hash: 10,
  lpm_trie: 11,
  array_of_maps: 12,
  hash_of_maps: 13,
  devmap: 14,
  sockmap: 15,
  cpumap: 16,
  xskmap: 17,
  sockhash: 18,
  cgroup_storage: 19,
  reuseport_sockarray: 20,
  percpu_cgroup_storage: 21,
  queue: 22,
  stack: 23,
  sk_storage: 24,
  devmap_hash: 25,
  struct_ops: 26,
  ringbuf: 27,
  inode_storage: 28,
  task_storage: 29,
  bloom_filter: 30,
  user_ringbuf: 31,
  cgrp_storage: 32,
  arena: 33,
  insn_array: 34,
  rhash: 35,
} as const;

/** Name of a map type: a key of {@link MAP_TYPES}. */
export type MapTypeName = keyof typeof MAP_TYPES;

const TYPE_NAMES = Object.keys(MAP_TYPES) as MapTypeName[];

/** Name of a map type; undefined when the number is none. */
export function mapTypeName(type: number): MapTypeName | undefined {
  return TYPE_NAMES[type];
}

/** Flag bits of map creation (`map_flags`). */
export const MAP_FLAGS = {
  no_prealloc: 0x1,
  no_common_lru: 0x2,
  numa_node: 0x4,
  rdonly: 0x8,
  wronly: 0x10,
  stack_build_id: 0x20,
  zero_seed: 0x40,
  rdonly_prog: 0x80,
  wronly_prog: 0x100,
  clone: 0x200,
  mmapable: 0x400,
  preserve_elems: 0x800,
  inner_map: 0x1000,
  link: 0x2000,
  path_fd: 0x4000,
  vtype_btf_obj_fd: 0x8000,
  token_fd: 0x1_0000,
  segv_on_fault: 0x2_0000,
  no_user_conv: 0x4_0000,
  rb_overwrite: 0x8_0000,
} as const;

/** What `map_update_elem` takes as its last argument. */
export const MAP_UPDATE = { any: 0, noexist: 1, exist: 2, f_lock: 4 } as const;
