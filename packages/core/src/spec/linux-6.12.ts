// Linux 6.12.
import { KPROBE_READ_ONLY } from "./contexts.ts";
import type { HelperGap, KernelProfile } from "./kernel-profile.ts";
import { PROGRAM_TYPES, type ProgramTypeName } from "./program-type-names.ts";

const ALL = Object.keys(PROGRAM_TYPES) as ProgramTypeName[];
const TRACING: readonly ProgramTypeName[] = [
  "kprobe",
  "tracepoint",
  "perf_event",
  "raw_tracepoint",
  "raw_tracepoint_writable",
  "tracing",
  "lsm",
  "syscall",
];
const CGROUP: readonly ProgramTypeName[] = [
  "cgroup_sock",
  "cgroup_device",
  "cgroup_sock_addr",
  "cgroup_sysctl",
  "cgroup_sockopt",
];
const except = (...groups: readonly (readonly ProgramTypeName[])[]): readonly ProgramTypeName[] =>
  ALL.filter((type) => !groups.some((group) => group.includes(type)));

const LACKS: readonly HelperGap[] = [
  {
    types: except(TRACING),
    helpers: [
      "perf_event_read",
      "perf_event_read_value",
      "send_signal",
      "send_signal_thread",
      "get_task_stack",
      "copy_from_user",
      "copy_from_user_task",
      "task_storage_get",
      "task_storage_delete",
      "get_branch_snapshot",
      "find_vma",
    ],
  },
  { types: except(TRACING, CGROUP), helpers: ["get_current_comm", "current_task_under_cgroup"] },
  { types: except(TRACING, CGROUP, ["sk_msg"]), helpers: ["get_current_uid_gid"] },
  {
    types: except(CGROUP, ["sched_cls", "sched_act", "lwt_in", "lwt_out", "lwt_xmit", "lwt_seg6local", "sk_msg"]),
    helpers: ["get_cgroup_classid"],
  },
  { types: ["socket_filter", "cgroup_skb", "sched_cls", "sched_act"], helpers: ["get_netns_cookie"] },
  { types: ["cgroup_sock"], helpers: ["setsockopt", "getsockopt"] },
  { types: ["tracing"], attachTypes: ["trace_raw_tp"], helpers: ["get_func_arg", "get_func_arg_cnt"] },
];

/** What Linux 6.12 allows. */
export const LINUX_6_12: KernelProfile = {
  version: "6.12",
  limits: {
    programInsns: 1_000_000,
    processedInsns: 1_000_000,
    pendingBranches: 8192,
    statesPerInsn: 64,
    callFrames: 8,
    stackBytes: 512,
    stackBytesAboveTailCall: 256,
    subprograms: 256,
    maps: 64,
    pointerOffset: 2 ** 29,
    memorySize: 2 ** 29,
    packetOffset: 0xffff,
    tailCalls: 33,
    mayGotoIterations: 2 ** 23,
    loopIterations: 2 ** 23,
  },
  registersBytes: 168,
  privateStacks: [],
  tailCallsChangePacket: true,
  attachTypes: 57,
  mapTypes: 34,
  sleeplessMaps: ["prog_array", "lpm_trie"],
  lacks: LACKS,
  mapPointers: { 0: "ops", 8: "inner_map_meta", 16: "security", 56: "record", 80: "btf", 88: "objcg" },
  contexts: { kprobe: KPROBE_READ_ONLY },
};
