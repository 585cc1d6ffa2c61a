// A field of the kernel's, relocated at load time (CO-RE).
#include "bpf.h"

struct cred {
  __u32 uid;
} __attribute__((preserve_access_index));
struct task_struct {
  int pid;
  const struct cred *real_cred;
  struct {
    __u64 slots[3];
  } thread;
} __attribute__((preserve_access_index));

SEC("?fentry/do_exit") int untouched(void *ctx) { return 0; }

SEC("fentry/do_exit")
int leave(__u64 *ctx) {
  struct task_struct *task = (void *)ctx[0];

  return task->thread.slots[2];
}
