// Subprograms: static and global in .text, calls between them, one shared by two programs, one that nobody calls, and static
// functions in a program's own section.
#include "bpf.h"

static __noinline int leaf(int a) {
  __asm__ volatile("" : "+r"(a));
  return a * 3;
}

static __noinline int middle(int a, int b) { return leaf(a) + leaf(b); }

__noinline int global_leaf(int a) {
  __asm__ volatile("" : "+r"(a));
  return a + 1;
}

__noinline int unused(int a) { return middle(a, a) - 1; }

__weak __noinline int weak_leaf(int a) {
  __asm__ volatile("" : "+r"(a));
  return a ^ 5;
}

__hidden __noinline int hidden_middle(int a) { return global_leaf(a) * weak_leaf(a); }

SEC("xdp") static __noinline int beside(int a) {
  __asm__ volatile("" : "+r"(a));
  return a - 9;
}

SEC("xdp") static __noinline int beside_unused_by_second(int a) { return beside(a) + middle(a, 2); }

SEC("xdp") int one(struct xdp_md *ctx) { return hidden_middle(ctx->data) + middle(1, ctx->data_end); }
SEC("xdp") int two(struct xdp_md *ctx) { return beside(ctx->data) + global_leaf(4); }
SEC("xdp") int three(struct xdp_md *ctx) { return beside_unused_by_second(ctx->data); }
SEC("syscall") int four(void *ctx) { return 0; }
