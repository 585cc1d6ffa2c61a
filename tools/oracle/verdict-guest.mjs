// The verifier's cases in the words of the harness, and what a kernel says in the words of the cases.

import { targetKey, typesOf } from "../../packages/core/test/verifier/kernel-types.mjs";
import { askKernel, caseOf, hex } from "./kernel.mjs";
import { GuestScript } from "./kernel-maps.mjs";
import { functionTypes, valueTypes } from "./verdict-btf.mjs";

// Numbers of the kernel's UAPI, by position.
const PROGRAM_TYPES = (
  "unspec socket_filter kprobe sched_cls sched_act tracepoint xdp perf_event cgroup_skb cgroup_sock lwt_in lwt_out lwt_xmit " +
  "sock_ops sk_skb cgroup_device sk_msg raw_tracepoint cgroup_sock_addr lwt_seg6local lirc_mode2 sk_reuseport flow_dissector " +
  "cgroup_sysctl raw_tracepoint_writable cgroup_sockopt tracing struct_ops ext lsm sk_lookup syscall netfilter"
).split(" ");
const ATTACH_TYPES = (
  "cgroup_inet_ingress cgroup_inet_egress cgroup_inet_sock_create cgroup_sock_ops sk_skb_stream_parser sk_skb_stream_verdict " +
  "cgroup_device sk_msg_verdict cgroup_inet4_bind cgroup_inet6_bind cgroup_inet4_connect cgroup_inet6_connect " +
  "cgroup_inet4_post_bind cgroup_inet6_post_bind cgroup_udp4_sendmsg cgroup_udp6_sendmsg lirc_mode2 flow_dissector cgroup_sysctl " +
  "cgroup_udp4_recvmsg cgroup_udp6_recvmsg cgroup_getsockopt cgroup_setsockopt trace_raw_tp trace_fentry trace_fexit " +
  "modify_return lsm_mac trace_iter cgroup_inet4_getpeername cgroup_inet6_getpeername cgroup_inet4_getsockname " +
  "cgroup_inet6_getsockname xdp_devmap cgroup_inet_sock_release xdp_cpumap sk_lookup xdp sk_skb_verdict " +
  "sk_reuseport_select sk_reuseport_select_or_migrate perf_event trace_kprobe_multi lsm_cgroup struct_ops netfilter tcx_ingress " +
  "tcx_egress trace_uprobe_multi cgroup_unix_connect cgroup_unix_sendmsg cgroup_unix_recvmsg cgroup_unix_getpeername " +
  "cgroup_unix_getsockname netkit_primary netkit_peer trace_kprobe_session trace_uprobe_session trace_fsession"
).split(" ");
const FLAGS = { strict: 1, any: 2 };
const [SLEEPABLE, FRAGS] = [1 << 4, 1 << 5];
const [LDDW, CALL, PSEUDO_KFUNC, PSEUDO_FUNC, PSEUDO_MAP_IDX] = [0x18, 0x85, 2, 4, 5];

/** A case as the harness takes it; `fileOf` gives the file of a map that is there already, undefined for one that the case makes. */
function guestCaseOf({ program, type, attach, target, sleepable, frags, alignment, functions, types }, fileOf, kernel) {
  const typed = typesOf(kernel).targets[targetKey({ type, attach, target })];
  const { insns, maps, subprogs, kfuncs } = program;
  const own = maps.filter((map) => fileOf(map) === undefined);
  const files = maps.map((map) => fileOf(map) ?? own.indexOf(map));
  const relocs = [];
  let withTypes = Object.keys(functions).length > 0;
  for (let i = 0; i < insns.length; i += insns.width(i)) {
    if (insns.code(i) === CALL && insns.src(i) === PSEUDO_KFUNC)
      relocs.push({ insn: i, name: kfuncs[insns.imm(i)], kind: "func" });
    withTypes ||= insns.code(i) === LDDW && insns.src(i) === PSEUDO_FUNC;
  }
  return caseOf(program, {
    name: program.name,
    type: numberOf(PROGRAM_TYPES, type),
    flags: (sleepable ? SLEEPABLE : 0) | (frags ? FRAGS : 0) | (FLAGS[alignment] ?? 0),
    per_insn: 0,
    relocs,
    maps: own.map((map) => ({
      type: map.type,
      key: map.keySize,
      value: map.valueSize,
      max: map.maxEntries,
      flags: map.flags,
      ...(map.inner === undefined ? {} : { inner: own.findIndex(({ name }) => name === map.inner) }),
    })),
    map_init: [],
    insns: hex(withFileNumbers(insns.toBytes(), files)),
    ...(types ?? (withTypes ? functionTypes(subprogs, functions, type) : {})),
    ...(attach === undefined ? {} : { expected_attach_type: typed?.member ?? numberOf(ATTACH_TYPES, attach) }),
    ...(typed?.id !== undefined ? { abtfid: typed.id } : target === undefined ? {} : { attach_btf: target }),
  });
}

function numberOf(names, name) {
  const number = names.indexOf(name);
  if (number < 0) throw new Error(`no ${name}`);
  return number;
}

/**
 * Maps by number of file instead of by index; for a map of the case, the number is its index, and the guest puts the file there. A
 * two-slot load whose second half is not one stays as it is.
 */
function withFileNumbers(bytes, files) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let i = 0; i + 8 < bytes.length; i += 8) {
    if (bytes[i] !== LDDW || bytes[i + 8] !== 0) continue;
    const src = bytes[i + 1] >> 4;
    if (src === PSEUDO_MAP_IDX || src === PSEUDO_MAP_IDX + 1) {
      bytes[i + 1] = (bytes[i + 1] & 15) | ((src - 4) << 4);
      view.setInt32(i + 4, files[view.getInt32(i + 4, true)], true);
    }
    i += 8;
  }
  return bytes;
}

/** Maps that the harness cannot make for a case: with fields of the kernel's in their values, or with contents that are fixed. */
const needsScript = ({ fields, frozen }) => fields !== undefined || frozen;

/** Asks a kernel about cases; the answers are as the cases' `linux-` entries, or `{ trouble }` where the guest had something else to say. */
export function askVerdicts(cases, kernel) {
  const script = new GuestScript();
  const files = new Map();
  for (const map of cases.flatMap(({ program }) => program.maps)) {
    const key = JSON.stringify(map);
    if (needsScript(map) && !files.has(key)) files.set(key, createdBy(script, map));
  }
  const fileOf = (map) => files.get(JSON.stringify(map));
  process.env.ORACLE_KERNEL = kernel;
  // Those that use what the script left behind come first: a guest that fails over another case is started anew, without it.
  const order = [...cases.keys()].sort((a, b) => Number(usesScript(cases[b])) - Number(usesScript(cases[a])));
  const asked = order.map((index) => guestCaseOf(cases[index], fileOf, kernel));
  const results = askPatiently([...script.cases, ...asked]);
  script.check(results);
  const answers = [];
  for (const [place, index] of order.entries()) answers[index] = answerOf(results[script.cases.length + place]);
  return answers;
}

/** On a busy machine a guest sometimes fails to boot: that is tried again. */
function askPatiently(cases, tries = 3) {
  try {
    return askKernel("x86_64", cases).results;
  } catch (error) {
    if (tries === 1) throw error;
    return askPatiently(cases, tries - 1);
  }
}

const usesScript = ({ program }) => program.maps.some(needsScript);

function createdBy(script, map) {
  let types;
  if (map.fields !== undefined) {
    const { btf, key, value } = valueTypes(map.keySize, map.valueSize, map.fields);
    types = { file: script.loadTypes(btf), key, value };
  }
  const file = script.createMap(map, types);
  if (map.initial !== undefined) script.fill(file, map.initial);
  if (map.frozen) script.freeze(file);
  return file;
}

/** Some messages end without a new line, and the statistics follow. */
const STATISTICS = /processed (\d+) insns .*/;
const NOISE = /^(processed \d+ insns |verification time |stack depth |$)/;

function answerOf({ crash, verdict, load_errno, log = "", warn = [], reloc_missing, btf_log }) {
  const trouble = crash ?? (warn.length > 0 ? warn.join(", ") : reloc_missing) ?? btf_log;
  if (trouble !== undefined || verdict === undefined) return { trouble: trouble ?? "no verdict" };
  const lines = log.split("\n");
  const processed = lines.map((line) => STATISTICS.exec(line)).findLast((found) => found !== null)?.[1];
  const last = lines.findLast((line) => !NOISE.test(line));
  return {
    verdict,
    ...(verdict === "reject" ? { errno: load_errno, log: masked(last?.replace(STATISTICS, "") ?? "") } : {}),
    ...(processed === undefined ? {} : { processed: Number(processed) }),
  };
}

/** Kernel addresses say nothing that another boot says too. Numbers have a 0x before them. */
const masked = (line) => line.replaceAll(/(?<!0x)\bffff[0-9a-f]{12}\b/g, "<address>").trimEnd();
