// One program, one map.
#include "bpf.h"

struct key {
  __u32 address;
  __u16 port;
  __u16 protocol;
};

struct {
  __uint(type, HASH);
  __uint(max_entries, 1024);
  __type(key, struct key);
  __type(value, __u64);
} blocked SEC(".maps");

SEC("xdp")
int firewall(struct xdp_md *ctx) {
  __u8 *data = (void *)(long)ctx->data;
  __u8 *end = (void *)(long)ctx->data_end;
  struct key key = {};

  if (data + 14 > end) return XDP_DROP;
  key.protocol = data[12] << 8 | data[13];
  __u64 *count = bpf_map_lookup_elem(&blocked, &key);
  if (count) {
    __sync_fetch_and_add(count, 1);
    return XDP_DROP;
  }
  return XDP_PASS;
}
