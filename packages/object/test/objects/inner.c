// A map of maps with its inner maps given.
#include "bpf.h"

struct inner {
  __uint(type, ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} inner SEC(".maps");

struct {
  __uint(type, ARRAY_OF_MAPS);
  __uint(max_entries, 1);
  __uint(key_size, 4);
  __array(values, struct inner);
} outer SEC(".maps") = {.values = {&inner}};

SEC("syscall") int nested(void *ctx) {
  __u32 key = 0;
  return bpf_map_lookup_elem(&outer, &key) != 0;
}
