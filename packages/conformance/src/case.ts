// A conformance case: a program, what it is run with, and what has to come of it; as data, and as text.
import { assemble, BpfError, formatProgram, Insns, type Program, type TrapCause, tryTrust } from "@bpfkit/core";
import { GROUPS, type Group } from "./group.ts";

/** What has to come of a run. */
export type Expectation =
  /** The program ends; where given, r0 (all 64 bits) and the bytes that r1 pointed to are these. */
  | { readonly kind: "result"; readonly value?: bigint; readonly memory?: Uint8Array }
  /** It stops with a trap of this cause; `access` is a load or a store, where code may do either first. */
  | { readonly kind: "trap"; readonly cause: TrapCause | "access" }
  /** It is refused before it runs: it has no shape that an engine could run. */
  | { readonly kind: "reject" };

/** One run of a case's program. */
export interface CaseRun {
  /** What r1 points to, or the packet of a program type that has one. */
  readonly memory?: Uint8Array;
  /** The context structure of a program type that has a packet. */
  readonly context?: Uint8Array;
  /** r1..r5 themselves, in place of memory. */
  readonly args?: readonly bigint[];
  readonly expect: Expectation;
}

/** A program with what it is run with, one run after another. */
export interface ConformanceCase {
  readonly name: string;
  readonly group: Group;
  /** Made when it is asked for: some are long. */
  readonly program: Program;
  readonly runs: readonly CaseRun[];
  /** Most instructions of one run, in the engine's own unit; 100,000 unless told. */
  readonly budget?: number;
}

/**
 * A case as text, in the sections of the public bpf_conformance suite and some more. Every run is `mem`, `context` and `args` as far as
 * it has them, then `result` (r0, and the memory that is left, where they matter), `trap` or `reject`:
 *
 * ```
 * # 64-bit addition
 * -- group
 * base64
 * -- asm
 * r0 = *(u64 *)(r1 + 0)
 * r0 += 2
 * exit
 * -- mem
 * 28 00 00 00 00 00 00 00
 * -- result
 * 0x2a
 * ```
 */
export function formatCase({ name, group, program, runs, budget }: ConformanceCase): string {
  const out = [`# ${name}`, "-- group", group];
  if (program.type !== "syscall") out.push("-- type", program.type);
  if (program.kfuncs.length > 0) out.push("-- kfuncs", ...program.kfuncs);
  if (budget !== undefined) out.push("-- budget", String(budget));
  if (canBeRead(program)) out.push("-- asm", formatProgram(program, { slots: false, labels: true }));
  else out.push("-- raw", hexLines(program.insns.toBytes(), 8));
  for (const { memory, context, args, expect } of runs) {
    if (memory !== undefined) out.push("-- mem", hexLines(memory));
    if (context !== undefined) out.push("-- context", hexLines(context));
    if (args !== undefined) out.push("-- args", args.map(hex).join(" "));
    if (expect.kind === "trap") out.push("-- trap", expect.cause);
    else if (expect.kind === "reject") out.push("-- reject");
    else {
      out.push("-- result");
      if (expect.value !== undefined) out.push(hex(expect.value));
      if (expect.memory !== undefined) out.push("-- after", hexLines(expect.memory));
    }
  }
  return `${out.join("\n")}\n`;
}

/**
 * Reads what {@link formatCase} writes.
 *
 * @throws {BpfError} `syntax` for a section that it does not know or that holds something else
 */
export function parseCase(text: string): ConformanceCase {
  const sections = sectionsOf(text);
  const one = (name: string): string | undefined => sections.find((section) => section.name === name)?.body;
  const name = /^#\s*(.*)$/m.exec(text)?.[1]?.trim() ?? "case";
  const word = (one("group") ?? "base64").trim();
  const group = GROUPS.find((known) => known === word);
  if (group === undefined) throw new BpfError("syntax", `group ${word}`, { expected: GROUPS.join(", ") });
  const budget = one("budget");
  return {
    name,
    group,
    program: programOf(name, one("asm"), one("raw"), one("type")?.trim(), one("kfuncs")?.trim().split(/\s+/)),
    runs: runsOf(sections),
    ...(budget === undefined ? {} : { budget: Number(budget) }),
  };
}

interface Section {
  readonly name: string;
  readonly body: string;
}

const SECTIONS: ReadonlySet<string> = new Set([
  "group", "type", "kfuncs", "budget", "asm", "raw", "mem", "context", "args", "result", "after", "trap", "reject",
]); // biome-ignore format: names

function sectionsOf(text: string): readonly Section[] {
  const parts = text.split(/^--[ \t]*(\w+)[ \t]*$/m);
  const sections: Section[] = [];
  for (let i = 1; i < parts.length; i += 2) {
    const name = parts[i]!;
    if (!SECTIONS.has(name)) throw new BpfError("syntax", `section ${name}`, { expected: [...SECTIONS].join(", ") });
    sections.push({ name, body: parts[i + 1]! });
  }
  return sections;
}

function programOf(
  name: string,
  asm = "",
  raw: string | undefined,
  type = "syscall",
  kfuncs: readonly string[] = [],
): Program {
  if (raw === undefined) return { ...assemble(asm, { type, kfuncs }), name };
  const insns = Insns.fromBytes(bytesOf(raw));
  return { name, type, license: "GPL", insns, subprogs: [{ name: "main", start: 0 }], maps: [], kfuncs };
}

function runsOf(sections: readonly Section[]): readonly CaseRun[] {
  const runs: CaseRun[] = [];
  let input: Omit<CaseRun, "expect"> = {};
  const end = (expect: Expectation): void => {
    runs.push({ ...input, expect });
    input = {};
  };
  for (const { name, body } of sections) {
    const words = body.trim();
    if (name === "mem") input = { ...input, memory: bytesOf(words) };
    else if (name === "context") input = { ...input, context: bytesOf(words) };
    else if (name === "args") input = { ...input, args: words.split(/\s+/).map(numberOf) };
    else if (name === "trap") end({ kind: "trap", cause: words as TrapCause | "access" });
    else if (name === "reject") end({ kind: "reject" });
    else if (name === "result") end({ kind: "result", ...(words === "" ? {} : { value: numberOf(words) }) });
    else if (name === "after") {
      const last = runs.pop();
      if (last?.expect.kind !== "result") throw new BpfError("syntax", "memory without a result before it");
      runs.push({ ...last, expect: { ...last.expect, memory: bytesOf(words) } });
    }
  }
  return runs;
}

function numberOf(text: string): bigint {
  if (!/^-?(0x[0-9a-f]+|\d+)$/i.test(text)) throw new BpfError("syntax", `number ${text}`, { expected: "digits" });
  return BigInt.asUintN(64, text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text));
}

/** Hex digits in pairs, with or without blanks between them. @throws {BpfError} `syntax` */
export function bytesOf(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, "");
  if (!/^([0-9a-f]{2})*$/i.test(digits)) {
    throw new BpfError("syntax", `bytes that are not pairs of hex digits: ${digits.slice(0, 20)}`, {
      expected: "0a ff",
    });
  }
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}

function canBeRead(program: Program): boolean {
  return tryTrust(program).ok;
}

function hexLines(bytes: Uint8Array, width = 16): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += width) {
    lines.push(Array.from(bytes.subarray(at, at + width), (byte) => byte.toString(16).padStart(2, "0")).join(" "));
  }
  return lines.join("\n");
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
