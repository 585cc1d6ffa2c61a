// Built for several instruction sets: signed division, byte swaps, sign-extending loads, 32-bit jumps, atomics.
#include "bpf.h"

SEC("syscall")
int arithmetic(__s32 *ctx) {
  __s64 a = ctx[0], b = ((signed char *)ctx)[5];
#if __BPF_CPU_VERSION__ >= 4
  a = a / (b | 1);
#endif
  if ((__u32)a > 1000) b += __builtin_bswap32(a);
  __sync_fetch_and_add((__u64 *)(ctx + 2), b);
  return a + b;
}
