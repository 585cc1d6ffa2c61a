// The tables against what real kernels answered.
import {
  ATTACH_TYPES,
  type AttachTypeName,
  allowedHelpers,
  type ContextValue,
  contextAccess,
  contextOf,
  HELPER_IDS,
  type HelperName,
  type KernelProfile,
  LINUX_6_12,
  LINUX_7_2,
  type ProgramTypeName,
  type ProgramTypeSpec,
  programType,
  returnRange,
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
