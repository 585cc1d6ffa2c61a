// A map in the section and layout used before BTF.
#include "bpf.h"

struct bpf_map_def {
  __u32 type, key_size, value_size, max_entries, map_flags;
};
struct bpf_map_def old SEC("maps") = {ARRAY, 4, 4, 1, 0};

SEC("syscall") int lookup(void *ctx) {
  __u32 key = 0;
  return bpf_map_lookup_elem(&old, &key) != 0;
}
