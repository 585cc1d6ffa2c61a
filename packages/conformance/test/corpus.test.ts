import { INSNS, interpreter, KINDS, OPS, type Op, opAt, registersOf, tryTrust } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import {
  type CaseFailure,
  CaseRunner,
  type ConformanceCase,
  corpus,
  formatCase,
  GROUPS,
  groupOf,
  parseCase,
} from "../src/index.ts";

/** Engines refuse these by name. */
const UNSUPPORTED = ["addrSpaceCast", "gotox", "tailCall", "callx"];
/** Too long to go over slot by slot here. */
const LONG = 5000;

const short = corpus().filter(({ program }) => program.insns.length < LONG && tryTrust(program).ok);

function opsOf({ program: { insns } }: ConformanceCase): ReadonlySet<Op> {
  const ops = new Set<Op>();
  for (let at = 0; at < insns.length; at += insns.width(at)) ops.add(OPS[opAt(insns, at)]!);
  return ops;
}

describe("the corpus", () => {
  test("holds on the interpreter, case by case", { timeout: 120_000 }, () => {
    const runner = new CaseRunner(interpreter);
    const failures: [string, CaseFailure][] = [];
    for (const one of corpus()) {
      const failure = runner.run(one);
      if (failure !== undefined) failures.push([one.name, failure]);
    }
    expect(failures).toEqual([]);
  });

  test("has a case for every instruction that engines take", () => {
    const seen = new Set(short.flatMap((one) => [...opsOf(one)]));
    // Maps belong to the kernel package's tests, file descriptors and BTF ids to no engine.
    const missing = OPS.filter((op) => !seen.has(op) && !UNSUPPORTED.includes(INSNS[op].kind));
    expect(missing).toEqual(["lddw_map_fd", "lddw_map_value", "lddw_btf_id", "lddw_map_idx", "lddw_map_idx_value"]);
    expect(KINDS.filter((kind) => UNSUPPORTED.includes(kind))).toHaveLength(UNSUPPORTED.length);
  });

  test("has each of r0 to r9 in each instruction that names registers", () => {
    const used = new Map<Op, number>();
    for (const { program } of short) {
      const { insns } = program;
      for (let at = 0; at < insns.length; at += insns.width(at)) {
        const op = opAt(insns, at);
        used.set(OPS[op]!, (used.get(OPS[op]!) ?? 0) | registersOf(insns, at, op));
      }
    }
    const partial = OPS.filter((op) => {
      const named = /[rw][DS]/.test(INSNS[op].text) && used.has(op);
      const fixed = INSNS[op].kind === "packetLoad" || op === "lddw_subprog";
      return named && !fixed && (used.get(op)! & 0x3ff) !== 0x3ff;
    });
    expect(partial).toEqual([]);
  });

  test("names its cases apart, in groups that have cases", () => {
    const names = corpus().map(({ name }) => name);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
    expect(GROUPS.filter((group) => !corpus().some((one) => one.group === group))).toEqual([]);
  });

  test("begins with every instruction that it has families for", () => {
    const early = new Set(short.slice(0, 600).flatMap((one) => [...opsOf(one)]));
    const seen = new Set(short.flatMap((one) => [...opsOf(one)]));
    expect([...seen].filter((op) => !early.has(op))).toEqual([]);
  });

  test("reads back from its own text", { timeout: 60_000 }, () => {
    for (const one of corpus().filter((_, i) => i % 9 === 0)) {
      if (one.program.insns.length >= LONG) continue;
      const text = formatCase(one);
      const read = parseCase(text);
      expect(formatCase(read)).toBe(text);
      expect(read.program.insns.words, one.name).toEqual(one.program.insns.words);
      expect(read.runs.map(({ expect: { kind } }) => kind)).toEqual(one.runs.map(({ expect: { kind } }) => kind));
    }
  });
});

describe("groups", () => {
  test.each([
    ["add32_imm", "base32"],
    ["add64_reg", "base64"],
    ["mul32_imm", "divmul32"],
    ["div64_imm", "divmul64"],
    ["smod32_reg", "divmul32-v4"],
    ["lddw", "base64"],
    ["load32", "base32"],
    ["load64", "base64"],
    ["loadsx8", "base64-v4"],
    ["jeq32_imm", "base32"],
    ["jeq64_imm", "base64"],
    ["ja", "base32"],
    ["gotol", "base32-v4"],
    ["call_helper", "base32"],
    ["exit", "base32"],
    ["le16", "base32"],
    ["be64", "base64"],
    ["bswap16", "base32-v4"],
    ["bswap64", "base64-v4"],
    ["cmpxchg32", "atomic32"],
    ["atomic_add64", "atomic64"],
    ["xchg32", "atomic32"],
    ["ld_abs8", "packet"],
    ["load_acquire8", "linux"],
    ["may_goto", "linux"],
    ["call_kfunc", "linux"],
  ] as const)("%s belongs to %s", (op, group) => {
    expect(groupOf(op)).toBe(group);
  });
});

describe("text of a case", () => {
  test("is refused with what is wrong in it", () => {
    expect(() => parseCase("-- frob\n")).toThrow("section frob");
    expect(() => parseCase("-- group\nfrob\n-- asm\nexit\n")).toThrow("group frob");
    expect(() => parseCase("-- asm\nr0 = 0\nexit\n-- mem\n0g\n-- result\n")).toThrow("pairs of hex digits: 0g");
    expect(() => parseCase("-- asm\nr0 = 0\nexit\n-- result\nfive\n")).toThrow("number five");
    expect(() => parseCase("-- asm\nr0 = 0\nexit\n-- after\n00\n")).toThrow("memory without a result");
  });
});
