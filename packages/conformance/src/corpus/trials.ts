// A frame for programs that try instructions one after another: each from the same registers and memory, and all registers are kept.

import { unsigned } from "../arithmetic.ts";
import type { CaseRun, ConformanceCase } from "../case.ts";
import type { Group } from "../group.ts";
import { Code } from "./code.ts";

/*
 * What r1 points to:                              On the stack, below r10:
 *     0  r0 .. r9 before each trial                  -8  the pointer to the memory
 *    80  two words for the instruction to work on   -16  r1 meanwhile
 *   112  what each trial left:                      -24  the two words
 *        r0 .. r9, then the two words               -32
 *                                                   -40  the words in memory as they were
 *                                                   -48
 */
export const REGISTERS: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
export const WORK = 80;
const OUT = 112;
const STRIDE = 96;
export const CONTEXT_SLOT = -8;
const SPILL = -16;
/** Stack offsets of the two words. */
export const WORDS: readonly [number, number] = [-24, -32];
const ORIGINAL: readonly [number, number] = [-40, -48];

/** What registers and words hold, to be changed as the instruction is expected to. */
export interface State {
  readonly registers: bigint[];
  /** The two words of 64 bits, wherever the trial works on them. */
  readonly words: bigint[];
}

/** What a run starts from: ten registers, and two words where trials work on them. */
export interface Start {
  readonly registers: readonly bigint[];
  readonly words?: readonly [bigint, bigint];
}

type Place = "none" | "stack" | "memory";

/** Writes a case of trials; each has its code and what that is expected to do. */
export class Trials {
  readonly #code = new Code();
  readonly #effects: ((state: State) => void)[] = [];
  readonly #place: Place;

  /** `place` is where the two words lie that trials work on. */
  constructor(place: Place = "none") {
    this.#place = place;
    const code = this.#code;
    code.put("store64_reg", 10, 1, CONTEXT_SLOT);
    if (place !== "memory") return;
    for (const [i, slot] of ORIGINAL.entries()) {
      code.put("load64", 2, 1, WORK + 8 * i);
      code.put("store64_reg", 10, 2, slot);
    }
  }

  trial(body: (code: Code) => void, effect: (state: State) => void): void {
    const code = this.#code;
    const out = OUT + STRIDE * this.#effects.length;
    code.put("load64", 1, 10, CONTEXT_SLOT);
    for (const i of [0, 1]) {
      if (this.#place === "stack") {
        code.put("load64", 2, 1, WORK + 8 * i);
        code.put("store64_reg", 10, 2, WORDS[i]!);
      } else if (this.#place === "memory") {
        code.put("load64", 2, 10, ORIGINAL[i]!);
        code.put("store64_reg", 1, 2, WORK + 8 * i);
      }
    }
    for (const register of REGISTERS) if (register !== 1) code.put("load64", register, 1, 8 * register);
    code.put("load64", 1, 1, 8);
    body(code);
    code.put("store64_reg", 10, 1, SPILL);
    code.put("load64", 1, 10, CONTEXT_SLOT);
    for (const register of REGISTERS) if (register !== 1) code.put("store64_reg", 1, register, out + 8 * register);
    code.put("load64", 2, 10, SPILL);
    code.put("store64_reg", 1, 2, out + 8);
    for (const i of [0, 1]) {
      if (this.#place === "none") continue;
      if (this.#place === "stack") code.put("load64", 2, 10, WORDS[i]!);
      else code.put("load64", 2, 1, WORK + 8 * i);
      code.put("store64_reg", 1, 2, out + 80 + 8 * i);
    }
    this.#effects.push(effect);
  }

  /** The case, run once from each of `starts`. */
  case(name: string, group: Group, starts: readonly Start[]): ConformanceCase {
    const code = this.#code;
    code.put("mov64_imm", 0, 0, 0, 0);
    code.put("exit");
    let runs: readonly CaseRun[] | undefined;
    const run = (start: Start): CaseRun => this.#run(start);
    return {
      name,
      group,
      program: code.program(name),
      get runs() {
        runs ??= starts.map(run);
        return runs;
      },
    };
  }

  #run({ registers, words = [0n, 0n] }: Start): CaseRun {
    const memory = new DataView(new ArrayBuffer(OUT + STRIDE * this.#effects.length));
    REGISTERS.forEach((register) => {
      memory.setBigUint64(8 * register, registers[register]!, true);
    });
    words.forEach((word, i) => {
      memory.setBigUint64(WORK + 8 * i, word, true);
    });
    const after = new DataView(memory.buffer.slice(0));
    for (const [trial, effect] of this.#effects.entries()) {
      const state = { registers: [...registers], words: [...words] };
      effect(state);
      const out = OUT + STRIDE * trial;
      state.registers.forEach((value, register) => {
        after.setBigUint64(out + 8 * register, unsigned(64, value), true);
      });
      state.words.forEach((word, i) => {
        if (this.#place !== "none") after.setBigUint64(out + 80 + 8 * i, unsigned(64, word), true);
        if (this.#place === "memory") after.setBigUint64(WORK + 8 * i, unsigned(64, word), true);
      });
    }
    return {
      memory: new Uint8Array(memory.buffer),
      expect: { kind: "result", value: 0n, memory: new Uint8Array(after.buffer) },
    };
  }
}

/** What a byte offset of a trial's memory stands for, for people. */
export function placeInTrials(offset: number): string {
  if (offset < OUT) return offset < WORK ? `r${offset >> 3} before` : `word ${(offset - WORK) >> 3}`;
  const trial = Math.floor((offset - OUT) / STRIDE);
  const at = ((offset - OUT) % STRIDE) >> 3;
  return `${at < 10 ? `r${at}` : `word ${at - 10}`} after trial ${trial}`;
}
