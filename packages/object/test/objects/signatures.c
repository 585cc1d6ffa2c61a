// Global functions, which a verifier takes at their word: what their types say of each argument.
#include "bpf.h"

#define __arg_nonnull __attribute__((btf_decl_tag("arg:nonnull")))
#define __arg_ctx __attribute__((btf_decl_tag("arg:ctx")))
#define __arg_trusted __attribute__((btf_decl_tag("arg:trusted")))

struct pair {
  __u64 a, b;
};
struct hidden_from_btf;
enum colour { RED, GREEN };

__noinline int numbers(int a, enum colour b, __u64 c) { return a + b + c; }

__noinline int context(const struct xdp_md *ctx) { return ctx->rx_queue_index; }

__noinline int tagged(void *ctx __arg_ctx) { return ((struct xdp_md *)ctx)->rx_queue_index; }

__noinline int memory(struct pair *pair, const char (*text)[5]) {
  if (!pair || !text) return 0;
  pair->a = 1;
  return (*text)[4] + pair->b;
}

__noinline int never_null(struct pair *pair __arg_nonnull) { return pair->a; }

__noinline int anything(void *p) { return p != 0; }

__noinline int unknown(struct hidden_from_btf *p) { return p != 0; }

__noinline int trusted(struct pair *p __arg_trusted) { return p != 0; }

__noinline struct pair *pointer(void) {
  __asm__ volatile("");
  return 0;
}

__noinline void nothing(int a) { __asm__ volatile("" : "+r"(a)); }

__weak __noinline int weak(int a) {
  __asm__ volatile("" : "+r"(a));
  return a;
}

__hidden __noinline int hidden(struct pair *pair) { return pair->a; }

SEC("xdp") int good(struct xdp_md *ctx) {
  struct pair pair = {0, 2};
  char text[5] = "1234";

  nothing(3);
  return (numbers(1, RED, 2) + context(ctx) + tagged(ctx) + memory(&pair, &text) + never_null(&pair) + weak(7) +
          hidden(&pair)) &
         1;
}

SEC("xdp") int void_pointer(struct xdp_md *ctx) { return anything(ctx); }
SEC("xdp") int incomplete(struct xdp_md *ctx) { return unknown((void *)ctx); }
SEC("xdp") int trusting(struct xdp_md *ctx) { return trusted((void *)ctx); }
SEC("xdp") int returning(struct xdp_md *ctx) { return pointer() != 0; }
SEC("xdp") int nullable(struct xdp_md *ctx) { return never_null(0); }
SEC("xdp") int packet(struct xdp_md *ctx) { return weak(ctx->data); }
