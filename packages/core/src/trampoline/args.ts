// Where the arguments of a call lie: words of 8 bytes in registers and on the stack, by the rules of a calling convention.
import { BpfError } from "../errors.ts";
import { type FuncModel, formatFuncModel } from "./func-model.ts";

/** What calling conventions differ in. */
export interface ArgRules {
  /** Registers for arguments. */
  readonly registers: number;
  /**
   * A struct of two words with one register left: `stack` puts it on the stack and gives the register to a later argument (System V); `all-stack` puts it there and
   * every later argument, too (AAPCS64); `split` puts one word into the register and the other on the stack (RISC-V).
   */
  readonly struct: "stack" | "all-stack" | "split";
  /** Whether a trampoline has to know size and sign of every argument; else only where it clears the upper half of a small one on the stack. */
  readonly typed: boolean;
}

/** A word of an argument, in the order in which programs see them. */
export interface ArgSlot {
  readonly in: "register" | "stack";
  /** Number of the register, or of the word on the stack, from 0. */
  readonly index: number;
  /** On the stack, a number of at most 4 bytes, alone in its word: its upper half is not the function's. */
  readonly clear: boolean;
  /** Bytes of the word that belong to the argument, and whether it is a signed number; 8 and false where the rules do not ask. */
  readonly size: number;
  readonly signed: boolean;
}

/** All words of a call. Two functions with equal places can share a trampoline. */
export interface ArgPlaces {
  readonly slots: readonly ArgSlot[];
  /** Registers and stack words that are used. */
  readonly registers: number;
  readonly stack: number;
  /** Bytes and sign of the result, where the rules ask; else 8 and false. */
  readonly result: { readonly size: number; readonly signed: boolean };
}

/** Words that a trampoline can hand to programs (Linux' `MAX_BPF_FUNC_ARGS`). */
export const MAX_ARG_SLOTS: 12 = 12;

/** @throws {BpfError} `unsupported` for more than 12 words (ENOTSUPP) */
export function placeArgs(model: FuncModel, { registers, struct, typed }: ArgRules): ArgPlaces {
  const slots: ArgSlot[] = [];
  let [used, stack] = [0, 0];
  for (const { size, signed, struct: isStruct } of model.args) {
    const words = Math.ceil(size / 8);
    const fits = used + words <= registers;
    const isSplit = !fits && struct === "split" && words === 2 && used < registers;
    for (let word = 0; word < words; word++) {
      const inRegister = fits || (isSplit && word === 0);
      slots.push({
        in: inRegister ? "register" : "stack",
        index: inRegister ? used++ : stack++,
        clear: !inRegister && !isStruct && size <= 4,
        size: typed ? Math.min(8, size - 8 * word) : 8,
        signed: typed && signed,
      });
    }
    if (!fits && !isSplit && isStruct && struct === "all-stack") used = registers;
  }
  if (slots.length > MAX_ARG_SLOTS) {
    throw new BpfError("unsupported", `${slots.length} words of arguments of ${formatFuncModel(model)} (ENOTSUPP)`, {
      expected: `at most ${MAX_ARG_SLOTS}`,
    });
  }
  return {
    slots,
    registers: Math.min(used, registers),
    stack,
    result: typed ? model.result : { size: 8, signed: false },
  };
}

/** Whether trampolines for the two are the same code. */
export function samePlaces(a: ArgPlaces, b: ArgPlaces): boolean {
  return placesKey(a) === placesKey(b);
}

/** A text that is equal just for equal places. */
export function placesKey({ slots, result }: ArgPlaces): string {
  const words = slots.map(
    ({ in: where, index, clear, size, signed }) =>
      `${where[0]}${index}${clear ? "c" : ""}:${signed ? "s" : "u"}${size}`,
  );
  return `${words.join(",")};${result.signed ? "s" : "u"}${result.size}`;
}
