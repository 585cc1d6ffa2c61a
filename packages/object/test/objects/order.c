// The order in which functions are appended: only what libbpf accepts, for the comparison with its own linker.
#include "bpf.h"

struct {
  __uint(type, HASH);
  __uint(max_entries, 16);
  __type(key, __u32);
  __type(value, __u32);
} first SEC(".maps");

struct {
  __uint(type, ARRAY);
  __uint(max_entries, 4);
  __type(key, __u32);
  __type(value, __u64);
} second SEC(".maps");

static volatile int seen;

static __noinline int leaf(int a) {
  seen += a;
  return a * 3;
}

static __noinline int middle(int a, int b) { return leaf(a) + leaf(b); }

__noinline int global_leaf(int a) {
  __u32 key = a;

  return bpf_map_lookup_elem(&second, &key) != 0;
}

__noinline int unused(int a) { return middle(a, a) - 1; }

static long step(__u32 index, int *sum) {
  *sum += middle(index, global_leaf(index));
  return 0;
}

SEC("xdp") int one(struct xdp_md *ctx) {
  __u32 key = global_leaf(ctx->data);

  return bpf_map_lookup_elem(&first, &key) ? XDP_DROP : middle(1, ctx->data_end);
}

SEC("xdp") int two(struct xdp_md *ctx) {
  int sum = 0;

  bpf_loop(4, step, &sum, 0);
  return sum + leaf(ctx->data);
}

SEC("tc") int three(void *ctx) { return middle(3, 4); }
