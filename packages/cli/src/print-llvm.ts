// BPF instructions as llvm-objdump prints them, with its `<symbol>` notes also where a loaded program knows more than an object does.
import { helperById, type Program, printInsn } from "@bpfkit/core";

const LDDW = 0x18;
const CALL = 0x85;
const PSEUDO_FUNC = 4;
const PSEUDO_MAP = new Set([1, 5]);
const PSEUDO_MAP_VALUE = new Set([2, 6]);

/** Gives the text of the instruction at a slot; without its note it is what llvm-objdump 19 prints for the same bytes unrelocated. */
export function llvmPrinter(program: Program): (slot: number) => string {
  const { insns, maps, subprogs, kfuncs } = program;
  const starts = subprogs.map(({ start }) => start);
  const label = (slot: number): string | undefined => {
    const subprog = subprogs[starts.findLastIndex((start) => start <= slot)];
    if (subprog === undefined) return undefined; // a jump to before the program
    const { name, start } = subprog;
    return slot === start ? name : `${name}+0x${((slot - start) * 8).toString(16)}`;
  };
  const load = (slot: number, addend: number, symbol: string | undefined) =>
    note(`r${insns.dst(slot)} = ${signedHex(addend)} ll`, symbol);
  return (slot) => {
    const [code, src, imm] = [insns.code(slot), insns.src(slot), insns.imm(slot)];
    if (code === LDDW && PSEUDO_MAP.has(src)) return load(slot, 0, maps[imm]?.name ?? `map ${imm}`);
    if (code === LDDW && PSEUDO_MAP_VALUE.has(src))
      return load(slot, insns.imm(slot + 1), maps[imm]?.name ?? `map ${imm}`);
    if (code === LDDW && src === PSEUDO_FUNC) return load(slot, (slot + 1 + imm) * 8, label(slot + 1 + imm));
    const text = printInsn(insns, slot, { dialect: "llvm", label });
    if (code !== CALL) return text;
    if (src === 0) return note(text, helperById(imm) && `bpf_${helperById(imm)?.name}`);
    return src === 2 ? note(text, kfuncs[imm]) : text;
  };
}

function signedHex(value: number): string {
  return `${value < 0 ? "-" : ""}0x${Math.abs(value).toString(16)}`;
}

function note(text: string, symbol: string | undefined): string {
  return symbol === undefined ? text : `${text} <${symbol}>`;
}
