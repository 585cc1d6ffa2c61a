// Functions whose address is taken: a static one and a global one, for bpf_loop and bpf_for_each_map_elem.
#include "bpf.h"

struct {
  __uint(type, ARRAY);
  __uint(max_entries, 8);
  __type(key, __u32);
  __type(value, __u64);
} cells SEC(".maps");

struct sum {
  __u64 total;
  __u32 steps;
};

static __noinline void count(struct sum *sum) { sum->steps++; }

static long add(__u32 index, struct sum *sum) {
  sum->total += index;
  count(sum);
  return 0;
}

__noinline long visit(void *map, __u32 *key, __u64 *value, struct sum *sum) {
  if (sum) sum->total += *value;
  return 0;
}

SEC("syscall")
int loops(void *ctx) {
  struct sum sum = {};

  bpf_loop(10, add, &sum, 0);
  bpf_for_each_map_elem(&cells, visit, &sum, 0);
  bpf_loop(5, add, &sum, 0);
  return sum.total + sum.steps;
}
