// The law "concrete inside abstract": runs an accepted program and holds every register and slot against the states that were recorded.
import { assemble } from "../../src/asm/parse.ts";
import { BpfError } from "../../src/errors.ts";
import type { Executable, Execution } from "../../src/machine/engine.ts";
import type { LiveFrame } from "../../src/machine/frames.ts";
import { interpreter } from "../../src/machine/interpreter.ts";
import type { Program } from "../../src/program.ts";
import { AUX, baseOf, Flag, FRAME, REG_WORDS, SCALAR, Type, typeName } from "../../src/verifier/register.ts";
import type { Rejected, Verified } from "../../src/verifier/result.ts";
import { holds, SMAX, SMIN, UMAX, UMIN } from "../../src/verifier/scalar.ts";
import {
  Byte,
  isFullSpill,
  isSpill,
  KINDS,
  kindAt,
  regAt,
  SLOTS,
  type State,
  spillAt,
} from "../../src/verifier/state.ts";
import type { Tables } from "../../src/verifier/tables.ts";
import type { Verification } from "../../src/verifier/verification.ts";
import { verifyWith } from "../../src/verifier/verify.ts";
import { bigOf, unsigned } from "../../src/verifier/words.ts";
import { FactFollower } from "./facts-law.ts";
import type { Random, RandomProgram } from "./random-programs.ts";
import { MAPS, World } from "./world.ts";

/** What the verifier said, with the states that it had at each instruction; `complete`: nothing was left out because no decision depended on it. */
export interface Recording {
  readonly result: Verified | Rejected;
  /** Where in `recorded` they begin. */
  readonly states: readonly number[][];
  readonly complete: boolean;
}

/**
 * States one behind the other: frames, references; of each frame its slots in use, then registers, then slots, each of them with its kinds
 * before it. A register is its words, or one word where it holds nothing. The next recording overwrites them.
 */
let recorded = new Int32Array(1 << 16);
let end = 0;

/** More than nearly all of these programs take. */
const BUDGET = { insns: 1000 };
/** Instructions that a run is followed for. */
const STEPS = 400;

/** @throws {BpfError} where the text is no program */
export function programOf({ type, lines }: RandomProgram): Program {
  const program = assemble(lines.join("\n"), { type, maps: MAPS, license: "GPL" });
  return type === "syscall" ? { ...program, sleepable: true } : program;
}

/** Verifies, and records the state before every instruction. `complete`: with pruning that leaves nothing out. */
export function verifyRecording(program: Program, complete: boolean, tables?: Tables): Recording {
  const states: number[][] = Array.from({ length: program.insns.length }, () => []);
  end = 0;
  let walk: Verification | undefined;
  const result = verifyWith(
    program,
    { budget: BUDGET },
    {
      complete,
      ...(tables === undefined ? {} : { tables }),
      watch: (v) => {
        walk = v;
        states[v.state.insn]!.push(end);
        record(v.state);
      },
    },
  );
  return { result, states, complete: complete || walk?.leftOut === false };
}

function record({ frames, references }: State): void {
  const most = end + 2 + frames.length * (1 + 10 * REG_WORDS + SLOTS * (1 + REG_WORDS));
  if (most > recorded.length) {
    const grown = new Int32Array(2 * most);
    grown.set(recorded);
    recorded = grown;
  }
  recorded[end++] = frames.length;
  recorded[end++] = references.length;
  for (const { depth, words } of frames) {
    recorded[end++] = depth;
    for (let reg = 0; reg < 10; reg++) recordRegister(words, regAt(reg));
    for (let slot = 0; slot < depth; slot++) {
      const kinds = words[KINDS + slot]!;
      recorded[end++] = kinds;
      if (isSpill(kinds)) recordRegister(words, spillAt(slot));
    }
  }
}

function recordRegister(words: Int32Array, at: number): void {
  const count = words[at] === Type.UNINIT ? 1 : REG_WORDS;
  for (let i = 0; i < count; i++) recorded[end + i] = words[at + i]!;
  end += count;
}

/** Where what follows a recorded register begins. */
function behind(at: number): number {
  return at + (recorded[at] === Type.UNINIT ? 1 : REG_WORDS);
}

const world = new World();

/** How a run went: undefined where every step was inside. */
export interface Run {
  readonly steps: number;
  readonly escape: string | undefined;
}

/** Runs an accepted program on random inputs. */
export function runInside(program: Verified["program"], recording: Recording, random: Random): Run {
  world.begin(program.program.type as RandomProgram["type"], random);
  let executable: Executable;
  try {
    executable = interpreter.load(program, world);
  } catch (error) {
    // What the interpreter does not run (a tail call below a callback) shows nothing.
    if (error instanceof BpfError) return { steps: 0, escape: undefined };
    throw error;
  }
  try {
    return new Follower(executable, recording, new FactFollower(program)).follow();
  } finally {
    executable.release();
  }
}

/** What an interpreter knows of its frames beside what everybody may. */
interface Activation extends LiveFrame {
  /** The caller's r6 and on. */
  readonly saved: readonly bigint[];
}

const values = new BigUint64Array(11);
/** The same as halves, the low one first. */
const halves = new Int32Array(values.buffer);
const one = new BigUint64Array(1);
const oneHalves = new Int32Array(one.buffer);

/** Holds one run against a recording. */
class Follower {
  readonly #executable: Executable;
  readonly #facts: FactFollower;
  readonly #recording: Recording;
  /** Which state held when an instruction was last passed: the next one is likely the next time. */
  readonly #hints: Int32Array;
  #frames: readonly Activation[] = [];
  #explains = false;
  #why: string | undefined = undefined;

  constructor(executable: Executable, recording: Recording, facts: FactFollower) {
    this.#facts = facts;
    this.#executable = executable;
    this.#recording = recording;
    this.#hints = new Int32Array(recording.states.length).fill(-1);
  }

  follow(): Run {
    const run = this.#executable.start({
      args: [world.context.address],
      stack: { low: world.stack.address, high: world.stackTop },
    }) as Execution & { frames(): readonly Activation[] };
    for (let steps = 0; steps < STEPS; steps++) {
      const stop = run.step(10_000);
      if (stop !== undefined) {
        const trap = stop.kind === "trap" ? `trap ${stop.cause} at ${run.at}: ${stop.detail ?? ""}` : undefined;
        const left = world.references > 0 && stop.kind === "returned" ? "a reference is left at the end" : undefined;
        return { steps, escape: trap ?? left };
      }
      for (let reg = 0; reg <= 10; reg++) values[reg] = run.register(reg);
      this.#frames = run.frames();
      const candidates = this.#recording.states[run.at]!;
      const broken = this.#facts.broken(run.at, halves);
      if (broken !== undefined) return { steps, escape: broken };
      if (!this.#isInside(candidates, run.at)) return { steps, escape: this.#explain(candidates, run.at) };
    }
    return { steps: STEPS, escape: undefined };
  }

  #isInside(candidates: readonly number[], at: number): boolean {
    const count = candidates.length;
    const first = this.#hints[at]! + 1;
    for (let i = 0; i < count; i++) {
      const index = (first + i) % count;
      if (!this.#isIn(candidates[index]!)) continue;
      this.#hints[at] = index;
      return true;
    }
    return false;
  }

  /** What does not fit, of the states that come nearest. */
  #explain(candidates: readonly number[], at: number): string {
    this.#explains = true;
    const reasons = candidates.map((state) => {
      this.#why = undefined;
      this.#isIn(state);
      return this.#why;
    });
    const registers = Array.from(values, (value, reg) => `r${reg}=${value.toString(16)}`).join(" ");
    const states = reasons.slice(0, 4).map((why, i) => `  not in state ${i}: ${why}`);
    return [`at ${at}, in none of ${candidates.length} states: ${registers}`, ...states].join("\n");
  }

  #isIn(state: number): boolean {
    const frames = recorded[state]!;
    if (frames !== this.#frames.length) return this.#not(`it has ${frames} frames`);
    // One that may be null counts before anybody has looked.
    if (world.references > recorded[state + 1]!) return this.#not(`it holds ${recorded[state + 1]} references`);
    let at = state + 2;
    for (let f = 0; f < frames; f++) {
      const depth = recorded[at++]!;
      const top = f === frames - 1;
      for (let reg = 0; reg < 10; reg++) {
        if (top ? !this.#matches(at, halves[2 * reg]!, halves[2 * reg + 1]!) : !this.#isSaved(at, f, reg))
          return this.#notHere(at, `r${reg} of frame ${f}`);
        at = behind(at);
      }
      const { base } = this.#frames[f]!;
      for (let slot = 0; slot < depth; slot++) {
        const kinds = recorded[at++]!;
        // Slots that nobody reads may hold anything where the kernel's way of pruning left them out.
        if (this.#recording.complete && !this.#isSlotIn(kinds, at, Number(base) - 8 * (slot + 1)))
          return this.#notHere(at, `fp-${8 * (slot + 1)} (${kinds.toString(16)}) of frame ${f}`);
        if (isSpill(kinds)) at = behind(at);
      }
    }
    return true;
  }

  /** A register of a frame that waits: those that survive calls are known to whom it called. */
  #isSaved(at: number, frame: number, reg: number): boolean {
    if (reg < 6) return true;
    one[0] = this.#frames[frame + 1]!.saved[reg - 6]!;
    return this.#matches(at, oneHalves[0]!, oneHalves[1]!);
  }

  /** The slot at an address against its kinds, and the spilled register at `spill` where they say that there is one. */
  #isSlotIn(kinds: number, spill: number, address: number): boolean {
    const at = (address - world.base) >> 2;
    const low = world.words[at]!;
    const high = world.words[at + 1]!;
    if (isFullSpill(kinds)) return this.#matches(spill, low, high);
    for (let byte = 0; byte < 8; byte++) {
      const shift = 8 * (byte & 3);
      const value = ((byte < 4 ? low : high) >>> shift) & 0xff;
      const kind = kindAt(kinds, byte);
      if (kind === Byte.ZERO && value !== 0) return false;
      if (kind !== Byte.SPILL || !isSpill(kinds)) continue;
      // The low bytes of a number: what is known of their bits.
      const x = spill + SCALAR + (byte < 4 ? 0 : 1);
      const known = (~recorded[x + 2]! >>> shift) & 0xff;
      if (((value ^ (recorded[x]! >>> shift)) & known) !== 0) return false;
    }
    return true;
  }

  #matches(at: number, low: number, high: number): boolean {
    const words = recorded;
    const type = words[at]!;
    if (type === Type.UNINIT) return true;
    if (type === Type.SCALAR) return !this.#recording.complete || holds(words, at + SCALAR, low, high);
    if ((type & Flag.MAYBE_NULL) !== 0 && (low | high) === 0) return true;
    const { packet } = world;
    switch (baseOf(type)) {
      case Type.STACK:
        return isFrom(at, low, high, Number(this.#frames[words[at + FRAME]!]!.base));
      case Type.CONTEXT:
        return isFrom(at, low, high, Number(world.context.address));
      case Type.MAP:
        return isFrom(at, low, high, Number(world.maps[words[at + AUX]! - 1]!.address));
      case Type.MAP_VALUE:
        return world.values[words[at + AUX]! - 1]!.some(({ address }) => isFrom(at, low, high, Number(address)));
      case Type.MAP_KEY:
        return isFrom(at, low, high, Number(world.key.address));
      case Type.PACKET:
        return isFrom(at, low, high, packet.data) && isThere(at, low, packet.end);
      case Type.PACKET_META:
        return isFrom(at, low, high, packet.meta) && isThere(at, low, packet.data);
      case Type.PACKET_END:
        return low === packet.end && high === 0;
      case Type.MEMORY:
        return world.records.some(
          ({ allocation, size }) => size === words[at + AUX] && isFrom(at, low, high, Number(allocation.address)),
        );
      case Type.FUNCTION:
        return isFrom(at, low, high, Number(this.#executable.subprogAddress(words[at + AUX]!)));
      default:
        return false;
    }
  }

  #not(why: string): false {
    this.#why = why;
    return false;
  }

  #notHere(at: number, what: string): false {
    if (this.#explains) this.#why = `${what} is ${show(recorded, at)}`;
    return false;
  }
}

/** Whether a value lies behind `base` by the offset of the pointer at `at`. */
function isFrom(at: number, low: number, high: number, base: number): boolean {
  const borrow = low >>> 0 < base ? 1 : 0;
  return holds(recorded, at + SCALAR, (low - base) | 0, (high - borrow) | 0);
}

/** Whether the bytes that a pointer's range promises lie before `end`. */
function isThere(at: number, low: number, end: number): boolean {
  const range = recorded[at + AUX]!;
  const x = at + SCALAR;
  return range <= 0 || low + range - unsigned(recorded[x + UMAX]!, recorded[x + UMAX + 1]!) <= end;
}

function show(words: Int32Array, at: number): string {
  const x = at + SCALAR;
  const hex = (i: number): string => bigOf(words[x + i]!, words[x + i + 1]!).toString(16);
  const signed = (i: number): bigint => BigInt.asIntN(64, bigOf(words[x + i]!, words[x + i + 1]!));
  const bits = `${hex(0)}/${hex(2)}`;
  const ranges = `u ${hex(UMIN)}..${hex(UMAX)} s ${signed(SMIN)}..${signed(SMAX)} 32 ${[...words.subarray(x + 12, x + 16)].join(" ")}`;
  return `${typeName(words[at]!)} aux ${words[at + AUX]} ${bits} ${ranges}`;
}
