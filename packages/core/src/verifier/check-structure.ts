// What can be told from the shape of a program alone, in the order and the words of the kernel.
import { Mark, type Structure } from "../analysis/structure.ts";
import { opAt, registersOf, reservedFieldOf } from "../isa/decode.ts";
import type { Insns } from "../isa/insns.ts";
import { targetOf } from "../isa/targets.ts";
import type { Program } from "../program.ts";
import type { KernelProfile } from "../spec/kernel-profile.ts";
import { mapType } from "../spec/map-types.ts";
import { Errno, Refusal } from "./refusal.ts";
import { ROWS, type Row } from "./rows.ts";

/** @param insn - the instruction, where it is one */
function refuse(text: string, insn: number | undefined, errno: number = Errno.EINVAL): never {
  throw new Refusal(errno, [text], undefined, insn);
}

/** What {@link checkInsns} finds. */
export interface CheckedInsns {
  /** Index in OPS of every instruction; −1 in second slots. */
  readonly ops: Int16Array;
  /** Instructions that are refused where a path comes to them, and no earlier. */
  readonly late: ReadonlyMap<number, Refusal> | undefined;
}

/** Mistakes that Linux 6.12 finds where a path comes to the instruction, and later kernels before. */
const LATE_IN_6_12 = /uses reserved fields$|^R\d+ is invalid$|^BPF_ATOMIC uses invalid atomic opcode|^invalid may_goto/;
/** @throws {Refusal} */
export function checkInsns(program: Program, profile: KernelProfile): CheckedInsns {
  const { insns } = program;
  const late = new Map<number, Refusal>();
  const orLate = (i: number, check: () => void): void => {
    try {
      check();
    } catch (error) {
      if (!(error instanceof Refusal) || profile.version !== "6.12" || !LATE_IN_6_12.test(error.reason)) throw error;
      late.set(i, error);
    }
  };
  if (insns.length === 0 || insns.length > profile.limits.programInsns) throw new Refusal(Errno.E2BIG, []);
  const ops = new Int16Array(insns.length).fill(-1);
  for (let i = 0; i < insns.length; i += insns.width(i)) {
    const op = opAt(insns, i);
    if (op < 0) refuse(unknownText(insns, i, profile), i);
    ops[i] = op;
    if (ROWS[op]!.kind === "callx") refuse("unknown opcode 8d", i);
    orLate(i, () => checkFields(program, i, op, profile));
  }
  return { ops, late: late.size > 0 ? late : undefined };
}

const CLASS = 7;

function unknownText(insns: Insns, i: number, { version }: KernelProfile): string {
  const code = insns.code(i);
  const hex = code.toString(16).padStart(2, "0");
  const group = code & CLASS;
  // The last instruction is looked at first.
  if (code === 0x18 && i + 1 >= insns.length) return "last insn is not an exit or jmp";
  if (code === 0x18) return insns.code(i + 1) !== 0 ? "invalid bpf_ld_imm64 insn" : "unrecognized bpf_ld_imm64 insn";
  if ((group === 4 || group === 7) && (code & 0xf0) <= 0xd0) {
    const operation = code & 0xf0;
    if (code === 0xdf) return "unknown opcode df";
    if (operation === 0xd0) return "BPF_END uses reserved fields";
    if (operation === 0x80) return "BPF_NEG uses reserved fields";
    if (operation === 0xb0) return "BPF_MOV uses reserved fields";
    return "BPF_ALU uses reserved fields";
  }
  if (code === 0xc3 || code === 0xdb)
    return `BPF_ATOMIC uses invalid atomic opcode ${(insns.imm(i) & 0xff).toString(16).padStart(2, "0")}`;
  if ((code === 0xcb || code === 0xd3) && version !== "6.12") return "invalid atomic operand size";
  if (code === 0xe5) return mayGotoText(insns, i, version);
  if (code === 0x85) return "BPF_CALL uses reserved fields";
  return `unknown opcode ${hex}`;
}

function checkFields(program: Program, i: number, op: number, profile: KernelProfile): void {
  const { insns } = program;
  const row = ROWS[op]!;
  const outside = registersOf(insns, i, op) & ~0x7ff;
  if (outside !== 0) refuse(`R${31 - Math.clz32(outside & -outside)} is invalid`, i);
  const reserved = reservedFieldOf(insns, i, op);
  // Nobody looks at the offset of an exit.
  if (reserved !== undefined && !(row.kind === "exit" && reserved === "off"))
    refuse(reservedText(insns, i, row.kind, profile), i);
  const imm = insns.imm(i);
  if (profile.version === "6.12") refuseNewer(insns, i, row);
  if (row.kind === "loadImm64" && (insns.src(i) === 2 || insns.src(i) === 6) && imm >= 0 && imm < program.maps.length)
    checkDirectValue(program, i);
  if (row.kind === "loadImm64" && (insns.src(i) === 1 || insns.src(i) === 2))
    refuse(`fd ${imm} is not pointing to valid bpf_map`, i, 9);
  if (row.kind === "loadImm64" && (insns.src(i) === 5 || insns.src(i) === 6) && (imm < 0 || imm >= program.maps.length))
    refuse(`fd ${imm} is not pointing to valid bpf_map`, i, 9);
}

/** The address of a value by itself: of an array of one element. */
function checkDirectValue({ insns, maps }: Program, i: number): void {
  const map = maps[insns.imm(i)]!;
  const offset = insns.imm(i + 1) >>> 0;
  if (mapType(map.type)?.directValue !== true) refuse("no direct value access support for this map type", i);
  const text = `invalid access to map value pointer, value_size=${map.valueSize} off=${offset}`;
  if (map.maxEntries !== 1) refuse(text, i, Errno.ENOTSUPP);
  if (offset >= map.valueSize) refuse(text, i);
}

function mayGotoText(insns: Insns, i: number, version: string): string {
  return `invalid may_goto ${version === "6.12" ? `off ${insns.off(i)} ` : ""}imm ${insns.imm(i)}`;
}

/** What Linux 6.12 does not know yet. */
function refuseNewer(insns: Insns, i: number, row: Row): void {
  if (row.kind === "loadAcquire" || row.kind === "storeRelease") {
    if (row.bytes < 4) refuse(`unknown opcode ${insns.code(i).toString(16)}`, i);
    refuse(`BPF_ATOMIC uses invalid atomic opcode ${insns.imm(i).toString(16)}`, i);
  }
  if (row.kind === "mayGoto" && insns.off(i) === 0) refuse("invalid may_goto off 0 imm 0", i);
}

function reservedText(insns: Insns, i: number, kind: string, { version }: KernelProfile): string {
  const code = insns.code(i);
  switch (kind) {
    case "neg":
      return "BPF_NEG uses reserved fields";
    case "end":
      return "BPF_END uses reserved fields";
    case "mov":
    case "movsx":
      return "BPF_MOV uses reserved fields";
    case "alu":
    case "div":
    case "shift":
      return "BPF_ALU uses reserved fields";
    case "load":
    case "loadSx":
      return "BPF_LDX uses reserved fields";
    case "store":
      return "BPF_STX uses reserved fields";
    case "storeImm":
      return "BPF_ST uses reserved fields";
    case "packetLoad":
      return "BPF_LD_[ABS|IND] uses reserved fields";
    case "loadImm64":
      return insns.words[2 * i + 2] !== 0 ||
        (insns.src(i) !== 0 && insns.imm(i + 1) !== 0 && insns.src(i) !== 2 && insns.src(i) !== 6)
        ? insns.words[2 * i + 2] !== 0
          ? "invalid bpf_ld_imm64 insn"
          : "unrecognized bpf_ld_imm64 insn"
        : "BPF_LD_IMM64 uses reserved fields";
    case "callHelper":
    case "tailCall":
    case "callSubprog":
    case "callKfunc":
      return "BPF_CALL uses reserved fields";
    case "exit":
      return "BPF_EXIT uses reserved fields";
    case "jump":
      return "BPF_JA uses reserved fields";
    case "jumpIf":
      return "BPF_JMP/JMP32 uses reserved fields";
    case "mayGoto":
      return mayGotoText(insns, i, version);
    default:
      return `opcode ${code.toString(16)} uses reserved fields`;
  }
}

/** Jumps, ends of subprograms, and what can be reached. @throws {Refusal} */
export function checkFlow(
  program: Program,
  structure: Structure,
  ops: Int16Array,
  typed: boolean,
  { version }: KernelProfile,
): void {
  const { insns } = program;
  for (const { start, end } of structure.subprogs) {
    let last = start;
    for (let i = start; i < end; i += insns.width(i)) {
      last = i;
      const row = ROWS[ops[i]!]!;
      const target = targetOf(insns, i, ops[i]!);
      if (target === undefined) continue;
      if (row.kind === "callSubprog" || row.kind === "loadImm64") {
        if (target < 0 || target >= insns.length) refuse("call to invalid destination", i);
        if ((structure.marks[target]! & Mark.START) === 0)
          refuse(`jump into the middle of ldimm64 insn ${target - 1}`, i);
      } else if (target < start || target >= end) {
        refuse(`jump out of range from insn ${i} to ${target}`, i);
      }
    }
    const kind = ROWS[ops[last]!]!.kind;
    if (kind !== "exit" && kind !== "jump" && kind !== "gotox") refuse("last insn is not an exit or jmp", last);
  }
  for (let i = 0; i < insns.length; i += insns.width(i)) {
    const row = ROWS[ops[i]!]!;
    const target = targetOf(insns, i, ops[i]!);
    if (target !== undefined && row.kind !== "loadImm64" && (structure.marks[target]! & Mark.START) === 0)
      refuse(`jump into the middle of ldimm64 insn ${target - 1}`, i);
  }
  for (let i = 0; i < insns.length; i += insns.width(i)) {
    if ((structure.marks[i]! & Mark.REACHABLE) === 0) refuse(`unreachable insn ${i}`, i);
  }
  // Linux 6.12 finds a recursion where it walks too deep.
  if (version !== "6.12") checkRecursion(insns, ops, structure, typed);
  if (!typed) checkUntyped(insns, ops, structure);
}

/** What subprograms without types cannot do: leave the program from inside of a call. */
function checkUntyped(insns: Insns, ops: Int16Array, { subprogs }: Structure): void {
  for (const { start, end } of subprogs.slice(1)) {
    for (let i = start; i < end; i += insns.width(i)) {
      const { kind } = ROWS[ops[i]!]!;
      if (kind === "packetLoad") refuse("LD_ABS is not allowed in subprogs without BTF", i);
      if (kind === "tailCall") refuse("tail_call is not allowed in subprogs without BTF", i);
    }
  }
}

/** Subprograms that call themselves, in the end; their names are known where the program has types. */
function checkRecursion(insns: Insns, ops: Int16Array, structure: Structure, typed: boolean): void {
  const { subprogs } = structure;
  const done = new Uint8Array(subprogs.length);
  const open = new Uint8Array(subprogs.length);
  const walk = (subprog: number): void => {
    open[subprog] = 1;
    for (const callee of subprogs[subprog]!.calls) {
      if (open[callee] === 1) {
        const name = (index: number): string => (typed ? subprogs[index]!.name : "");
        refuse(
          `recursive call from ${name(subprog)}() to ${name(callee)}()`,
          callSite(insns, ops, structure, subprog, callee),
        );
      }
      if (done[callee] === 0) walk(callee);
    }
    open[subprog] = 0;
    done[subprog] = 1;
  };
  walk(0);
}

/** The first instruction of a subprogram that calls another one, or takes its address. */
export function callSite(
  insns: Insns,
  ops: Int16Array,
  { subprogs }: Structure,
  subprog: number,
  callee: number,
): number | undefined {
  const { start, end } = subprogs[subprog]!;
  for (let i = start; i < end; i += insns.width(i)) {
    const { kind } = ROWS[ops[i]!]!;
    if ((kind === "callSubprog" || kind === "loadImm64") && targetOf(insns, i, ops[i]!) === subprogs[callee]!.start)
      return i;
  }
  return undefined;
}
