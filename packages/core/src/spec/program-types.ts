// Program types: what the kernel's verifier knows of each.
import type { AttachTypeName } from "./attach-types.ts";
import type { ContextSpec } from "./context-fields.ts";
import { CONTEXTS } from "./contexts.ts";
import { PROGRAM_TYPES, type ProgramTypeName } from "./program-type-names.ts";

/** Values that r0 may have at the end, both included, as signed numbers of 32 bits. */
export interface ReturnRange {
  readonly min: number;
  readonly max: number;
}

/** What the verifier knows of a program type. */
export interface ProgramTypeSpec {
  readonly name: ProgramTypeName;
  readonly id: number;
  readonly context: ContextSpec;
  /** Attach types that such a program can be loaded for. */
  readonly attachTypes: readonly AttachTypeName[];
  /** The kernel asks for one of `attachTypes`, or 0 in some types, when it loads the program; otherwise any number will do. */
  readonly needsAttachType: boolean;
  /** What r0 has to be at the end; by attach type where they differ. Undefined: anything. */
  readonly returns?: ReturnRange;
  readonly returnsBy?: { readonly [A in AttachTypeName]?: ReturnRange };
  /** The packet loads of RFC 9669 section 5.5 work. */
  readonly packetLoads: boolean;
  /** What a program may do through pointers into the packet. */
  readonly packet: "none" | "read" | "write";
}

const BIT: ReturnRange = { min: 0, max: 1 };

type Row = Partial<Omit<ProgramTypeSpec, "name" | "id" | "context">>;

const SOCK_ADDR: readonly AttachTypeName[] = [
  "cgroup_inet4_bind",
  "cgroup_inet6_bind",
  "cgroup_inet4_connect",
  "cgroup_inet6_connect",
  "cgroup_unix_connect",
  "cgroup_udp4_sendmsg",
  "cgroup_udp6_sendmsg",
  "cgroup_unix_sendmsg",
  "cgroup_udp4_recvmsg",
  "cgroup_udp6_recvmsg",
  "cgroup_unix_recvmsg",
  "cgroup_inet4_getpeername",
  "cgroup_inet6_getpeername",
  "cgroup_unix_getpeername",
  "cgroup_inet4_getsockname",
  "cgroup_inet6_getsockname",
  "cgroup_unix_getsockname",
];
const ONE: ReturnRange = { min: 1, max: 1 };
const ZERO: ReturnRange = { min: 0, max: 0 };
const BITS2: ReturnRange = { min: 0, max: 3 };

const ROWS: { readonly [T in ProgramTypeName]: Row } = {
  socket_filter: { packetLoads: true },
  kprobe: {
    attachTypes: ["trace_kprobe_multi", "trace_kprobe_session", "trace_uprobe_multi", "trace_uprobe_session"],
    returnsBy: { trace_kprobe_session: BIT, trace_uprobe_session: BIT },
  },
  sched_cls: {
    attachTypes: ["tcx_ingress", "tcx_egress", "netkit_primary", "netkit_peer"],
    packetLoads: true,
    packet: "write",
  },
  sched_act: { packetLoads: true, packet: "write" },
  tracepoint: {},
  xdp: { attachTypes: ["xdp", "xdp_devmap", "xdp_cpumap"], packet: "write" },
  perf_event: { attachTypes: ["perf_event"] },
  cgroup_skb: {
    attachTypes: ["cgroup_inet_ingress", "cgroup_inet_egress"],
    needsAttachType: true,
    returns: BIT,
    returnsBy: { cgroup_inet_egress: BITS2 },
    packet: "read",
  },
  cgroup_sock: {
    attachTypes: [
      "cgroup_inet_sock_create",
      "cgroup_inet_sock_release",
      "cgroup_inet4_post_bind",
      "cgroup_inet6_post_bind",
    ],
    needsAttachType: true,
    returns: BIT,
  },
  lwt_in: { packet: "read" },
  lwt_out: { packet: "read" },
  lwt_xmit: { packet: "write" },
  sock_ops: { attachTypes: ["cgroup_sock_ops"], returns: BIT, packet: "read" },
  sk_skb: { attachTypes: ["sk_skb_stream_parser", "sk_skb_stream_verdict", "sk_skb_verdict"], packet: "write" },
  cgroup_device: { attachTypes: ["cgroup_device"], returns: BIT },
  sk_msg: { attachTypes: ["sk_msg_verdict"], packet: "write" },
  raw_tracepoint: {},
  cgroup_sock_addr: {
    attachTypes: SOCK_ADDR,
    needsAttachType: true,
    returns: BIT,
    returnsBy: {
      cgroup_inet4_bind: BITS2,
      cgroup_inet6_bind: BITS2,
      cgroup_udp4_recvmsg: ONE,
      cgroup_udp6_recvmsg: ONE,
      cgroup_unix_recvmsg: ONE,
      cgroup_inet4_getpeername: ONE,
      cgroup_inet6_getpeername: ONE,
      cgroup_unix_getpeername: ONE,
      cgroup_inet4_getsockname: ONE,
      cgroup_inet6_getsockname: ONE,
      cgroup_unix_getsockname: ONE,
    },
  },
  lwt_seg6local: { packet: "read" },
  lirc_mode2: { attachTypes: ["lirc_mode2"] },
  sk_reuseport: {
    attachTypes: ["sk_reuseport_select", "sk_reuseport_select_or_migrate"],
    needsAttachType: true,
    packet: "read",
  },
  flow_dissector: { attachTypes: ["flow_dissector"], packet: "read" },
  cgroup_sysctl: { attachTypes: ["cgroup_sysctl"], returns: BIT },
  raw_tracepoint_writable: {},
  cgroup_sockopt: {
    attachTypes: ["cgroup_getsockopt", "cgroup_setsockopt"],
    needsAttachType: true,
    returns: BIT,
    packet: "write",
  },
  tracing: {
    attachTypes: [
      "trace_raw_tp",
      "trace_fentry",
      "trace_fexit",
      "modify_return",
      "trace_iter",
      "trace_fsession",
      "trace_fentry_multi",
      "trace_fexit_multi",
      "trace_fsession_multi",
    ],
    needsAttachType: true,
    returnsBy: {
      trace_fentry: ZERO,
      trace_fexit: ZERO,
      trace_fsession: ZERO,
      trace_fentry_multi: ZERO,
      trace_fexit_multi: ZERO,
      trace_fsession_multi: ZERO,
      trace_iter: BIT,
    },
  },
  struct_ops: { attachTypes: ["struct_ops"] },
  ext: {},
  lsm: { attachTypes: ["lsm_mac", "lsm_cgroup"], needsAttachType: true },
  sk_lookup: { attachTypes: ["sk_lookup"], needsAttachType: true, returns: BIT },
  syscall: {},
  netfilter: { attachTypes: ["netfilter"], needsAttachType: true, returns: BIT },
};

const NAMES = Object.keys(PROGRAM_TYPES) as ProgramTypeName[];

const SPECS: ReadonlyMap<string, ProgramTypeSpec> = new Map(
  NAMES.map((name): [string, ProgramTypeSpec] => [
    name,
    {
      name,
      id: PROGRAM_TYPES[name],
      context: CONTEXTS[name],
      attachTypes: [],
      needsAttachType: false,
      packetLoads: false,
      packet: "none",
      ...ROWS[name],
    },
  ]),
);

/** A program type by its name, `xdp`, `sched_cls`, …; undefined where there is none. */
export function programType(name: string): ProgramTypeSpec | undefined {
  return SPECS.get(name);
}
