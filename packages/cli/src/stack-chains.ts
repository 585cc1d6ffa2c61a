// Bytes of stack along chains of calls, from what the verifier found each function to use.
import type { Program } from "@bpfkit/core";

/** Frames are rounded up to this where they are added up. */
const STEP = 16;
const [CALL, LOAD_IMM64, PSEUDO_CALL, PSEUDO_FUNC] = [0x85, 0x18, 1, 4];
/** More than any program has that the verifier accepts. */
const MAX_DEPTH = 32;

/** A function of a chain, and its own frame. */
export interface StackFrame {
  readonly name: string;
  readonly bytes: number;
}

/** Functions that call each other, from the program itself to one that calls nothing. */
export interface StackChain {
  readonly frames: readonly StackFrame[];
  /** Of all of them, each rounded up to 16. */
  readonly bytes: number;
}

/** The worst chain that ends in each function that calls no other, the greatest first. `bytes` is by subprogram, as in `VerifierStats.stackBytes`. */
export function stackChains(program: Program, bytes: readonly number[]): readonly StackChain[] {
  if (bytes.length === 0) return [];
  const { subprogs } = program;
  const callees = calleesOf(program);
  const worst = new Map<number, StackChain>();
  const walk = (subprog: number, above: readonly StackFrame[], total: number): void => {
    const frames = [...above, { name: subprogs[subprog]!.name, bytes: bytes[subprog]! }];
    const here = total + Math.ceil(bytes[subprog]! / STEP) * STEP;
    if (callees[subprog]!.size === 0 || frames.length === MAX_DEPTH) {
      if (here > (worst.get(subprog)?.bytes ?? -1)) worst.set(subprog, { frames, bytes: here });
      return;
    }
    for (const callee of callees[subprog]!) walk(callee, frames, here);
  };
  walk(0, [], 0);
  return [...worst.values()].sort((a, b) => b.bytes - a.bytes);
}

/** The functions that each one calls, or passes as a callback. */
function calleesOf({ insns, subprogs }: Program): readonly ReadonlySet<number>[] {
  const callees = subprogs.map(() => new Set<number>());
  const at = (slot: number): number => subprogs.findLastIndex(({ start }) => start <= slot);
  for (let i = 0; i < insns.length; i += insns.width(i)) {
    const calls = insns.code(i) === CALL && insns.src(i) === PSEUDO_CALL;
    const passes = insns.code(i) === LOAD_IMM64 && insns.src(i) === PSEUDO_FUNC;
    if (calls || passes) callees[at(i)]!.add(at(i + 1 + insns.imm(i)));
  }
  return callees;
}

/** `main 32 + parse 64 = 96 bytes` */
export function chainText({ frames, bytes }: StackChain): string {
  return `${frames.map((frame) => `${frame.name} ${frame.bytes}`).join(" + ")} = ${bytes} bytes`;
}
