// The situations in which programs meet the verifier: program type, attach type, and what a load needs besides.
import { FUNC, STRUCT, TYPEDEF } from "./vmlinux-btf.mjs";

const SLEEPABLE = 1 << 4;

/** Attach types of program types where one has to be named, or where it matters to something; `-` is none. */
const ATTACH = {
  socket_filter: "-",
  kprobe: "- trace_kprobe_multi trace_kprobe_session trace_uprobe_multi trace_uprobe_session",
  sched_cls: "- tcx_ingress netkit_primary",
  sched_act: "-",
  tracepoint: "-",
  xdp: "- xdp xdp_devmap xdp_cpumap",
  perf_event: "-",
  cgroup_skb: "cgroup_inet_ingress cgroup_inet_egress",
  cgroup_sock: "cgroup_inet_sock_create cgroup_inet_sock_release cgroup_inet4_post_bind cgroup_inet6_post_bind",
  lwt_in: "-",
  lwt_out: "-",
  lwt_xmit: "-",
  sock_ops: "cgroup_sock_ops",
  sk_skb: "- sk_skb_stream_parser sk_skb_stream_verdict sk_skb_verdict",
  cgroup_device: "cgroup_device",
  sk_msg: "sk_msg_verdict",
  raw_tracepoint: "-",
  cgroup_sock_addr:
    "cgroup_inet4_bind cgroup_inet6_bind cgroup_inet4_connect cgroup_inet6_connect cgroup_udp4_sendmsg cgroup_udp6_sendmsg " +
    "cgroup_udp4_recvmsg cgroup_udp6_recvmsg cgroup_inet4_getpeername cgroup_inet6_getpeername cgroup_inet4_getsockname " +
    "cgroup_inet6_getsockname cgroup_unix_connect cgroup_unix_sendmsg cgroup_unix_recvmsg cgroup_unix_getpeername " +
    "cgroup_unix_getsockname",
  lwt_seg6local: "-",
  lirc_mode2: "- lirc_mode2",
  sk_reuseport: "sk_reuseport_select sk_reuseport_select_or_migrate",
  flow_dissector: "flow_dissector",
  cgroup_sysctl: "cgroup_sysctl",
  raw_tracepoint_writable: "-",
  cgroup_sockopt: "cgroup_getsockopt cgroup_setsockopt",
  tracing: "trace_raw_tp trace_fentry trace_fexit modify_return trace_iter trace_fsession",
  struct_ops: "struct_ops",
  ext: "-",
  lsm: "lsm_mac lsm_cgroup",
  sk_lookup: "sk_lookup",
  syscall: "-",
  netfilter: "netfilter",
};

/**
 * All situations, for the numbers that `programTypes` and `attachTypes` give and the type information of the kernel that is asked.
 * `rest` goes into a case. A situation whose target the kernel lacks is left out.
 */
export function situations({ PROGRAM_TYPES, ATTACH_TYPES }, btf) {
  return Object.entries(ATTACH).flatMap(([type, attachTypes]) =>
    attachTypes.split(" ").flatMap((attach) => {
      const target = targetOf(type, attach, btf);
      if (target === undefined) return [];
      return [
        {
          name: attach === "-" ? type : `${type} ${attach}`,
          type,
          attach,
          rest: {
            type: PROGRAM_TYPES[type],
            expected_attach_type: attach === "-" ? 0 : ATTACH_TYPES[attach],
            flags: type === "syscall" ? SLEEPABLE : 0,
            license: "GPL",
            log_level: 1,
            ...target,
          },
        },
      ];
    }),
  );
}

function targetOf(type, attach, btf) {
  const named = (kind, name) => {
    const id = btf.id(kind, name);
    return id === undefined ? undefined : { abtfid: id };
  };
  if (type === "tracing") {
    if (attach === "trace_raw_tp") return named(TYPEDEF, "btf_trace_sched_switch");
    if (attach === "trace_iter") return named(FUNC, "bpf_iter_task");
    return named(FUNC, attach === "modify_return" ? "bpf_modify_return_test" : "bpf_fentry_test1");
  }
  if (type === "lsm") return named(FUNC, attach === "lsm_mac" ? "bpf_lsm_file_open" : "bpf_lsm_socket_create");
  if (type === "struct_ops") {
    const id = btf.id(STRUCT, "tcp_congestion_ops");
    return { abtfid: id, expected_attach_type: btf.names(STRUCT, "tcp_congestion_ops").indexOf("ssthresh") };
  }
  if (type === "ext") return { attach_prog: "extended", abtfid: 3, per_insn: 1 };
  return {};
}

/** What has to be loaded first: the program that extensions extend. */
export const FIRST = [
  {
    name: "extended",
    type: 6,
    keep: 1,
    per_insn: 1,
    insns: [
      [0xb7, 0, 0, 0, 2],
      [0x95, 0, 0, 0, 0],
    ],
  },
];
