// The states in which instructions were reached, as plain objects.
import type { Program } from "../program.ts";
import { slotText } from "./log.ts";
import {
  AUX,
  baseOf,
  FRAME,
  fixedOf,
  ID,
  isPacket,
  isPointer,
  PRECISE,
  REF,
  SCALAR,
  Type,
  typeName,
} from "./register.ts";
import type { Replay } from "./replay.ts";
import { isConstant, MASK, SMAX, SMAX32, SMIN, SMIN32, UMAX, UMAX32, UMIN, UMIN32 } from "./scalar.ts";
import { type Frame, isSpill, KINDS, kindAt, regAt, type State, spillAt } from "./state.ts";
import type { StoredState } from "./store.ts";
import { registerText } from "./text.ts";
import type { Verification } from "./verification.ts";
import { bigOf } from "./words.ts";

/** What a register or a stack slot holds. */
export interface VerifierValue {
  /** As the log names it: `scalar`, `pkt`, `map_value_or_null`, … */
  readonly type: string;
  /** As the log prints it. */
  readonly text: string;
  /** A decision depended on this very value. */
  readonly precise: boolean;
  /** Shared by copies of one unknown value; 0 for none. */
  readonly id: number;
  /** The reference that it holds; 0 for none. */
  readonly reference: number;
  /** Known bits of the number, or of the pointer's offset: a bit that is set in the mask is unknown. */
  readonly tnum: { readonly value: bigint; readonly mask: bigint };
  /** Least and greatest, of the number or of the pointer's offset. */
  readonly unsigned64: readonly [bigint, bigint];
  readonly signed64: readonly [bigint, bigint];
  readonly unsigned32: readonly [bigint, bigint];
  readonly signed32: readonly [bigint, bigint];
  /** The offset of a pointer, where it is exactly known. */
  readonly offset?: bigint;
  /** Name of the map that a pointer leads to. */
  readonly map?: string;
  /** Bytes of the packet that are known to be there, counted from where the pointer was made. */
  readonly checked?: number;
  /** Bytes of the memory that a pointer leads to. */
  readonly size?: number;
  /** The frame that a stack pointer points into. */
  readonly frame?: number;
}

/** Eight bytes of stack. */
export interface VerifierSlot {
  /** Offset from r10: −8, −16, … */
  readonly offset: number;
  /** What each byte holds, lowest address first: `r` part of a register, `m` some number, `0` zero, `i` an iterator, `d` a dynptr, `?` nothing. */
  readonly bytes: string;
  /** The register that was stored there. */
  readonly value?: VerifierValue;
  readonly text: string;
}

export interface VerifierFrame {
  readonly subprog: string;
  /** The instruction that called; −1 for the program itself. */
  readonly callSite: number;
  /** The helper that calls back. */
  readonly callback?: string;
  /** By number, r0 to r10; undefined for one that holds nothing. */
  readonly registers: readonly (VerifierValue | undefined)[];
  readonly stack: readonly VerifierSlot[];
}

/** A state before an instruction. */
export interface VerifierState {
  readonly insn: number;
  /** Which of the processed instructions it was, from 1. */
  readonly step: number;
  /** The instruction that the path came from; −1 at the start. */
  readonly previous: number;
  /** The outermost first. */
  readonly frames: readonly VerifierFrame[];
  readonly references: readonly { readonly id: number; readonly insn: number }[];
  /** The map whose spin lock is held. */
  readonly lock?: string;
  readonly rcuSections: number;
  readonly preemptSections: number;
  /** The innermost frame, as the log prints it. */
  readonly text: string;
}

/** The states of a verification. The first look at them walks the program again. */
export interface VerifierStates {
  /** The states in which an instruction was reached, in order; the first ones, where there were more than are kept. */
  at(insn: number): readonly VerifierState[];
  /** How many more there were. */
  omitted(insn: number): number;
}

/** Instructions whose states are recorded in one walk. */
const BLOCK = 512;

/** A state that was kept, with the number of the processed instruction. */
export interface Kept {
  readonly state: State<StoredState>;
  readonly step: number;
}

/** A copy of the current state, as small as it can be. `spare` is used for what lies between. */
export function keep(v: Verification, spare: Int32Array[]): Kept {
  const state = v.state.copy(spare);
  for (const frame of state.frames) frame.compact(spare);
  state.history = new Int32Array(0);
  state.parent = undefined;
  return { state, step: v.counters.insns };
}

/**
 * The states of a verification, up to `limit` of each instruction. Each walk records a block of 512 instructions, so that memory is bounded
 * by what is asked for: about 2 KiB a state.
 */
export function statesOf(program: Program, replay: Replay, limit: number): VerifierStates {
  const blocks = new Map<
    number,
    { readonly v: Verification | undefined; readonly kept: Kept[][]; readonly seen: number[] }
  >();
  const blockOf = (
    insn: number,
  ): { readonly v: Verification | undefined; readonly kept: Kept[][]; readonly seen: number[] } => {
    const first = insn - (insn % BLOCK);
    let block = blocks.get(first);
    if (block === undefined) {
      const kept: Kept[][] = Array.from({ length: BLOCK }, () => []);
      const seen: number[] = new Array(BLOCK).fill(0);
      const spare: Int32Array[] = [];
      const step = (v: Verification): void => {
        const index = v.state.insn - first;
        if (index < 0 || index >= BLOCK) return;
        if (seen[index]!++ < limit) kept[index]!.push(keep(v, spare));
      };
      block = { v: replay({ step }), kept, seen };
      blocks.set(first, block);
    }
    return block;
  };
  const isSlot = (insn: number): boolean => Number.isInteger(insn) && insn >= 0 && insn < program.insns.length;
  return {
    at: (insn) => {
      if (!isSlot(insn)) return [];
      const { v, kept } = blockOf(insn);
      return v === undefined ? [] : kept[insn % BLOCK]!.map((one) => viewOf(v, one));
    },
    omitted: (insn) => {
      if (!isSlot(insn)) return 0;
      const { kept, seen } = blockOf(insn);
      return seen[insn % BLOCK]! - kept[insn % BLOCK]!.length;
    },
  };
}

/** A kept state as plain objects; `v` is the verification that it was kept of, which has ended. */
export function viewOf(v: Verification, { state, step }: Kept): VerifierState {
  v.state = state;
  const lock = state.lockMap === 0 ? undefined : v.map(state.lockMap).name;
  return {
    insn: state.insn,
    step,
    previous: state.previous,
    frames: state.frames.map((frame, index) => frameOf(v, frame, index)),
    references: state.references,
    ...(lock === undefined ? {} : { lock }),
    rcuSections: state.rcuSections,
    preemptSections: state.preemptSections,
    text: v.log.stateText(v, state, true).trimStart(),
  };
}

function frameOf(v: Verification, { words, depth, origin }: Frame, index: number): VerifierFrame {
  const registers = Array.from({ length: 11 }, (_, reg) => valueAt(v, words, regAt(reg), index));
  const stack: VerifierSlot[] = [];
  for (let slot = 0; slot < depth; slot++) {
    const kinds = words[KINDS + slot]!;
    if (kinds === 0) continue;
    const value = isSpill(kinds) ? valueAt(v, words, spillAt(slot), index) : undefined;
    stack.push({
      offset: -8 * (slot + 1),
      bytes: Array.from({ length: 8 }, (_, byte) => "?rm0id"[kindAt(kinds, byte)] ?? "?").join(""),
      ...(value === undefined ? {} : { value }),
      text: slotText(v, kinds, words, spillAt(slot), slot, index).trimStart(),
    });
  }
  return {
    subprog: v.structure.subprogs[origin.subprog]!.name,
    callSite: origin.callSite,
    ...(origin.callback === undefined ? {} : { callback: origin.callback.helper }),
    registers,
    stack,
  };
}

function valueAt(v: Verification, r: Int32Array, x: number, frame: number): VerifierValue | undefined {
  const type = r[x]!;
  if (type === Type.UNINIT) return undefined;
  const s = x + SCALAR;
  const base = baseOf(type);
  const wide = (c: number): bigint => bigOf(r[s + c]!, r[s + c + 1]!);
  const signed = (c: number): bigint => BigInt.asIntN(64, wide(c));
  const unsigned32 = (c: number): bigint => BigInt(r[s + c]! >>> 0);
  const hasMap = base === Type.MAP || base === Type.MAP_VALUE || base === Type.MAP_KEY;
  return {
    type: typeName(type),
    text: registerText(v, r, x, frame),
    precise: r[x + PRECISE] !== 0,
    id: r[x + ID]!,
    reference: r[x + REF]!,
    tnum: { value: wide(0), mask: wide(MASK) },
    unsigned64: [wide(UMIN), wide(UMAX)],
    signed64: [signed(SMIN), signed(SMAX)],
    unsigned32: [unsigned32(UMIN32), unsigned32(UMAX32)],
    signed32: [BigInt(r[s + SMIN32]!), BigInt(r[s + SMAX32]!)],
    ...(isPointer(type) && isConstant(r, s) ? { offset: signed(0) + BigInt(fixedOf(r, x)) } : {}),
    ...(hasMap ? { map: v.map(r[x + AUX]!).name } : {}),
    ...(isPacket(base) ? { checked: r[x + AUX]! } : {}),
    ...(base === Type.MEMORY || base === Type.BUFFER ? { size: r[x + AUX]! } : {}),
    ...(base === Type.STACK ? { frame: r[x + FRAME]! } : {}),
  };
}
