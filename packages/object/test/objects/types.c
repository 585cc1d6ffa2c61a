// Every kind of BTF that clang writes for BPF.
#include "bpf.h"

#define tag(name) __attribute__((btf_type_tag(name)))
#define decl(name) __attribute__((btf_decl_tag(name)))

enum small { MINUS = -1, ZERO, ONE };
enum wide { HUGE = 0x123456789abcdef0ull };
enum wide_signed { LOW = -0x7000000000000000ll };
struct forward;
union overlay {
  __u32 word;
  float real;
  struct {
    __u16 low, high;
  };
};
struct node {
  struct node *next;
  const volatile char *restrict name;
  int tag("user") * user;
  int (*call)(struct node *self, int, ...);
  void (*handlers[4])(void);
  unsigned int flag : 1;
  int bits : 5;
  enum small small;
  enum wide wide;
  enum wide_signed wide_signed;
  union overlay overlay;
  struct forward *forward;
  double table[2][3];
  _Bool on;
  __u64 marked decl("mark");
};
typedef struct node node_t;

node_t root decl("root of all");
static volatile int local;

__noinline int walk(node_t *node decl("nullable"), long long depth) { return node && depth ? node->bits + local++ : 0; }

SEC("syscall") int types(void *ctx) { return walk(&root, (long)ctx); }
