// Kernel functions by name, one of them weak.
#include "bpf.h"

struct task_struct;
struct task_struct *bpf_task_acquire(struct task_struct *task) __ksym;
void bpf_task_release(struct task_struct *task) __ksym;
void bpf_rcu_read_lock(void) __weak __ksym;

static __noinline void release(struct task_struct *task) { bpf_task_release(task); }

SEC("fentry/do_exit")
int leave(__u64 *ctx) {
  struct task_struct *task = bpf_task_acquire((void *)ctx[0]);

  bpf_rcu_read_lock();
  if (task) release(task);
  return 0;
}
