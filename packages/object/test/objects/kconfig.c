// A value of the kernel's configuration, which nothing here can supply.
#include "bpf.h"

extern int CONFIG_HZ __kconfig;

SEC("syscall") int hz(void *ctx) { return CONFIG_HZ; }
