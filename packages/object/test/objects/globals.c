// Global data: initialised, zeroed, constant, strings, a section of its own.
#include "bpf.h"

int counter = 7;
static volatile __u64 hits[4];
__u8 scratch[100];
const volatile int limit = 42;
static volatile const __u16 table[] = {1, 2, 3, 5, 8};
volatile __u32 extra SEC(".data.extra") = 0x11223344;
char message[] = "hello, \xc3\xa9";

static long (*bpf_trace_printk)(const char *format, __u32 size, ...) = (void *)6;

SEC("syscall")
int globals(__u32 *ctx) {
  __u32 i = ctx[0] & 3;

  hits[i]++;
  counter += limit + table[i + 1];
  scratch[i] = message[i];
  extra++;
  bpf_trace_printk("count %d", 9, counter);
  return counter;
}

SEC("syscall") int constants(void *ctx) { return limit; }
