// Contexts of all program types: the structures of the UAPI (linux/bpf.h) as programs may read and write them in Linux 7.2.
import type { AttachTypeName } from "./attach-types.ts";
import type { ContextFieldSpec, ContextSpec, ContextValue, Widths } from "./context-fields.ts";
import type { ProgramTypeName } from "./program-type-names.ts";

/** A row: name, offset, size, widths for reading, widths for writing; what a load gives; who may read and who may write. */
type Row = readonly [
  name: string,
  offset: number,
  size: number,
  read: Widths,
  write: Widths,
  as?: ContextValue,
  readBy?: readonly AttachTypeName[] | undefined,
  writeBy?: readonly AttachTypeName[],
];

/** Widths: none; whole fields; `upN`: N bytes and the aligned parts of them. */
const no = 0;
const [w1, w2, w4, w8] = [1, 2, 4, 8] as const;
const [up2, up4, up8] = [3, 7, 15] as const;

function struct(name: string, size: number, ...rows: readonly Row[]): ContextSpec {
  const fields = rows.map(
    ([field, offset, bytes, read, write, as = "scalar", readBy, writeBy]): ContextFieldSpec => ({
      name: field,
      offset,
      size: bytes,
      read,
      write,
      as,
      ...(readBy === undefined ? {} : { readBy }),
      ...(writeBy === undefined ? {} : { writeBy }),
    }),
  );
  return { struct: name, size, typed: false, fields: fields.sort((a, b) => a.offset - b.offset) };
}

/** Words whose types BTF tells. */
const typed = (name: string): ContextSpec => ({ struct: name, size: 0, typed: true, fields: [] });

/** A field of which narrow loads reach only the start. */
const atStart = (name: string, offset: number, as?: readonly AttachTypeName[]): readonly Row[] => [
  [name, offset, 4, w4, no, "scalar", as],
  [name, offset, 2, w2, no, "scalar", as],
  [name, offset, 1, w1, no, "scalar", as],
];

/** Rows of struct __sk_buff that everybody may read; who may write them is told by name. */
function skbRows(...writable: readonly string[]): readonly Row[] {
  const rows: readonly (readonly [name: string, offset: number])[] = [
    ["len", 0],
    ["pkt_type", 4],
    ["mark", 8],
    ["queue_mapping", 12],
    ["protocol", 16],
    ["vlan_present", 20],
    ["vlan_tci", 24],
    ["vlan_proto", 28],
    ["priority", 32],
    ["ingress_ifindex", 36],
    ["ifindex", 40],
    ["tc_index", 44],
    ["hash", 68],
    ["napi_id", 84],
    ["gso_segs", 164],
    ["gso_size", 176],
  ];
  return [
    ...rows.map(([name, offset]): Row => [name, offset, 4, up4, writable.includes(name) ? w4 : no]),
    ["cb", 48, 20, up8, writable.includes("cb") ? up8 : no],
    ["sk", 168, 8, w8, no, "sock-common?"],
  ];
}

// biome-ignore format: one row per field, columns
const SKB_ADDRESSES: readonly Row[] = [
  ["family",       88,  4, up4, no],
  ["remote_ip4",   92,  4, w4,  no],
  ["local_ip4",    96,  4, w4,  no],
  ["remote_ip6",  100, 16, w4,  no],
  ["local_ip6",   116, 16, w4,  no],
  ["remote_port", 132,  4, up4, no],
  ["local_port",  136,  4, up4, no],
];
const SKB_DATA: readonly Row[] = [
  ["data", 76, 4, w4, no, "packet"],
  ["data_end", 80, 4, w4, no, "packet-end"],
];
const SKB = "__sk_buff";
const SKB_SIZE = 192;

const classifier: ContextSpec = struct(
  SKB,
  SKB_SIZE,
  ...skbRows("mark", "queue_mapping", "priority", "tc_index", "cb"),
  ...SKB_DATA,
  ["tc_classid", 72, 4, up4, w4],
  ["data_meta", 140, 4, w4, no, "packet-meta"],
  ["tstamp", 152, 8, w8, w8],
  ["wire_len", 160, 4, up4, no],
  ["tstamp_type", 180, 1, w1, no],
  ["hwtstamp", 184, 8, w8, no],
);

const lwt: ContextSpec = struct(SKB, SKB_SIZE, ...skbRows("mark", "priority", "cb"), ...SKB_DATA);

/** The context of kprobe programs where they cannot change registers (up to Linux 6.17). */
export const KPROBE_READ_ONLY: ContextSpec = struct("pt_regs", 168, ["registers", 0, 168, up8, no]);

/** The words of a raw tracepoint's arguments; 12 at most. */
const rawTracepoint: readonly Row[] = [["args", 0, 96, up8, no]];

const INET4: readonly AttachTypeName[] = [
  "cgroup_inet4_bind",
  "cgroup_inet4_connect",
  "cgroup_inet4_getpeername",
  "cgroup_inet4_getsockname",
  "cgroup_udp4_sendmsg",
  "cgroup_udp4_recvmsg",
];
const INET6: readonly AttachTypeName[] = [
  "cgroup_inet6_bind",
  "cgroup_inet6_connect",
  "cgroup_inet6_getpeername",
  "cgroup_inet6_getsockname",
  "cgroup_udp6_sendmsg",
  "cgroup_udp6_recvmsg",
];
const CREATE_OR_RELEASE: readonly AttachTypeName[] = ["cgroup_inet_sock_create", "cgroup_inet_sock_release"];

/** Context of each program type in Linux 7.2. */
// biome-ignore format: one row per field, columns
export const CONTEXTS: { readonly [T in ProgramTypeName]: ContextSpec } = {
  socket_filter: struct(SKB, SKB_SIZE, ...skbRows("cb")),
  sched_cls: classifier,
  sched_act: classifier,
  cgroup_skb: struct(SKB, SKB_SIZE, ...skbRows("mark", "priority", "cb"), ...SKB_DATA, ...SKB_ADDRESSES,
    ["tstamp",   152, 8, w8, w8],
    ["hwtstamp", 184, 8, w8, no],
  ),
  sk_skb: struct(SKB, SKB_SIZE, ...skbRows("priority", "tc_index").filter(([name]) => name !== "mark"), ...SKB_DATA, ...SKB_ADDRESSES),
  lwt_in: lwt,
  lwt_out: lwt,
  lwt_xmit: lwt,
  lwt_seg6local: lwt,
  flow_dissector: struct(SKB, SKB_SIZE, ...SKB_DATA, ["flow_keys", 144, 8, w8, no, "flow-keys"]),
  xdp: struct("xdp_md", 24,
    ["data",             0, 4, w4, no, "packet"],
    ["data_end",         4, 4, w4, no, "packet-end"],
    ["data_meta",        8, 4, w4, no, "packet-meta"],
    ["ingress_ifindex", 12, 4, w4, no],
    ["rx_queue_index",  16, 4, w4, no],
    ["egress_ifindex",  20, 4, w4, no, "scalar", ["xdp_devmap"]],
  ),
  cgroup_sock: struct("bpf_sock", 80,
    ["bound_dev_if",      0,  4, w4,  w4, "scalar", CREATE_OR_RELEASE, CREATE_OR_RELEASE],
    ...atStart("family",  4),
    ...atStart("type",    8),
    ...atStart("protocol", 12),
    ["mark",             16,  4, w4,  w4, "scalar", CREATE_OR_RELEASE, CREATE_OR_RELEASE],
    ["priority",         20,  4, w4,  w4, "scalar", CREATE_OR_RELEASE, CREATE_OR_RELEASE],
    ["src_ip4",          24,  4, up4, no, "scalar", ["cgroup_inet4_post_bind"]],
    ["src_ip6",          28, 16, up4, no, "scalar", ["cgroup_inet6_post_bind"]],
    ...atStart("src_port", 44, ["cgroup_inet4_post_bind", "cgroup_inet6_post_bind"]),
    ["dst_port",         48,  2, up2, no],
    ["dst_port",         48,  4, w4,  no],
    ["dst_ip4",          52,  4, up4, no],
    ["dst_ip6",          56, 16, up4, no],
    ...atStart("state",  72),
    ...atStart("rx_queue_mapping", 76),
  ),
  cgroup_sock_addr: struct("bpf_sock_addr", 72,
    ["user_family",  0,  4, w4,  no],
    ["user_ip4",     4,  4, up4, w4,  "scalar", INET4, INET4],
    ["user_ip6",     8, 16, up8, w4 + w8, "scalar", INET6, INET6],
    ["user_port",   24,  4, up4, w4],
    ["family",      28,  4, w4,  no],
    ["type",        32,  4, w4,  no],
    ["protocol",    36,  4, w4,  no],
    ["msg_src_ip4", 40,  4, up4, w4,  "scalar", ["cgroup_udp4_sendmsg"], ["cgroup_udp4_sendmsg"]],
    ["msg_src_ip6", 44, 16, up8, w4 + w8, "scalar", ["cgroup_udp6_sendmsg"], ["cgroup_udp6_sendmsg"]],
    ["sk",          64,  8, w8,  no, "socket"],
  ),
  sock_ops: struct("bpf_sock_ops", 224,
    ["op",              0,  4, w4, no],
    ["reply",           4,  4, w4, w4],
    ["args",            8, 12, w4, no],
    ["fields",         20, 144, w4, no],
    ["sk_txhash",     164,  4, w4, w4],
    ["bytes_received", 168, 8, w8, no],
    ["bytes_acked",   176,  8, w8, no],
    ["sk",            184,  8, w8, no, "socket?"],
    ["skb_data",      192,  8, w8, no, "packet"],
    ["skb_data_end",  200,  8, w8, no, "packet-end"],
    ["skb_len",       208,  4, w4, no],
    ...atStart("skb_tcp_flags", 212),
    ["skb_hwtstamp",  216,  8, w8, no],
  ),
  sk_msg: struct("sk_msg_md", 80,
    ["data",         0,  8, w8, no, "packet"],
    ["data_end",     8,  8, w8, no, "packet-end"],
    ["family",      16,  4, w4, no],
    ["remote_ip4",  20,  4, w4, no],
    ["local_ip4",   24,  4, w4, no],
    ["remote_ip6",  28, 16, w4, no],
    ["local_ip6",   44, 16, w4, no],
    ["remote_port", 60,  4, w4, no],
    ["local_port",  64,  4, w4, no],
    ["size",        68,  4, w4, no],
    ["sk",          72,  8, w8, no, "socket"],
  ),
  sk_reuseport: struct("sk_reuseport_md", 56,
    ["data",          0, 8, w8,  no, "packet"],
    ["data_end",      8, 8, w8,  no, "packet-end"],
    ["len",          16, 4, up4, no],
    ["eth_protocol", 20, 4, w2 + w4, no],
    ["ip_protocol",  24, 4, up4, no],
    ["bind_inany",   28, 4, up4, no],
    ["hash",         32, 4, w4,  no],
    ["sk",           40, 8, w8,  no, "socket"],
    ["migrating_sk", 48, 8, w8,  no, "sock-common?"],
  ),
  sk_lookup: struct("bpf_sk_lookup", 72,
    ["sk",               0,  8, w8,  no, "socket?"],
    ["family",           8,  4, up4, no],
    ["protocol",        12,  4, up4, no],
    ["remote_ip4",      16,  4, up4, no],
    ["remote_ip6",      20, 16, up4, no],
    ["remote_port",     36,  4, up4, no],
    ["local_ip4",       40,  4, up4, no],
    ["local_ip6",       44, 16, up4, no],
    ["local_port",      60,  4, up4, no],
    ["ingress_ifindex", 64,  4, up4, no],
  ),
  cgroup_device: struct("bpf_cgroup_dev_ctx", 12,
    ["access_type", 0, 4, up4, no],
    ["major",       4, 4, w4,  no],
    ["minor",       8, 4, w4,  no],
  ),
  cgroup_sysctl: struct("bpf_sysctl", 8,
    ["write",    0, 4, up4, no],
    ["file_pos", 4, 4, up4, w4],
  ),
  cgroup_sockopt: struct("bpf_sockopt", 40,
    ["sk",         0,  8, w8, no, "socket"],
    ["optval",     8,  8, w8, no, "packet"],
    ["optval_end", 16, 8, w8, no, "packet-end"],
    ["level",      24, 4, w4, w4, "scalar", undefined, ["cgroup_setsockopt"]],
    ["optname",    28, 4, w4, w4, "scalar", undefined, ["cgroup_setsockopt"]],
    ["optlen",     32, 4, w4, w4],
    ["retval",     36, 4, w4, w4, "scalar", ["cgroup_getsockopt"], ["cgroup_getsockopt"]],
  ),
  netfilter: struct("bpf_nf_ctx", 16,
    ["state", 0, 8, w8, no, "btf:nf_hook_state"],
    ["skb",   8, 8, w8, no, "btf:sk_buff"],
  ),
  kprobe: struct("pt_regs", 168, ["registers", 0, 168, up8, up8]),
  perf_event: struct("bpf_perf_event_data", 184,
    ["registers",       0, 168, w8, no],
    ["sample_period", 168,   8, up8, no],
    ["addr",          176,   8, up8, no],
  ),
  tracepoint: struct("the event's record", 8192, ["fields", 8, 8184, up8, no]),
  raw_tracepoint: struct("bpf_raw_tracepoint_args", 96, ...rawTracepoint),
  raw_tracepoint_writable: struct("bpf_raw_tracepoint_args", 96, ["buffer", 0, 8, w8, no, "tp-buffer"], ["args", 1, 95, up8, no]),
  lirc_mode2: struct("one sample", 4, ["sample", 0, 4, w4, no]),
  syscall: struct("bytes from user space", 65535, ["bytes", 0, 65535, up8, up8]),
  tracing: typed("the function's arguments, and its result behind them at its end"),
  lsm: typed("the hook's arguments"),
  struct_ops: typed("the member function's arguments"),
  ext: typed("the context of the program that is extended"),
};

/** What programs may read, and rarely write, behind pointers that the kernel gives them. */
export interface PointerFields {
  /** A socket in any state (struct bpf_sock, as far as every socket has it). */
  readonly "sock-common": ContextSpec;
  /** A full socket (struct bpf_sock). */
  readonly socket: ContextSpec;
  /** A TCP socket (struct bpf_tcp_sock). */
  readonly "tcp-sock": ContextSpec;
  /** An AF_XDP socket (struct bpf_xdp_sock). */
  readonly "xdp-socket": ContextSpec;
  /** Keys of the flow dissector (struct bpf_flow_keys). */
  readonly "flow-keys": ContextSpec;
}

const sockRows = (full: boolean): readonly Row[] => [
  ["bound_dev_if", 0, 4, w4, no],
  ...atStart("family", 4),
  ...(full ? [...atStart("type", 8), ...atStart("protocol", 12)] : []),
  ...(full ? [["mark", 16, 4, w4, no] as Row, ["priority", 20, 4, w4, no] as Row] : []),
  ["src_ip4", 24, 4, up4, no],
  ["src_ip6", 28, 16, up4, no],
  ...atStart("src_port", 44),
  ["dst_port", 48, 2, up2, no],
  ["dst_port", 48, 4, w4, no],
  ["dst_ip4", 52, 4, up4, no],
  ["dst_ip6", 56, 16, up4, no],
  ...atStart("state", 72),
  ...atStart("rx_queue_mapping", 76),
];

/** Fields behind pointers, in Linux 7.2. */
// biome-ignore format: one row per field, columns
export const POINTER_FIELDS: PointerFields = {
  "sock-common": struct("bpf_sock", 80, ...sockRows(false)),
  socket: struct("bpf_sock", 80, ...sockRows(true)),
  "tcp-sock": struct("bpf_tcp_sock", 112,
    ["counters",        0, 80, w4, no],
    ["bytes_received", 80,  8, w8, no],
    ["bytes_acked",    88,  8, w8, no],
    ["dsack_dups",     96, 16, w4, no],
  ),
  "xdp-socket": struct("bpf_xdp_sock", 4, ["queue_id", 0, 4, w4, no]),
  "flow-keys": struct("bpf_flow_keys", 56, ["keys", 0, 56, up8, up8]),
};
