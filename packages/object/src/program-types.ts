// What the name of a program's section says about its type, as in the table of libbpf's documentation ("Program Types").

/** A row: program type, attach type where the name fixes it, and what `.s` and `.frags` in the name ask for. */
export interface ProgramKind {
  readonly type: string;
  readonly attachType?: string;
  /** May sleep: it may call helpers that wait. */
  readonly sleepable?: true;
  /** Takes packets in several fragments. */
  readonly frags?: true;
}

/** Names of sections; `+` at the end: the name by itself, or followed by a slash and what to attach to. */
// biome-ignore format: one row per name, columns
export const SECTION_NAMES: Readonly<Record<string, ProgramKind>> = {
  "socket":                   { type: "socket_filter" },
  "sk_reuseport":             { type: "sk_reuseport",    attachType: "sk_reuseport_select" },
  "sk_reuseport/migrate":     { type: "sk_reuseport",    attachType: "sk_reuseport_select_or_migrate" },
  "sk_lookup":                { type: "sk_lookup",       attachType: "sk_lookup" },

  "xdp":                      { type: "xdp",             attachType: "xdp" },
  "xdp/devmap":               { type: "xdp",             attachType: "xdp_devmap" },
  "xdp/cpumap":               { type: "xdp",             attachType: "xdp_cpumap" },
  "xdp.frags":                { type: "xdp",             attachType: "xdp",                 frags: true },
  "xdp.frags/devmap":         { type: "xdp",             attachType: "xdp_devmap",          frags: true },
  "xdp.frags/cpumap":         { type: "xdp",             attachType: "xdp_cpumap",          frags: true },

  "tc":                       { type: "sched_cls" },
  "classifier":               { type: "sched_cls" },
  "action":                   { type: "sched_act" },
  "tc/ingress":               { type: "sched_cls",       attachType: "tcx_ingress" },
  "tc/egress":                { type: "sched_cls",       attachType: "tcx_egress" },
  "tcx/ingress":              { type: "sched_cls",       attachType: "tcx_ingress" },
  "tcx/egress":               { type: "sched_cls",       attachType: "tcx_egress" },
  "netkit/primary":           { type: "sched_cls",       attachType: "netkit_primary" },
  "netkit/peer":              { type: "sched_cls",       attachType: "netkit_peer" },
  "lwt_in":                   { type: "lwt_in" },
  "lwt_out":                  { type: "lwt_out" },
  "lwt_xmit":                 { type: "lwt_xmit" },
  "lwt_seg6local":            { type: "lwt_seg6local" },
  "flow_dissector":           { type: "flow_dissector",  attachType: "flow_dissector" },
  "netfilter":                { type: "netfilter",       attachType: "netfilter" },

  "kprobe+":                  { type: "kprobe" },
  "kretprobe+":               { type: "kprobe" },
  "kprobe.multi+":            { type: "kprobe",          attachType: "trace_kprobe_multi" },
  "kretprobe.multi+":         { type: "kprobe",          attachType: "trace_kprobe_multi" },
  "kprobe.session+":          { type: "kprobe",          attachType: "trace_kprobe_session" },
  "ksyscall+":                { type: "kprobe" },
  "kretsyscall+":             { type: "kprobe" },
  "uprobe+":                  { type: "kprobe" },
  "uprobe.s+":                { type: "kprobe",                                             sleepable: true },
  "uretprobe+":               { type: "kprobe" },
  "uretprobe.s+":             { type: "kprobe",                                             sleepable: true },
  "uprobe.multi+":            { type: "kprobe",          attachType: "trace_uprobe_multi" },
  "uprobe.multi.s+":          { type: "kprobe",          attachType: "trace_uprobe_multi",  sleepable: true },
  "uretprobe.multi+":         { type: "kprobe",          attachType: "trace_uprobe_multi" },
  "uretprobe.multi.s+":       { type: "kprobe",          attachType: "trace_uprobe_multi",  sleepable: true },
  "uprobe.session+":          { type: "kprobe",          attachType: "trace_uprobe_session" },
  "uprobe.session.s+":        { type: "kprobe",          attachType: "trace_uprobe_session", sleepable: true },
  "usdt+":                    { type: "kprobe" },
  "usdt.s+":                  { type: "kprobe",                                             sleepable: true },
  "tracepoint+":              { type: "tracepoint" },
  "tp+":                      { type: "tracepoint" },
  "raw_tracepoint+":          { type: "raw_tracepoint" },
  "raw_tp+":                  { type: "raw_tracepoint" },
  "raw_tracepoint.w+":        { type: "raw_tracepoint_writable" },
  "raw_tp.w+":                { type: "raw_tracepoint_writable" },
  "perf_event":               { type: "perf_event" },

  "tp_btf+":                  { type: "tracing",         attachType: "trace_raw_tp" },
  "fentry+":                  { type: "tracing",         attachType: "trace_fentry" },
  "fentry.s+":                { type: "tracing",         attachType: "trace_fentry",        sleepable: true },
  "fexit+":                   { type: "tracing",         attachType: "trace_fexit" },
  "fexit.s+":                 { type: "tracing",         attachType: "trace_fexit",         sleepable: true },
  "fsession+":                { type: "tracing",         attachType: "trace_fsession" },
  "fsession.s+":              { type: "tracing",         attachType: "trace_fsession",      sleepable: true },
  "fmod_ret+":                { type: "tracing",         attachType: "modify_return" },
  "fmod_ret.s+":              { type: "tracing",         attachType: "modify_return",       sleepable: true },
  "iter+":                    { type: "tracing",         attachType: "trace_iter" },
  "iter.s+":                  { type: "tracing",         attachType: "trace_iter",          sleepable: true },
  "freplace+":                { type: "ext" },
  "lsm+":                     { type: "lsm",             attachType: "lsm_mac" },
  "lsm.s+":                   { type: "lsm",             attachType: "lsm_mac",             sleepable: true },
  "lsm_cgroup+":              { type: "lsm",             attachType: "lsm_cgroup" },
  "syscall":                  { type: "syscall",                                            sleepable: true },
  "struct_ops+":              { type: "struct_ops",      attachType: "struct_ops" },
  "struct_ops.s+":            { type: "struct_ops",      attachType: "struct_ops",          sleepable: true },

  "sockops":                  { type: "sock_ops",        attachType: "cgroup_sock_ops" },
  "sk_skb":                   { type: "sk_skb" },
  "sk_skb/stream_parser":     { type: "sk_skb",          attachType: "sk_skb_stream_parser" },
  "sk_skb/stream_verdict":    { type: "sk_skb",          attachType: "sk_skb_stream_verdict" },
  "sk_skb/verdict":           { type: "sk_skb",          attachType: "sk_skb_verdict" },
  "sk_msg":                   { type: "sk_msg",          attachType: "sk_msg_verdict" },
  "lirc_mode2":               { type: "lirc_mode2",      attachType: "lirc_mode2" },

  "cgroup_skb/ingress":       { type: "cgroup_skb",      attachType: "cgroup_inet_ingress" },
  "cgroup_skb/egress":        { type: "cgroup_skb",      attachType: "cgroup_inet_egress" },
  "cgroup/skb":               { type: "cgroup_skb" },
  "cgroup/sock":              { type: "cgroup_sock",     attachType: "cgroup_inet_sock_create" },
  "cgroup/sock_create":       { type: "cgroup_sock",     attachType: "cgroup_inet_sock_create" },
  "cgroup/sock_release":      { type: "cgroup_sock",     attachType: "cgroup_inet_sock_release" },
  "cgroup/post_bind4":        { type: "cgroup_sock",     attachType: "cgroup_inet4_post_bind" },
  "cgroup/post_bind6":        { type: "cgroup_sock",     attachType: "cgroup_inet6_post_bind" },
  "cgroup/bind4":             { type: "cgroup_sock_addr", attachType: "cgroup_inet4_bind" },
  "cgroup/bind6":             { type: "cgroup_sock_addr", attachType: "cgroup_inet6_bind" },
  "cgroup/connect4":          { type: "cgroup_sock_addr", attachType: "cgroup_inet4_connect" },
  "cgroup/connect6":          { type: "cgroup_sock_addr", attachType: "cgroup_inet6_connect" },
  "cgroup/connect_unix":      { type: "cgroup_sock_addr", attachType: "cgroup_unix_connect" },
  "cgroup/sendmsg4":          { type: "cgroup_sock_addr", attachType: "cgroup_udp4_sendmsg" },
  "cgroup/sendmsg6":          { type: "cgroup_sock_addr", attachType: "cgroup_udp6_sendmsg" },
  "cgroup/sendmsg_unix":      { type: "cgroup_sock_addr", attachType: "cgroup_unix_sendmsg" },
  "cgroup/recvmsg4":          { type: "cgroup_sock_addr", attachType: "cgroup_udp4_recvmsg" },
  "cgroup/recvmsg6":          { type: "cgroup_sock_addr", attachType: "cgroup_udp6_recvmsg" },
  "cgroup/recvmsg_unix":      { type: "cgroup_sock_addr", attachType: "cgroup_unix_recvmsg" },
  "cgroup/getpeername4":      { type: "cgroup_sock_addr", attachType: "cgroup_inet4_getpeername" },
  "cgroup/getpeername6":      { type: "cgroup_sock_addr", attachType: "cgroup_inet6_getpeername" },
  "cgroup/getpeername_unix":  { type: "cgroup_sock_addr", attachType: "cgroup_unix_getpeername" },
  "cgroup/getsockname4":      { type: "cgroup_sock_addr", attachType: "cgroup_inet4_getsockname" },
  "cgroup/getsockname6":      { type: "cgroup_sock_addr", attachType: "cgroup_inet6_getsockname" },
  "cgroup/getsockname_unix":  { type: "cgroup_sock_addr", attachType: "cgroup_unix_getsockname" },
  "cgroup/sysctl":            { type: "cgroup_sysctl",   attachType: "cgroup_sysctl" },
  "cgroup/getsockopt":        { type: "cgroup_sockopt",  attachType: "cgroup_getsockopt" },
  "cgroup/setsockopt":        { type: "cgroup_sockopt",  attachType: "cgroup_setsockopt" },
  "cgroup/dev":               { type: "cgroup_device",   attachType: "cgroup_device" },
};

/** What the name of a section says: its row (type `unspec` without one), what to attach to, and whether to load it by itself. */
export interface SectionMeaning extends ProgramKind {
  /** What follows the slash, as in `fentry/do_exit`. */
  readonly target?: string;
  /** `false` for names that begin with a question mark. */
  readonly autoload: boolean;
}

const UNKNOWN: ProgramKind = { type: "unspec" };

/** Reads the name of a program's section. */
export function sectionMeaning(section: string): SectionMeaning {
  const autoload = !section.startsWith("?");
  const name = autoload ? section : section.slice(1);
  const slash = name.indexOf("/");
  const head = slash < 0 ? name : name.slice(0, slash);
  const kind = row(name) ?? row(`${head}+`) ?? UNKNOWN;
  return slash < 0 || row(`${head}+`) === undefined
    ? { ...kind, autoload }
    : { ...kind, autoload, target: name.slice(slash + 1) };
}

function row(name: string): ProgramKind | undefined {
  return Object.hasOwn(SECTION_NAMES, name) ? SECTION_NAMES[name] : undefined;
}
