// Helper functions as specifications: number, name and arguments (the kernel's UAPI). Implementations live elsewhere.

/**
 * What a helper does with an argument: `map` (a map), `key` and `value` (memory of the map's key or value size, read), `value-out`
 * (written), `in` and `out` (memory read or written, its length in the argument behind it), `size`, `string` (memory up to a zero
 * byte), `context`, `callback`, `stack?` (what a callback gets passed: stack memory or 0), `map-value` and `memory` (a pointer that
 * came from such a place), `any` (a number). A question mark means that a null pointer is fine.
 */
export type HelperArg =
  | "any"
  | "callback"
  | "context"
  | "in"
  | "in?"
  | "key"
  | "map"
  | "map-value"
  | "memory"
  | "out"
  | "out?"
  | "size"
  | "stack?"
  | "string"
  | "value"
  | "value-out";

/** What r0 holds after a helper; a question mark means that it can be a null pointer. */
export type HelperResult = "integer" | "map-value?" | "memory?" | "void";

/** One helper. `args` and `returns` are left out for helpers that nobody has described here yet. */
export interface HelperSpec {
  readonly id: number;
  /** As in the UAPI, without `bpf_`. */
  readonly name: string;
  readonly args?: readonly HelperArg[];
  readonly returns?: HelperResult;
}

/** Names in the order of the UAPI; the first is number 1. */
const NAMES: readonly string[] = (
  "map_lookup_elem map_update_elem map_delete_elem probe_read ktime_get_ns trace_printk get_prandom_u32 get_smp_processor_id " +
  "skb_store_bytes l3_csum_replace l4_csum_replace tail_call clone_redirect get_current_pid_tgid get_current_uid_gid get_current_comm " +
  "get_cgroup_classid skb_vlan_push skb_vlan_pop skb_get_tunnel_key skb_set_tunnel_key perf_event_read redirect get_route_realm " +
  "perf_event_output skb_load_bytes get_stackid csum_diff skb_get_tunnel_opt skb_set_tunnel_opt skb_change_proto skb_change_type " +
  "skb_under_cgroup get_hash_recalc get_current_task probe_write_user current_task_under_cgroup skb_change_tail skb_pull_data csum_update " +
  "set_hash_invalid get_numa_node_id skb_change_head xdp_adjust_head probe_read_str get_socket_cookie get_socket_uid set_hash setsockopt " +
  "skb_adjust_room redirect_map sk_redirect_map sock_map_update xdp_adjust_meta perf_event_read_value perf_prog_read_value getsockopt " +
  "override_return sock_ops_cb_flags_set msg_redirect_map msg_apply_bytes msg_cork_bytes msg_pull_data bind xdp_adjust_tail " +
  "skb_get_xfrm_state get_stack skb_load_bytes_relative fib_lookup sock_hash_update msg_redirect_hash sk_redirect_hash lwt_push_encap " +
  "lwt_seg6_store_bytes lwt_seg6_adjust_srh lwt_seg6_action rc_repeat rc_keydown skb_cgroup_id get_current_cgroup_id get_local_storage " +
  "sk_select_reuseport skb_ancestor_cgroup_id sk_lookup_tcp sk_lookup_udp sk_release map_push_elem map_pop_elem map_peek_elem " +
  "msg_push_data msg_pop_data rc_pointer_rel spin_lock spin_unlock sk_fullsock tcp_sock skb_ecn_set_ce get_listener_sock skc_lookup_tcp " +
  "tcp_check_syncookie sysctl_get_name sysctl_get_current_value sysctl_get_new_value sysctl_set_new_value strtol strtoul sk_storage_get " +
  "sk_storage_delete send_signal tcp_gen_syncookie skb_output probe_read_user probe_read_kernel probe_read_user_str probe_read_kernel_str " +
  "tcp_send_ack send_signal_thread jiffies64 read_branch_records get_ns_current_pid_tgid xdp_output get_netns_cookie " +
  "get_current_ancestor_cgroup_id sk_assign ktime_get_boot_ns seq_printf seq_write sk_cgroup_id sk_ancestor_cgroup_id ringbuf_output " +
  "ringbuf_reserve ringbuf_submit ringbuf_discard ringbuf_query csum_level skc_to_tcp6_sock skc_to_tcp_sock skc_to_tcp_timewait_sock " +
  "skc_to_tcp_request_sock skc_to_udp6_sock get_task_stack load_hdr_opt store_hdr_opt reserve_hdr_opt inode_storage_get " +
  "inode_storage_delete d_path copy_from_user snprintf_btf seq_printf_btf skb_cgroup_classid redirect_neigh per_cpu_ptr this_cpu_ptr " +
  "redirect_peer task_storage_get task_storage_delete get_current_task_btf bprm_opts_set ktime_get_coarse_ns ima_inode_hash " +
  "sock_from_file check_mtu for_each_map_elem snprintf sys_bpf btf_find_by_name_kind sys_close timer_init timer_set_callback timer_start " +
  "timer_cancel get_func_ip get_attach_cookie task_pt_regs get_branch_snapshot trace_vprintk skc_to_unix_sock kallsyms_lookup_name " +
  "find_vma loop strncmp get_func_arg get_func_ret get_func_arg_cnt get_retval set_retval xdp_get_buff_len xdp_load_bytes xdp_store_bytes " +
  "copy_from_user_task skb_set_tstamp ima_file_hash kptr_xchg map_lookup_percpu_elem skc_to_mptcp_sock dynptr_from_mem " +
  "ringbuf_reserve_dynptr ringbuf_submit_dynptr ringbuf_discard_dynptr dynptr_read dynptr_write dynptr_data tcp_raw_gen_syncookie_ipv4 " +
  "tcp_raw_gen_syncookie_ipv6 tcp_raw_check_syncookie_ipv4 tcp_raw_check_syncookie_ipv6 ktime_get_tai_ns user_ringbuf_drain " +
  "cgrp_storage_get cgrp_storage_delete"
).split(" ");

/** Arguments r1, r2, … and result, by name. */
// biome-ignore format: one row per helper
const SIGNATURES: Readonly<Record<string, { readonly args: string; readonly returns: HelperResult }>> = {
  map_lookup_elem:         { args: "map key",                   returns: "map-value?" },
  map_update_elem:         { args: "map key value any",         returns: "integer" },
  map_delete_elem:         { args: "map key",                   returns: "integer" },
  probe_read:              { args: "out size any",              returns: "integer" },
  ktime_get_ns:            { args: "",                          returns: "integer" },
  trace_printk:            { args: "in size any any any",       returns: "integer" },
  get_prandom_u32:         { args: "",                          returns: "integer" },
  get_smp_processor_id:    { args: "",                          returns: "integer" },
  skb_store_bytes:         { args: "context any in size any",   returns: "integer" },
  l3_csum_replace:         { args: "context any any any any",   returns: "integer" },
  l4_csum_replace:         { args: "context any any any any",   returns: "integer" },
  tail_call:               { args: "context map any",           returns: "integer" },
  clone_redirect:          { args: "context any any",           returns: "integer" },
  get_current_pid_tgid:    { args: "",                          returns: "integer" },
  get_current_uid_gid:     { args: "",                          returns: "integer" },
  get_current_comm:        { args: "out size",                  returns: "integer" },
  redirect:                { args: "any any",                   returns: "integer" },
  perf_event_output:       { args: "context map any in size",   returns: "integer" },
  skb_load_bytes:          { args: "context any out size",      returns: "integer" },
  get_stackid:             { args: "context map any",           returns: "integer" },
  csum_diff:               { args: "in? size in? size any",     returns: "integer" },
  get_current_task:        { args: "",                          returns: "integer" },
  skb_pull_data:           { args: "context any",               returns: "integer" },
  xdp_adjust_head:         { args: "context any",               returns: "integer" },
  probe_read_str:          { args: "out size any",              returns: "integer" },
  redirect_map:            { args: "map any any",               returns: "integer" },
  xdp_adjust_meta:         { args: "context any",               returns: "integer" },
  xdp_adjust_tail:         { args: "context any",               returns: "integer" },
  get_stack:               { args: "context out size any",      returns: "integer" },
  fib_lookup:              { args: "context in size any",       returns: "integer" },
  map_push_elem:           { args: "map value any",             returns: "integer" },
  map_pop_elem:            { args: "map value-out",             returns: "integer" },
  map_peek_elem:           { args: "map value-out",             returns: "integer" },
  spin_lock:               { args: "map-value",                 returns: "integer" },
  spin_unlock:             { args: "map-value",                 returns: "integer" },
  probe_read_user:         { args: "out size any",              returns: "integer" },
  probe_read_kernel:       { args: "out size any",              returns: "integer" },
  probe_read_user_str:     { args: "out size any",              returns: "integer" },
  probe_read_kernel_str:   { args: "out size any",              returns: "integer" },
  jiffies64:               { args: "",                          returns: "integer" },
  ktime_get_boot_ns:       { args: "",                          returns: "integer" },
  ringbuf_output:          { args: "map in size any",           returns: "integer" },
  ringbuf_reserve:         { args: "map any any",               returns: "memory?" },
  ringbuf_submit:          { args: "memory any",                returns: "void" },
  ringbuf_discard:         { args: "memory any",                returns: "void" },
  ringbuf_query:           { args: "map any",                   returns: "integer" },
  ktime_get_coarse_ns:     { args: "",                          returns: "integer" },
  check_mtu:               { args: "context any any any any",   returns: "integer" },
  for_each_map_elem:       { args: "map callback stack? any",   returns: "integer" },
  snprintf:                { args: "out? size string in? size",   returns: "integer" },
  loop:                    { args: "any callback stack? any",   returns: "integer" },
  strncmp:                 { args: "in size string",            returns: "integer" },
  xdp_get_buff_len:        { args: "context",                   returns: "integer" },
  xdp_load_bytes:          { args: "context any out size",      returns: "integer" },
  xdp_store_bytes:         { args: "context any in size",       returns: "integer" },
  map_lookup_percpu_elem:  { args: "map key any",               returns: "map-value?" },
  ktime_get_tai_ns:        { args: "",                          returns: "integer" },
};

/** All helpers of the UAPI by number; index 0 holds the unused number 0. */
export const HELPERS: readonly HelperSpec[] = ["unspec", ...NAMES].map((name, id): HelperSpec => {
  const signature = SIGNATURES[name];
  if (signature === undefined) return { id, name };
  return {
    id,
    name,
    args: signature.args === "" ? [] : (signature.args.split(" ") as HelperArg[]),
    returns: signature.returns,
  };
});

const BY_NAME: ReadonlyMap<string, number> = new Map(HELPERS.map(({ name, id }) => [name, id]));

/** A helper by number; undefined when the UAPI has no such number. */
export function helperById(id: number): HelperSpec | undefined {
  return id > 0 ? HELPERS[id] : undefined;
}

/** A helper by name, with or without `bpf_`; undefined when there is none. */
export function helperByName(name: string): HelperSpec | undefined {
  const id = BY_NAME.get(name.startsWith("bpf_") ? name.slice(4) : name) ?? 0;
  return helperById(id);
}
