// The door for work on conformance, whose programs nobody has proved safe: it checks only that they have a shape that engines can run.
import { Mark, type Structure, structureOf } from "./analysis/structure.ts";
import { printInsn } from "./asm/print.ts";
import { BpfError, type ErrorDetails } from "./errors.ts";
import { kindOf, OPS, opAt, registersOf, reservedFieldOf } from "./isa/decode.ts";
import { INSNS, type InsnKind } from "./isa/opcodes.ts";
import { targetOf } from "./isa/targets.ts";
import type { Program, Subprog, VerifiedProgram } from "./program.ts";

const [LDDW, FETCH, CMPXCHG, PSEUDO_BTF, PSEUDO_FUNC] = [0x18, 0x01, 0xf1, 3, 4];
const FRAME_POINTER = 10;
/** r0..r10. */
const REGISTERS = 0x7ff;
const CODES: ReadonlySet<number> = new Set(Object.values(INSNS).map(({ code }) => code));
const WRITES_DST: ReadonlySet<InsnKind> = new Set<InsnKind>([
  "alu",
  "div",
  "shift",
  "neg",
  "mov",
  "movsx",
  "addrSpaceCast",
  "end",
  "loadImm64",
  "load",
  "loadSx",
  "loadAcquire",
]);

/** The outcome of {@link tryTrust}. */
export type Trusted =
  | { readonly ok: true; readonly program: VerifiedProgram }
  | { readonly ok: false; readonly error: BpfError };

/**
 * Takes a program on trust: it will run, but may leave its memory (a trap) or never end. For work on conformance, where engines are judged
 * by programs that no verifier would accept; all others go through `verify`. Subprograms that calls imply are added to
 * `program.subprogs`. Linear.
 *
 * @throws {BpfError} `structure` when no engine could run it: an unknown instruction, a jump to nowhere, a missing end, …
 * @example
 * ```ts
 * import { assemble, tryTrust, trust } from "@bpfkit/core";
 * console.log(trust(assemble("r0 = 0\nexit")).basis.kind); // trusted
 * console.log(tryTrust(assemble("r0 = 0")).ok); // false
 * ```
 */
export function trust(program: Program): VerifiedProgram {
  if (program.insns.length === 0)
    throw new BpfError("structure", "a program without instructions", { expected: "at least `exit`" });
  checkDeclared(program);
  return trustWith(program, structureOf(program));
}

/** {@link trust} of a program whose structure is known. */
export function trustWith(program: Program, structure: Structure): VerifiedProgram {
  for (const [index, { start }] of structure.subprogs.entries()) {
    if ((structure.marks[start]! & Mark.START) === 0) {
      throw refusal(program, start - 1, `subprogram ${structure.subprogs[index]!.name} begins inside a two-slot load`);
    }
  }
  for (const { name, end } of structure.subprogs) checkSubprog(program, structure, name, end);
  const known = structure.subprogs.length === program.subprogs.length;
  const declared = new Map(program.subprogs.map((subprog) => [subprog.start, subprog]));
  const subprogs: readonly Subprog[] = known
    ? program.subprogs
    : structure.subprogs.map(({ name, start }) => declared.get(start) ?? { name, start });
  return { program: known ? program : { ...program, subprogs }, structure, basis: { kind: "trusted" }, passes: [] };
}

/** {@link trust} with the refusal as a value. */
export function tryTrust(program: Program): Trusted {
  try {
    return { ok: true, program: trust(program) };
  } catch (error) {
    if (error instanceof BpfError) return { ok: false, error };
    throw error;
  }
}

function checkDeclared({ insns, subprogs }: Program): void {
  for (const [index, { name, start }] of subprogs.entries()) {
    const after = index === 0 ? 0 : subprogs[index - 1]!.start + 1;
    if (!Number.isInteger(start) || start < after || start >= insns.length || (index === 0 && start !== 0)) {
      throw new BpfError("structure", `subprogram ${name} begins at slot ${start}`, {
        expected: index === 0 ? "the first one at 0" : `a slot in ${after}..${insns.length - 1}`,
      });
    }
  }
}

function checkSubprog(program: Program, structure: Structure, name: string, end: number): void {
  const { insns } = program;
  const start = structure.subprogs[structure.subprogAt(end - 1)]!.start;
  let last = start;
  for (let i = start; i < end; i += insns.width(i)) {
    last = i;
    const op = opAt(insns, i);
    if (op < 0) throw refusal(program, i, `slot ${i} holds no instruction: ${whyNot(program, i)}`);
    checkFields(program, i, op);
    checkTarget(program, structure, i, op, start, end);
  }
  const kind = kindOf(opAt(insns, last));
  if (kind !== "exit" && kind !== "jump" && kind !== "gotox") {
    throw refusal(program, last, `subprogram ${name} runs past its end at slot ${end}`, {
      expected: "`exit` or a jump as its last instruction",
    });
  }
}

function whyNot({ insns }: Program, i: number): string {
  const code = insns.code(i);
  const hex = `0x${code.toString(16).padStart(2, "0")}`;
  if (code === LDDW && i + 1 >= insns.length) return "the program ends inside a two-slot load";
  if (code === LDDW && insns.code(i + 1) !== 0) return "the second half of a two-slot load is missing";
  return CODES.has(code) ? `opcode ${hex} is not defined with these fields` : `opcode ${hex} is not defined`;
}

function checkFields(program: Program, i: number, op: number): void {
  const { insns } = program;
  const outside = registersOf(insns, i, op) & ~REGISTERS;
  if (outside !== 0)
    throw refusal(program, i, `r${31 - Math.clz32(outside)} is no register of a program`, { expected: "r0..r10" });
  const reserved = reservedFieldOf(insns, i, op);
  // Nobody looks at the offset of an exit.
  if (reserved !== undefined && !(reserved === "off" && kindOf(op) === "exit")) {
    const what = reserved === "next" ? "the second slot is not empty" : `${reserved} is ${insns[reserved](i)}`;
    throw refusal(program, i, `${what} in ${OPS[op]}, which does not use it`, { expected: "0" });
  }
  const kind = kindOf(op);
  const written =
    kind === "atomic"
      ? insns.imm(i) & FETCH && insns.imm(i) !== CMPXCHG
        ? insns.src(i)
        : -1
      : WRITES_DST.has(kind)
        ? insns.dst(i)
        : -1;
  if (written === FRAME_POINTER)
    throw refusal(program, i, "r10 is the frame pointer and cannot be written", { expected: "r0..r9" });
  if (kind === "loadImm64") {
    const isMap = insns.src(i) !== 0 && insns.src(i) !== PSEUDO_BTF && insns.src(i) !== PSEUDO_FUNC;
    if (isMap) checkIndex(program, i, "map", program.maps.length);
  } else if (kind === "callKfunc") {
    checkIndex(program, i, "kfunc", program.kfuncs.length);
  }
}

function checkIndex(program: Program, i: number, what: string, count: number): void {
  const index = program.insns.imm(i);
  if (index >= 0 && index < count) return;
  const expected = count === 0 ? `a program with ${what}s` : `an index in 0..${count - 1}`;
  throw refusal(program, i, `the program has no ${what} ${index}`, { expected });
}

function checkTarget(program: Program, structure: Structure, i: number, op: number, start: number, end: number): void {
  const { insns } = program;
  const target = targetOf(insns, i, op);
  if (target === undefined) return;
  const kind = kindOf(op);
  const isCall = kind === "callSubprog" || kind === "loadImm64";
  const what = kind === "callSubprog" ? "call to" : kind === "loadImm64" ? "address of" : "jump to";
  if (target < 0 || target >= insns.length) {
    throw refusal(program, i, `${what} slot ${target}, outside the program`, {
      expected: `a slot in 0..${insns.length - 1}`,
    });
  }
  if ((structure.marks[target]! & Mark.START) === 0) {
    throw refusal(program, i, `${what} slot ${target}, the second half of a two-slot load`, {
      expected: "the start of an instruction",
    });
  }
  if (!isCall && (target < start || target >= end)) {
    const other = structure.subprogs[structure.subprogAt(target)]!.name;
    throw refusal(program, i, `jump to slot ${target}, in another subprogram (${other})`, {
      expected: `a slot in ${start}..${end - 1}`,
    });
  }
}

/** A refusal that shows the instruction, with a caret under all of it. */
function refusal(program: Program, i: number, message: string, details: ErrorDetails = {}): BpfError {
  const prefix = `  ${i}:  `;
  const text = printInsn(program.insns, i, { program });
  const listing = `${prefix}${text}\n${" ".repeat(prefix.length)}${"^".repeat(text.length)}`;
  return new BpfError("structure", message, { insn: i, listing, ...details });
}
