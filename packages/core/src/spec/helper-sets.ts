// Which program types may call which helpers: sets of helpers that belong together, and what each type has. As in Linux 7.2.
import type { AttachTypeName } from "./attach-types.ts";
import type { HelperName } from "./helper-names.ts";
import type { ProgramTypeName } from "./program-type-names.ts";

type Names = readonly HelperName[];

/** What a program type may call: always, and with certain attach types. */
export interface HelperSet {
  readonly all: Names;
  readonly by?: { readonly [A in AttachTypeName]?: Names };
}

/** Every program type has these. */
const BASE: Names = [
  "map_lookup_elem",
  "map_update_elem",
  "map_delete_elem",
  "map_push_elem",
  "map_pop_elem",
  "map_peek_elem",
  "map_lookup_percpu_elem",
  "for_each_map_elem",
  "tail_call",
  "loop",
  "get_prandom_u32",
  "get_smp_processor_id",
  "get_numa_node_id",
  "ktime_get_ns",
  "ktime_get_boot_ns",
  "ktime_get_tai_ns",
  "jiffies64",
  "timer_init",
  "timer_set_callback",
  "timer_start",
  "timer_cancel",
  "spin_lock",
  "spin_unlock",
  "kptr_xchg",
  "per_cpu_ptr",
  "this_cpu_ptr",
  "strtol",
  "strtoul",
  "strncmp",
  "snprintf",
  "snprintf_btf",
  "trace_printk",
  "trace_vprintk",
  "ringbuf_output",
  "ringbuf_reserve",
  "ringbuf_submit",
  "ringbuf_discard",
  "ringbuf_query",
  "ringbuf_reserve_dynptr",
  "ringbuf_submit_dynptr",
  "ringbuf_discard_dynptr",
  "user_ringbuf_drain",
  "dynptr_from_mem",
  "dynptr_read",
  "dynptr_write",
  "dynptr_data",
  "probe_read_user",
  "probe_read_kernel",
  "probe_read_user_str",
  "probe_read_kernel_str",
  "copy_from_user",
  "copy_from_user_task",
  "get_current_pid_tgid",
  "get_ns_current_pid_tgid",
  "get_current_uid_gid",
  "get_current_comm",
  "get_current_task",
  "get_current_task_btf",
  "current_task_under_cgroup",
  "get_current_cgroup_id",
  "get_current_ancestor_cgroup_id",
  "get_cgroup_classid",
  "cgrp_storage_get",
  "cgrp_storage_delete",
  "task_storage_get",
  "task_storage_delete",
  "task_pt_regs",
  "get_task_stack",
  "find_vma",
  "send_signal",
  "send_signal_thread",
  "perf_event_read",
  "perf_event_read_value",
  "get_branch_snapshot",
];

/** Sockets as pointers with BTF type. */
const CASTS: Names = [
  "skc_to_tcp6_sock",
  "skc_to_tcp_sock",
  "skc_to_tcp_timewait_sock",
  "skc_to_tcp_request_sock",
  "skc_to_udp6_sock",
  "skc_to_unix_sock",
  "skc_to_mptcp_sock",
];

const TRACING: Names = [
  "probe_read",
  "probe_read_str",
  "probe_write_user",
  "perf_event_output",
  "get_stackid",
  "get_stack",
  "get_func_ip",
];
const PROBE: Names = [...TRACING, "get_attach_cookie"];
/** Programs that BTF tells the types of. */
const TYPED_TRACING: Names = [
  ...TRACING,
  ...CASTS,
  "get_socket_cookie",
  "sk_storage_get",
  "sk_storage_delete",
  "skb_output",
  "xdp_output",
  "xdp_get_buff_len",
  "d_path",
  "sock_from_file",
];
const FUNCTION_ARGS: Names = ["get_attach_cookie", "get_func_arg", "get_func_arg_cnt"];
const FUNCTION: Names = [...FUNCTION_ARGS, "get_func_ret"];

/** All that have to do with the network. */
const NETWORK: Names = [...CASTS, "ktime_get_coarse_ns"];
const SOCKET_LOOKUP: Names = ["sk_lookup_tcp", "sk_lookup_udp", "skc_lookup_tcp", "sk_release"];
const SOCKET_STORAGE: Names = ["sk_storage_get", "sk_storage_delete"];
const SOCKET_OPTIONS: Names = ["setsockopt", "getsockopt"];
const RETVAL: Names = ["get_retval", "set_retval"];
const SYN_COOKIES: Names = [
  "tcp_check_syncookie",
  "tcp_gen_syncookie",
  "tcp_raw_gen_syncookie_ipv4",
  "tcp_raw_gen_syncookie_ipv6",
  "tcp_raw_check_syncookie_ipv4",
  "tcp_raw_check_syncookie_ipv6",
];

const FILTER: Names = [
  ...NETWORK,
  "perf_event_output",
  "skb_load_bytes",
  "skb_load_bytes_relative",
  "get_socket_cookie",
  "get_socket_uid",
  "get_netns_cookie",
];
const ROUTE: Names = [
  ...NETWORK,
  "perf_event_output",
  "skb_load_bytes",
  "csum_diff",
  "get_route_realm",
  "get_hash_recalc",
  "skb_under_cgroup",
];
const REWRITE: Names = [
  "skb_store_bytes",
  "skb_change_tail",
  "skb_change_head",
  "skb_get_tunnel_key",
  "skb_set_tunnel_key",
  "skb_get_tunnel_opt",
  "skb_set_tunnel_opt",
  "skb_pull_data",
  "l3_csum_replace",
  "l4_csum_replace",
  "csum_update",
  "csum_level",
  "set_hash_invalid",
  "clone_redirect",
  "redirect",
];
const CLASSIFIER: Names = [
  ...FILTER,
  ...ROUTE,
  ...REWRITE,
  ...SOCKET_LOOKUP,
  ...SOCKET_STORAGE,
  ...SYN_COOKIES,
  "skb_vlan_push",
  "skb_vlan_pop",
  "skb_change_proto",
  "skb_change_type",
  "skb_adjust_room",
  "skb_get_xfrm_state",
  "skb_ecn_set_ce",
  "skb_set_tstamp",
  "skb_cgroup_id",
  "skb_ancestor_cgroup_id",
  "skb_cgroup_classid",
  "set_hash",
  "redirect_neigh",
  "redirect_peer",
  "fib_lookup",
  "check_mtu",
  "sk_fullsock",
  "tcp_sock",
  "get_listener_sock",
  "sk_assign",
];
const ADDRESS: Names = [...SOCKET_OPTIONS, ...RETVAL];
const NAMED: Names = SOCKET_OPTIONS;

/** What each program type may call besides {@link BASE}. */
const SETS: { readonly [T in ProgramTypeName]: HelperSet } = {
  socket_filter: { all: FILTER },
  kprobe: { all: [...PROBE, "override_return"] },
  sched_cls: { all: CLASSIFIER },
  sched_act: { all: CLASSIFIER },
  tracepoint: { all: PROBE },
  xdp: {
    all: [
      ...NETWORK,
      ...SOCKET_LOOKUP,
      ...SYN_COOKIES,
      "perf_event_output",
      "redirect",
      "redirect_map",
      "csum_diff",
      "fib_lookup",
      "check_mtu",
      "xdp_adjust_head",
      "xdp_adjust_meta",
      "xdp_adjust_tail",
      "xdp_get_buff_len",
      "xdp_load_bytes",
      "xdp_store_bytes",
    ],
  },
  perf_event: { all: [...PROBE, "perf_prog_read_value", "read_branch_records"] },
  cgroup_skb: {
    all: [
      ...FILTER,
      ...SOCKET_LOOKUP,
      ...SOCKET_STORAGE,
      "get_local_storage",
      "skb_cgroup_id",
      "skb_ancestor_cgroup_id",
      "sk_cgroup_id",
      "sk_ancestor_cgroup_id",
      "skb_ecn_set_ce",
      "sk_fullsock",
      "tcp_sock",
      "get_listener_sock",
    ],
  },
  cgroup_sock: {
    all: [
      ...RETVAL,
      "perf_event_output",
      "get_local_storage",
      "get_socket_cookie",
      "get_netns_cookie",
      "sk_storage_get",
      "ktime_get_coarse_ns",
    ],
    by: { cgroup_inet_sock_create: SOCKET_OPTIONS },
  },
  lwt_in: { all: [...ROUTE, "skb_pull_data", "lwt_push_encap"] },
  lwt_out: { all: [...ROUTE, "skb_pull_data"] },
  lwt_xmit: { all: [...ROUTE, ...REWRITE, "lwt_push_encap"] },
  sock_ops: {
    all: [
      ...NETWORK,
      ...SOCKET_STORAGE,
      ...SOCKET_OPTIONS,
      "perf_event_output",
      "get_local_storage",
      "get_socket_cookie",
      "get_netns_cookie",
      "sock_map_update",
      "sock_hash_update",
      "sock_ops_cb_flags_set",
      "tcp_sock",
      "load_hdr_opt",
      "store_hdr_opt",
      "reserve_hdr_opt",
    ],
  },
  sk_skb: {
    all: [
      ...NETWORK,
      ...SOCKET_LOOKUP,
      "perf_event_output",
      "skb_load_bytes",
      "skb_store_bytes",
      "skb_pull_data",
      "skb_change_tail",
      "skb_change_head",
      "skb_adjust_room",
      "get_socket_cookie",
      "get_socket_uid",
      "sk_redirect_map",
      "sk_redirect_hash",
    ],
  },
  cgroup_device: { all: [...RETVAL, "perf_event_output", "get_local_storage"] },
  sk_msg: {
    all: [
      ...NETWORK,
      ...SOCKET_STORAGE,
      "perf_event_output",
      "get_netns_cookie",
      "msg_redirect_map",
      "msg_redirect_hash",
      "msg_apply_bytes",
      "msg_cork_bytes",
      "msg_pull_data",
      "msg_push_data",
      "msg_pop_data",
    ],
  },
  raw_tracepoint: { all: PROBE },
  cgroup_sock_addr: {
    all: [
      ...NETWORK,
      ...SOCKET_LOOKUP,
      ...SOCKET_STORAGE,
      "perf_event_output",
      "get_local_storage",
      "get_socket_cookie",
      "get_netns_cookie",
    ],
    by: {
      cgroup_inet4_bind: ADDRESS,
      cgroup_inet6_bind: ADDRESS,
      cgroup_inet4_connect: [...ADDRESS, "bind"],
      cgroup_inet6_connect: [...ADDRESS, "bind"],
      cgroup_unix_connect: ADDRESS,
      cgroup_udp4_sendmsg: ADDRESS,
      cgroup_udp6_sendmsg: ADDRESS,
      cgroup_unix_sendmsg: ADDRESS,
      cgroup_udp4_recvmsg: NAMED,
      cgroup_udp6_recvmsg: NAMED,
      cgroup_unix_recvmsg: NAMED,
      cgroup_inet4_getpeername: NAMED,
      cgroup_inet6_getpeername: NAMED,
      cgroup_inet4_getsockname: NAMED,
      cgroup_inet6_getsockname: NAMED,
    },
  },
  lwt_seg6local: { all: [...ROUTE, "lwt_seg6_store_bytes", "lwt_seg6_adjust_srh", "lwt_seg6_action"] },
  lirc_mode2: { all: ["rc_repeat", "rc_keydown", "rc_pointer_rel"] },
  sk_reuseport: {
    all: [
      "skb_load_bytes",
      "skb_load_bytes_relative",
      "get_socket_cookie",
      "sk_select_reuseport",
      "ktime_get_coarse_ns",
    ],
  },
  flow_dissector: { all: [...NETWORK, "skb_load_bytes"] },
  cgroup_sysctl: {
    all: [
      ...RETVAL,
      "perf_event_output",
      "get_local_storage",
      "ktime_get_coarse_ns",
      "sysctl_get_name",
      "sysctl_get_current_value",
      "sysctl_get_new_value",
      "sysctl_set_new_value",
    ],
  },
  raw_tracepoint_writable: { all: PROBE },
  cgroup_sockopt: {
    all: [...RETVAL, ...SOCKET_STORAGE, "perf_event_output", "get_local_storage", "get_netns_cookie", "tcp_sock"],
    by: { cgroup_setsockopt: SOCKET_OPTIONS },
  },
  tracing: {
    all: TYPED_TRACING,
    by: {
      trace_raw_tp: FUNCTION_ARGS,
      trace_fentry: FUNCTION,
      trace_fexit: FUNCTION,
      modify_return: FUNCTION,
      trace_fsession: FUNCTION,
      trace_fentry_multi: FUNCTION,
      trace_fexit_multi: FUNCTION,
      trace_fsession_multi: FUNCTION,
      trace_iter: ["seq_printf", "seq_write", "seq_printf_btf"],
    },
  },
  // Of structures that the TCP stack calls; others may have fewer.
  struct_ops: { all: [...SOCKET_OPTIONS, ...SOCKET_STORAGE, "tcp_send_ack", "ktime_get_coarse_ns"] },
  ext: { all: [] },
  lsm: {
    all: [
      ...TYPED_TRACING,
      "inode_storage_get",
      "inode_storage_delete",
      "bprm_opts_set",
      "ima_inode_hash",
      "ima_file_hash",
    ],
    by: { lsm_mac: FUNCTION, lsm_cgroup: [...RETVAL, "get_local_storage"] },
  },
  sk_lookup: { all: [...NETWORK, "perf_event_output", "sk_release", "sk_assign"] },
  syscall: {
    all: [...TYPED_TRACING, "sys_bpf", "sys_close", "btf_find_by_name_kind", "kallsyms_lookup_name"],
  },
  netfilter: { all: [] },
};

/**
 * Helpers that a program type may call with an attach type. An extension has those of what it extends; programs of which BTF tells the
 * types may have more or fewer, depending on the target.
 */
export function helpersOf(type: ProgramTypeName, attachType: AttachTypeName | undefined): ReadonlySet<HelperName> {
  const { all, by } = SETS[type];
  return new Set([...BASE, ...all, ...((attachType === undefined ? undefined : by?.[attachType]) ?? [])]);
}
