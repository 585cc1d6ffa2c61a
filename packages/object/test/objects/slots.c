// A prog array whose slots are filled by the definition, one of them left out.
#include "bpf.h"

int ipv4(void *);
int ipv6(void *);

struct {
  __uint(type, PROG_ARRAY);
  __uint(max_entries, 4);
  __uint(key_size, 4);
  __array(values, int(void *));
} table SEC(".maps") = {.values = {[0] = ipv4, [3] = ipv6}};

static long (*tail_call)(void *ctx, void *map, __u32 index) = (void *)12;

SEC("syscall") int ipv4(void *ctx) { return 4; }
SEC("syscall") int ipv6(void *ctx) { return 6; }
SEC("syscall") int dispatch(void *ctx) {
  tail_call(ctx, &table, *(__u32 *)ctx);
  return 0;
}
