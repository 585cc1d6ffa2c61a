// Several programs: three in one section, one not to be loaded by itself, others by the name of their section.
#include "bpf.h"

SEC("xdp") int first(struct xdp_md *ctx) { return ctx->rx_queue_index == 0 ? XDP_PASS : XDP_DROP; }
SEC("xdp") int second(struct xdp_md *ctx) { return ctx->ingress_ifindex; }
SEC("xdp") int third(struct xdp_md *ctx) { return XDP_TX; }
SEC("?xdp.frags/devmap") int later(struct xdp_md *ctx) { return XDP_PASS; }
SEC("syscall") int call(void *ctx) { return 7; }
SEC("fentry.s/do_unlinkat") int enter(__u64 *ctx) { return 0; }
SEC("tp/syscalls/sys_enter_openat") int point(void *ctx) { return 0; }
SEC("no such thing") int stranger(void *ctx) { return 1; }
