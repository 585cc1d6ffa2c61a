// What real kernels say of the tables in packages/core/src/spec: which helpers a program type has, which accesses to its context are
// fine and what a load gives, what it may return, what it may be loaded for. The answers are the text files beside the tables' tests.
//
//   node tools/oracle/spec.mjs [--write] [6.12 7.2]
//
// BPFKIT_ORACLE is the folder that holds the kernel's side. Without --write it only says where an answer differs from the files.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ATTACH_TYPES, HELPERS, LINUX_6_12, LINUX_7_2, PROGRAM_TYPES } from "@bpfkit/core";
import { askKernel } from "./kernel.mjs";
import { callCases, lineOfCall, linesOfMaps, POINTER_NAMES, pointerCases } from "./spec-calls.mjs";
import { FIRST, situations } from "./spec-situations.mjs";
import { vmlinuxBtf } from "./vmlinux-btf.mjs";

const ARCH = "x86_64";
const FOLDER = new URL("../../packages/core/test/spec/", import.meta.url);
const [MOV, EXIT, CALL, LD_ABS, JGT, ADD] = [0xb7, 0x95, 0x85, 0x30, 0x2d, 0x07];
const LOAD = { 1: 0x71, 2: 0x69, 4: 0x61, 8: 0x79 };
const STORE = { 1: 0x73, 2: 0x6b, 4: 0x63, 8: 0x7b };
const PRANDOM = 7;
const MAX_OFFSET = 32760;
/** Sizes of contexts; programs of other types get 48 bytes. */
const SIZES = {
  192: "socket_filter sched_cls sched_act cgroup_skb lwt_in lwt_out lwt_xmit lwt_seg6local sk_skb flow_dissector",
  24: "xdp",
  80: "cgroup_sock sk_msg",
  224: "sock_ops",
  12: "cgroup_device",
  96: "raw_tracepoint raw_tracepoint_writable",
  72: "cgroup_sock_addr sk_lookup",
  56: "sk_reuseport",
  8: "cgroup_sysctl",
  40: "cgroup_sockopt",
  65535: "syscall",
  16: "netfilter",
  168: "kprobe",
  184: "perf_event",
  8192: "tracepoint",
};

const exit = (value) => [
  [MOV, 0, 0, 0, value],
  [EXIT, 0, 0, 0, 0],
];
const range = (from, to) => Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
const fits = (offset, width) => offset % width === 0;

/** A value that programs of this situation may return. */
const result = ({ type }) => (type === "cgroup_sock_addr" ? 1 : 0);

function sizeOf(type) {
  const found = Object.entries(SIZES).find(([, types]) => types.split(" ").includes(type));
  return found === undefined ? 48 : Number(found[0]);
}

/** Offsets that are asked: all of a small context, both ends of a large one. */
function offsetsOf(type) {
  const size = sizeOf(type);
  if (size < 1000) return [-8, ...range(0, size + 16)];
  return [-8, ...range(0, 24), ...range(Math.min(size, MAX_OFFSET) - 16, Math.min(size + 16, MAX_OFFSET))];
}

function helperCases(situation) {
  return range(1, HELPERS.length).map((id) => ({
    ...situation.rest,
    key: ["helper", id],
    insns: [[CALL, 0, 0, 0, id], ...exit(result(situation))],
  }));
}

function contextCases(situation) {
  const end = exit(result(situation));
  return offsetsOf(situation.type).flatMap((offset) =>
    [1, 2, 4, 8]
      .filter((width) => fits(offset, width) || situation.name === "xdp")
      .flatMap((width) => [
        { ...situation.rest, log_level: 2, log_tail: 20000, key: ["read", offset, width], insns: [[LOAD[width], 0, 1, offset, 0], ...end] },
        { ...situation.rest, key: ["write", offset, width], insns: [[MOV, 2, 0, 0, 0], [STORE[width], 1, 2, offset, 0], ...end] },
      ]),
  ); // biome-ignore format: one line per case
}

function otherCases(situation) {
  const end = exit(result(situation));
  return [
    { ...situation.rest, key: ["return"], insns: [[CALL, 0, 0, 0, PRANDOM], [EXIT, 0, 0, 0, 0]] },
    { ...situation.rest, key: ["packet load"], insns: [[0xbf, 6, 1, 0, 0], [LD_ABS, 0, 0, 0, 0], ...end] },
  ]; // biome-ignore format: one line per case
}

/** Reads and writes the packet, where the context has its bounds at these offsets. */
function packetCases(situation, data, dataEnd, width) {
  const end = exit(result(situation));
  const bounds = [
    [LOAD[width], 2, 1, data, 0],
    [LOAD[width], 3, 1, dataEnd, 0],
    [0xbf, 4, 2, 0, 0],
    [ADD, 4, 0, 0, 8],
    [JGT, 4, 3, 1, 0],
  ];
  return [
    { ...situation.rest, key: ["packet read"], insns: [...bounds, [LOAD[1], 5, 2, 0, 0], ...end] },
    { ...situation.rest, key: ["packet write"], insns: [...bounds, [0x72, 2, 0, 0, 0], ...end] },
  ];
}

function ask(kernel, cases) {
  const named = cases.map(({ key, situation, ...rest }, index) => ({ ...rest, name: rest.name ?? String(index) }));
  const { results } = askKernel(ARCH, named, kernel);
  return results.map((answer, index) => ({ ...answer, key: cases[index].key, situation: cases[index].situation }));
}

const withSituation = (situation) => (list) => list.map((row) => ({ ...row, situation: situation.name }));

/** Consecutive numbers, `step` apart, as `1..5`. */
function spans(numbers, step) {
  const out = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = out.at(-1);
    if (last !== undefined && number === last[1] + step) last[1] = number;
    else out.push([number, number]);
  }
  return out.map(([from, to]) => (from === to ? String(from) : `${from}..${to}`)).join(" ");
}

/** What a kernel calls the value that a load gave. */
function loadedValue(log) {
  const value = /r0 = \*\(u\d+ \*\)\(r1 [-+]\d+\) *; R0(?:_w)?=([a-z_]*)/.exec(log ?? "")?.[1];
  return value === undefined ? "unknown" : value === "" ? "scalar" : value;
}

/** Which loads and stores were fine, by width and by what they give. */
function accessLinesOf(answers) {
  const accesses = new Map();
  for (const { key: [what, offset, width], verdict, log } of answers) {
    if ((what !== "read" && what !== "write") || verdict !== "accept") continue;
    const line = what === "read" ? `read ${width} ${loadedValue(log)}` : `write ${width}`;
    accesses.set(line, [...(accesses.get(line) ?? []), offset]);
  }
  return [...accesses]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([line, offsets]) => `${line}: ${spans(offsets, Number(line.split(" ")[1]))}`);
} // biome-ignore format: one line per condition

/** Lines of one situation. */
function linesOf(answers) {
  const lines = [];
  const known = answers.filter(({ key, log }) => key[0] === "helper" && !/cannot use helper|unknown func|invalid func/.test(log ?? ""));
  lines.push(`helpers ${spans(known.map(({ key }) => key[1]), 1)}`);
  lines.push(...accessLinesOf(answers));
  for (const { key: [what], verdict, log } of answers) {
    if (what === "return") lines.push(`returns ${/should have been in \[(-?\d+), (-?\d+)\]/.exec(log ?? "")?.slice(1).join("..") ?? "anything"}`);
    if (what === "packet load" && verdict === "accept") lines.push("packet loads");
    if (what.startsWith("packet ") && what !== "packet load" && verdict === "accept") lines.push(what);
  }
  return lines;
} // biome-ignore format: long conditions

/** The answers of a kernel as text. */
export function answersOf(kernel) {
  const all = situations({ PROGRAM_TYPES, ATTACH_TYPES }, vmlinuxBtf(ARCH, kernel));
  const base = ask(kernel, [
    ...FIRST.map((row) => ({ ...row, key: [] })),
    ...all.map((situation) => ({ ...situation.rest, key: [situation.name], insns: exit(result(situation)) })),
  ]);
  const loaded = new Set(base.filter(({ verdict }) => verdict === "accept").map(({ key }) => key[0]));
  const usable = all.filter(({ name }) => loaded.has(name));
  // What an access does is the same for all attach types of a kprobe.
  const cases = usable.flatMap((situation) =>
    withSituation(situation)([
      ...helperCases(situation),
      ...(situation.type === "kprobe" && situation.attach !== "-" ? [] : contextCases(situation)),
      ...otherCases(situation),
    ]),
  );
  const answers = ask(kernel, cases);
  const withPacket = usable.flatMap((situation) => {
    const loads = answers.filter(({ key, situation: name, verdict }) => name === situation.name && key[0] === "read" && verdict === "accept");
    const [data, end] = ["pkt", "pkt_end"].map((value) => loads.find(({ log }) => loadedValue(log) === value)?.key);
    return data && end ? withSituation(situation)(packetCases(situation, data[1], end[1], data[2])) : [];
  }); // biome-ignore format: long conditions
  const packets = ask(kernel, withPacket);
  const types = Object.entries(PROGRAM_TYPES).filter(([type]) => !/^(tracing|lsm|struct_ops|ext)$/.test(type));
  const attach = ask(
    kernel,
    types.flatMap(([type, number]) =>
      range(0, 64).map((value) => ({
        type: number,
        expected_attach_type: value,
        flags: type === "syscall" ? 16 : 0,
        key: [type, value],
        insns: exit(/_addr|netfilter|sk_lookup/.test(type) ? 1 : 0),
      })),
    ),
  );
  const called = usable.filter(({ attach }) => attach === "-" || ATTACH_TYPES[attach] < PROFILES[kernel].attachTypes);
  const calls = ask(
    kernel,
    HELPERS.slice(1).flatMap((helper) => callCases(helper, called, PROFILES[kernel])),
  );
  const maps = linesOfMaps((cases) => ask(kernel, cases), called, PROFILES[kernel]);
  const pointers = ask(kernel, pointerCases(called));
  const groups = new Map();
  for (const { name } of usable) {
    const text = linesOf([...answers, ...packets].filter(({ situation }) => situation === name)).join("\n");
    groups.set(text, [...(groups.get(text) ?? []), name]);
  }
  return [
    `# Answers of Linux ${kernel}; tools/oracle/spec.mjs asks.`,
    ...[...groups].map(([text, names]) => `\n[${names.join(", ")}]\n${text}`),
    "\n[calls]",
    ...HELPERS.slice(1).flatMap((helper) => {
      const of = calls.filter(({ key }) => key[0] === helper.name);
      return of.length === 0 ? [] : [lineOfCall(helper, of)];
    }),
    "\n[maps]",
    ...maps,
    ...POINTER_NAMES.map((name) => {
      const of = pointers.filter(({ situation }) => situation === name);
      return `\n[to ${name}]\n${accessLinesOf(of).join("\n")}`;
    }),
    "\n[attach types]",
    ...types.map(([type]) => {
      const numbersOf = attach.filter(({ key, verdict }) => key[0] === type && verdict === "accept");
      return `${type} ${spans(
        numbersOf.map(({ key }) => key[1]),
        1,
      )}`;
    }),
    "",
  ].join("\n");
}

const PROFILES = { 7.2: LINUX_7_2, 6.12: LINUX_6_12 };
const fileOf = (kernel) => new URL(`linux-${kernel}.txt`, FOLDER);

/** Asks both kernels again, and says which lines are not in the files. */
export function compareSpec(kernels = Object.keys(PROFILES)) {
  let lines = 0;
  const differences = kernels.flatMap((kernel) => {
    const known = new Set(readFileSync(fileOf(kernel), "utf8").split("\n"));
    const now = answersOf(kernel).split("\n");
    lines += now.length;
    return now.filter((line) => !known.has(line)).map((line) => `Linux ${kernel}: ${line}`);
  });
  return { differences, summary: `${lines} lines of answers, ${differences.length} new` };
}

function main(args) {
  if (!process.env.BPFKIT_ORACLE) {
    console.log("BPFKIT_ORACLE is not set: nobody to ask, skipped");
    return;
  }
  const named = args.filter((arg) => !arg.startsWith("--"));
  const kernels = named.length > 0 ? named : Object.keys(PROFILES);
  if (args.includes("--write")) {
    for (const kernel of kernels) writeFileSync(fileOf(kernel), answersOf(kernel));
    return;
  }
  const { differences, summary } = compareSpec(kernels);
  for (const line of differences) console.log(line);
  console.log(summary);
  process.exitCode = differences.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2));
