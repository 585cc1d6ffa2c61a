// What a kernel's BTF does not tell of what programs are attached to, measured on Linux 7.2 and 6.12: names of hooks and arguments.

/** A list of names between spaces. */
const names = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/** Security hooks, without `bpf_lsm_`, whose programs may sleep. */
export const SLEEPABLE_HOOKS: ReadonlySet<string> = names(`
  bdev_alloc_security bdev_setintegrity bpf bpf_map bpf_map_create bpf_map_free bpf_prog bpf_prog_load bpf_token_capable bpf_token_cmd
  bpf_token_create bpf_token_free bprm_check_security bprm_committed_creds bprm_committing_creds bprm_creds_for_exec bprm_creds_from_file
  capget capset cred_prepare current_getsecid_subj file_ioctl file_lock file_open file_post_open file_receive inode_create
  inode_free_security inode_getattr inode_getxattr inode_mknod inode_post_removexattr inode_post_setxattr inode_readlink
  inode_removexattr inode_rename inode_rmdir inode_setattr inode_setxattr inode_symlink inode_unlink kernel_module_request
  kernel_read_file kernfs_init_security mmap_file netlink_send path_chmod path_chown path_link path_mkdir path_notify path_rename
  path_rmdir path_symlink path_truncate path_unlink release_secctx sb_alloc_security sb_eat_lsm_opts sb_kern_mount sb_mount sb_remount
  sb_set_mnt_opts sb_show_options sb_statfs sb_umount settime socket_accept socket_bind socket_connect socket_create socket_getpeername
  socket_getpeersec_dgram socket_getsockname socket_getsockopt socket_listen socket_post_create socket_recvmsg socket_sendmsg
  socket_shutdown socket_socketpair syslog task_alloc task_getsecid_obj task_prctl task_setscheduler userns_create`);

/** Hooks whose programs cannot be attached. */
export const DISABLED_HOOKS: ReadonlySet<string> = names(`
  audit_rule_match file_alloc_security getprocattr getselfattr inode_copy_up_xattr inode_getsecurity inode_listsecurity
  inode_need_killpriv ismaclabel key_getsecurity setprocattr vm_enough_memory xfrm_decode_session`);

/** Functions that are named like hooks and are none. */
export const NO_HOOKS: ReadonlySet<string> = names(`
  find_cgroup_shim func_proto get_retval_range has_d_inode_locked hook_returns_errno init is_sleepable_hook is_trusted verify_prog`);

/** Hooks that answer yes or no. */
export const BOOL_HOOKS: ReadonlySet<string> = names("audit_rule_known inode_xattr_skipcap xfrm_state_pol_flow_match");

/** Hooks that get something that is only being made, or on its way out. */
export const UNTRUSTED_HOOKS: ReadonlySet<string> = names(`
  bdev_alloc_security bdev_free_security bpf_map_free bpf_prog_free file_free_security sk_alloc_security sk_free_security task_free`);

/** Functions that are made to be changed or to be slept in, beside the security hooks, which may be changed all of them. */
export const MODIFIABLE: ReadonlySet<string> = names(`
  bpf_modify_return_test bpf_modify_return_test2 bpf_modify_return_test_tp bpf_fentry_test1 should_failslab should_fail_alloc_page
  should_fail_bio`);
export const SLEEPABLE: ReadonlySet<string> = names("bpf_fentry_test1 should_fail_bio");

/** Entries of system calls, as the kernels of our architectures name them. */
export const SYSTEM_CALL: RegExp = /^__(x64|arm64|riscv)_sys_/;

/** Arguments of raw tracepoints, from 0, that can be null. */
export const NULLABLE: Readonly<Record<string, readonly number[]>> = {
  sched_pi_setprio: [1],
  sched_stick_numa: [2],
  sched_swap_numa: [2],
  ext4_mballoc_discard: [1],
  ext4_mballoc_free: [1],
  fib_table_lookup: [2],
  posix_lock_inode: [1],
  fcntl_setlk: [1],
  locks_remove_posix: [1],
  flock_lock_inode: [1],
  break_lease_noblock: [1],
  break_lease_block: [1],
  break_lease_unblock: [1],
  generic_delete_lease: [1],
  time_out_leases: [1],
  mm_khugepaged_scan_pmd: [1],
  mm_collapse_huge_page_isolate: [0],
  mm_khugepaged_scan_file: [1],
  mm_khugepaged_collapse_file: [1],
  mm_page_alloc: [0],
  mm_page_pcpu_drain: [0],
  mm_page_alloc_zone_locked: [0],
  netfs_failure: [1],
  device_pm_callback_start: [1],
  qdisc_dequeue: [3],
  kfree_skb: [3],
  xs_stream_read_data: [0],
  tcp_send_reset: [0, 1],
  tmigr_update_events: [0],
  writeback_dirty_folio: [1],
  folio_wait_writeback: [1],
};
