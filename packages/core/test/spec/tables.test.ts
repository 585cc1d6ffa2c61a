// The tables against what real kernels answered.
import {
  ATTACH_TYPES,
  type AttachTypeName,
  allowedHelpers,
  type ContextValue,
  contextAccess,
  contextFieldAt,
  contextOf,
  HELPER_IDS,
  type HelperArg,
  type HelperName,
  type HelperResult,
  helperArgs,
  helperByName,
  type KernelProfile,
  LINUX_6_12,
  LINUX_7_2,
  MAP_FLAGS,
  MAP_TYPES,
  type MapTypeName,
  mapType,
  POINTER_FIELDS,
  type PointerFields,
  type ProgramTypeName,
  type ProgramTypeSpec,
  programType,
  returnRange,
  type SizeRule,
} from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { answersOf, type Situation } from "./kernel-answers.ts";

/** What the kernel calls the values of loads. */
const VALUES: { readonly [V in ContextValue]: string } = {
  scalar: "scalar",
  packet: "pkt",
  "packet-end": "pkt_end",
  "packet-meta": "pkt_meta",
  socket: "sock",
  "socket?": "sock_or_null",
  "sock-common?": "sock_common_or_null",
  "flow-keys": "flow_keys",
  "tp-buffer": "tp_buffer",
  "btf:nf_hook_state": "trusted_ptr_nf_hook_state",
  "btf:sk_buff": "trusted_ptr_sk_buff",
};

/** Helpers of the UAPI that the kernels which were asked are built without. */
const NOT_BUILT: readonly HelperName[] = ["override_return"];

/** Kernels whose files have answers about calls, maps and pointers as well. */
const ASKED_ABOUT_ALL: readonly KernelProfile[] = [LINUX_7_2, LINUX_6_12];

const nameOf = ({ type, attachType }: Situation): string => (attachType === undefined ? type : `${type} ${attachType}`);

function specOf({ type }: Situation): ProgramTypeSpec {
  const spec = programType(type);
  expect(spec, type).toBeDefined();
  return spec!;
}

const attachOf = ({ attachType }: Situation): AttachTypeName | undefined => attachType as AttachTypeName | undefined;

function expectedHelpers(profile: KernelProfile, situation: Situation): HelperName[] {
  const allowed = allowedHelpers(profile, situation.type as ProgramTypeName, attachOf(situation));
  return [...allowed].filter((name) => !NOT_BUILT.includes(name)).sort();
}

describe.each([LINUX_7_2, LINUX_6_12])("Linux $version", (profile) => {
  const { situations, attachTypes } = answersOf(profile.version);
  const NAMES = Object.keys(HELPER_IDS) as HelperName[];

  test.each(situations.map((situation) => [nameOf(situation), situation] as const))("%s has these helpers", (_, s) => {
    const real = NAMES.filter((name) => s.helpers.has(HELPER_IDS[name])).sort();
    expect(expectedHelpers(profile, s)).toEqual(real);
  });

  test.each(situations.filter((s) => s.accesses.size > 0).map((situation) => [nameOf(situation), situation] as const))(
    "%s may access its context like this",
    (_, s) => {
      const spec = specOf(s);
      const context = contextOf(profile, spec);
      if (context.typed) return;
      const ours = new Map<string, string>();
      for (const offset of offsetsOf(context.size)) {
        for (const width of [1, 2, 4, 8]) {
          const read = contextAccess(profile, spec, attachOf(s), offset, width, false);
          if (read !== undefined) ours.set(`read ${width} ${offset}`, VALUES[read.as]);
          if (contextAccess(profile, spec, attachOf(s), offset, width, true)) ours.set(`write ${width} ${offset}`, "");
        }
      }
      const real = [...s.accesses].filter(([key]) => !isBeforeRecord(s, key));
      expect([...ours].sort()).toEqual(real.sort());
    },
  );

  test.each(situations.map((situation) => [nameOf(situation), situation] as const))("%s may return this", (_, s) => {
    // Of these the target's type decides.
    if (s.type === "lsm" || s.type === "struct_ops") return;
    const range = returnRange(profile, specOf(s), attachOf(s));
    expect(range === undefined ? "anything" : `${range.min}..${range.max}`).toBe(s.returns);
  });

  test.each(situations.map((situation) => [nameOf(situation), situation] as const))("%s may use packets so", (_, s) => {
    const { packet, packetLoads } = specOf(s);
    expect(s.lines.has("packet loads")).toBe(packetLoads);
    expect(s.lines.has("packet read")).toBe(packet !== "none");
    expect(s.lines.has("packet write")).toBe(packet === "write");
  });

  test.each([...attachTypes].filter(([, numbers]) => numbers.size > 0))(
    "%s can be loaded for these",
    (type, numbers) => {
      const spec = programType(type)!;
      const ours: number[] = spec.attachTypes
        .map((name) => ATTACH_TYPES[name])
        .filter((number) => number < profile.attachTypes);
      for (const number of ours) expect(numbers).toContain(number);
      // Zero is also what is there when nobody names an attach type.
      const others = [...numbers].filter((number) => number !== 0 && !ours.includes(number));
      expect(others.length > 0).toBe(!spec.needsAttachType && type !== "syscall");
    },
  );
});

/** What the kernel says it wants, for each of our words; sizes of keys and values are those of the map that was tried. */
function wanted(arg: HelperArg): RegExp {
  const [word, size] = arg.replace(/\?$/, "").split(":") as [string, string?];
  const nullable = arg.endsWith("?") ? "\\?" : "";
  const ofSize = size === undefined ? "" : `=${size}`;
  if (word === "btf") return new RegExp(`^btf${nullable}$`);
  if (/^(in|out|inout)$/.test(word)) return new RegExp(`^mem${nullable}${ofSize}${word === "in" ? "" : "!"}$`);
  return new RegExp(`^${WANTED[arg] ?? word}$`);
}

const WANTED: { readonly [A in HelperArg]?: string } = {
  number: "scalar",
  context: "ctx",
  "context?": "ctx\\?",
  map: "map_ptr",
  key: "mem=\\d+",
  value: "mem=\\d+",
  "value-out": "mem=\\d+!",
  size: "scalar>0",
  size0: "scalar",
  "alloc-size": "scalar",
  "map-memory": "mem!",
  string: "map_value",
  callback: "func",
  "stack?": "fp\\?",
  "spin-lock": "lock",
  timer: "map_value",
  record: "ringbuf_mem",
  "dynptr-out": "dynptr",
};

/** What the kernel calls the results of helpers. */
const RESULTS: { readonly [R in HelperResult]?: string } = {
  integer: "scalar",
  void: "nothing",
  "map-value": "map_value",
  "map-value?": "map_value_or_null",
  "record?": "ringbuf_mem_or_null",
  "memory?": "mem_or_null",
  "socket?": "sock_or_null",
  "sock-common?": "sock_common_or_null",
  "tcp-sock?": "tcp_sock_or_null",
};

/**
 * Where Linux 6.12 does not say what happens: it lets these write a map that programs may not write, takes anything for the value of
 * set_retval, and has fewer ways to hold kernel pointers.
 */
const LAX_IN_6_12 =
  "get_stack:2 fib_lookup:2 sysctl_get_name:2 read_branch_records:2 snprintf_btf:1 snprintf:1 set_retval:1 kptr_xchg:1";

describe.each(ASKED_ABOUT_ALL)("helpers of Linux $version", (profile) => {
  const { calls } = answersOf(profile.version);

  test("all but those that no program type there has were asked", () => {
    expect(calls.length).toBeGreaterThanOrEqual(207);
    const asked = calls.flatMap(({ args }) => args.filter((arg) => arg !== "unasked")).length;
    expect(asked).toBeGreaterThan(480);
    expect(calls.filter(({ call }) => call === "fine").length).toBeGreaterThan(170);
  });

  test.each(calls.map((call) => [call.helper, call] as const))("%s", (name, { type, call, gives, args, effects }) => {
    if (NOT_BUILT.includes(name as HelperName)) return;
    const spec = helperByName(name)!;
    const ours = helperArgs(spec, type as ProgramTypeName);
    expect(args).toHaveLength(ours.length);
    for (const [index, arg] of args.entries()) {
      const isLax = profile.version === "6.12" && LAX_IN_6_12.split(" ").includes(`${name}:${index + 1}`);
      if (arg !== "unasked" && !isLax) expect(arg, `argument ${index + 1}`).toMatch(wanted(ours[index]!));
    }
    // Behind a call that calls back the kernel shows the callback's registers. Names of structures end at their first digit.
    const isShown = gives !== "unasked" && call === "fine" && !ours.includes("callback");
    const result = RESULTS[spec.returns] ?? pointerName(spec.returns).replace(/\d.*$/, "");
    if (isShown) expect(gives.replace(/\d.*$/, "")).toBe(result);
    expect(effects.has("gpl"), "licence").toBe(spec.gpl === true);
    expect(effects.has("sleeps"), "sleep").toBe(spec.sleeps === true);
    if (call === "unasked") return;
    expect(effects.has("acquires"), "reference").toBe(spec.acquires === true);
    if (call === "refused") return;
    const moves = spec.changesPacket === true || (name === "tail_call" && profile.tailCallsChangePacket);
    expect(effects.has("moves"), "packet").toBe(moves);
  });
});

/** What the kernel calls a pointer with BTF type: `btf:tcp_sock?` is `ptr_or_null_tcp_sock`. */
function pointerName(result: HelperResult): string {
  const [, struct, nullable] = /^btf:(\w+)(\??)$/.exec(result) ?? [];
  const trusted = struct === "task_struct" ? "trusted_" : "";
  return `${trusted}ptr_${nullable ? "or_null_" : ""}${struct}`;
}

describe.each(ASKED_ABOUT_ALL)("maps of Linux $version", (profile) => {
  const { maps } = answersOf(profile.version);

  test.each(maps.map((map) => [map.name, map] as const))("%s", (name, map) => {
    const spec = mapType(MAP_TYPES[name as MapTypeName])!;
    const fits = ({ min, max = Number.POSITIVE_INFINITY, step }: SizeRule, size: number): boolean =>
      size >= min && size <= max && (size - min) % step === 0;
    expect(SIZES.filter((size) => fits(spec.key, size))).toEqual(map.keys);
    expect(SIZES.filter((size) => fits(spec.value, size))).toEqual(map.values);
    expect(ENTRIES[spec.entries]).toEqual(map.entries);
    const flags = map.flags.reduce((bits, bit) => bits | (1 << bit), 0);
    expect(spec.flags & ~notAlone(profile, name)).toBe(flags);
    expect(spec.requiredFlags === 0).toBe(map.bare);
    if (!NOT_LOADED.includes(name)) {
      const unknown = UNKNOWN_WITH[name] ?? [];
      expect(spec.helpers.filter((helper) => !NOT_ASKED.includes(helper)).sort()).toEqual(
        map.helpers.filter((helper) => !unknown.includes(helper)).sort(),
      );
      expect(spec.directValue).toBe(map.abilities.includes("direct"));
      expect(spec.sleepable && !profile.sleeplessMaps.includes(spec.name)).toBe(map.abilities.includes("sleepable"));
    }
  });
});

const SIZES = [
  0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 32, 256, 260, 261, 264, 512, 513, 1016, 1024, 32768, 32769,
];
const ENTRIES = { any: [1, 3, 4096, 8192], zero: [0], pages: [4096, 8192] };
/** Such maps have to be filled in before a program can be loaded with them. */
const NOT_LOADED = ["arena", "insn_array"];
/** No program at hand has the pointer that these want before the map. */
const NOT_ASKED: readonly string[] = ["skb_output", "xdp_output"];
/** Refused for another reason, so that nothing is known. */
const UNKNOWN_WITH: { readonly [map: string]: readonly string[] } = {
  sockmap: ["map_push_elem"],
  sockhash: ["map_push_elem"],
};

/** Flags that want something else as well: values of 32 bytes; or that a version does not have. */
function notAlone({ version }: KernelProfile, map: string): number {
  if (map === "stack_trace") return MAP_FLAGS.stack_build_id;
  return map === "ringbuf" && version === "6.12" ? MAP_FLAGS.rb_overwrite : 0;
}

describe.each(ASKED_ABOUT_ALL)("pointers in Linux $version", (profile) => {
  const { pointers } = answersOf(profile.version);

  test.each([...pointers])("to %s", (name, accesses) => {
    const spec = POINTER_FIELDS[name as keyof PointerFields];
    const ours: string[] = [];
    for (let offset = -8; offset < 128; offset++) {
      for (const width of [1, 2, 4, 8]) {
        if (contextFieldAt(spec, undefined, offset, width, false)) ours.push(`read ${width} ${offset}`);
        if (contextFieldAt(spec, undefined, offset, width, true)) ours.push(`write ${width} ${offset}`);
      }
    }
    expect(ours.sort()).toEqual([...accesses.keys()].sort());
  });
});

/** Offsets that the kernels were asked for: all of a small context, both ends of a large one. */
function offsetsOf(size: number): number[] {
  const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
  if (size < 1000) return [-8, ...range(0, size + 16)];
  const end = Math.min(size, 32760);
  return [-8, ...range(0, 24), ...range(end - 16, Math.min(size + 16, 32760))];
}

/** Kernels let tracepoint programs read in front of the record, which is a mistake of theirs. */
function isBeforeRecord({ type }: Situation, key: string): boolean {
  return type === "tracepoint" && key.endsWith(" -8");
}
