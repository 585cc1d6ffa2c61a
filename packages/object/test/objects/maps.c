// Map definitions of every kind loaded so far, by type and by size, with flags and pinning.
#include "bpf.h"

struct value {
  __u64 packets, bytes;
  __u8 tail;
};
typedef const struct value value_t;

struct {
  __uint(type, ARRAY);
  __uint(key_size, 4);
  __uint(value_size, 12);
  __uint(max_entries, 3);
} array SEC(".maps");

struct hash_def {
  __uint(type, HASH);
  __uint(max_entries, 100);
  __type(key, __u8[6]);
  __type(value, value_t);
  __uint(map_flags, 1);
};
struct hash_def hash SEC(".maps");

struct {
  __uint(type, LRU_HASH);
  __uint(max_entries, 1 << 16);
  __type(key, void *);
  __type(value, enum xdp_action);
  __uint(pinning, 1);
} lru SEC(".maps");

struct {
  __uint(type, PERCPU_ARRAY);
  __uint(max_entries, 5);
  __type(key, __u32);
  __type(value, __u64[2][3]);
} percpu SEC(".maps");

static struct {
  __uint(type, HASH);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, __u32);
} hidden SEC(".maps");

SEC("syscall")
int all(void *ctx) {
  __u32 key = 1;
  __u64 sum = 0;

  if (bpf_map_lookup_elem(&percpu, &key)) sum += 1;
  if (bpf_map_lookup_elem(&array, &key)) sum += 2;
  if (bpf_map_lookup_elem(&hidden, &key)) sum += 4;
  return sum;
}

SEC("syscall")
int some(void *ctx) {
  __u64 key = 1;

  return bpf_map_lookup_elem(&lru, &key) != 0 && bpf_map_lookup_elem(&hash, &key) != 0;
}
