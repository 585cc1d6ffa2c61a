// The law "concrete inside abstract": runs an accepted program and holds every register and slot against the states that were recorded.
import { assemble } from "../../src/asm/parse.ts";
import { BpfError } from "../../src/errors.ts";
import type { Executable, Execution, Host } from "../../src/machine/engine.ts";
import type { LiveFrame } from "../../src/machine/frames.ts";
import { interpreter } from "../../src/machine/interpreter.ts";
import { type Allocation, Memory } from "../../src/machine/memory.ts";
import type { Program } from "../../src/program.ts";
import { baseOf, FRAME, SCALAR, Type } from "../../src/verifier/register.ts";
import type { Rejected, Verified } from "../../src/verifier/result.ts";
import { holds } from "../../src/verifier/scalar.ts";
import { Byte, isFullSpill, KINDS, kindAt, regAt, spillAt } from "../../src/verifier/state.ts";
import type { Tables } from "../../src/verifier/tables.ts";
import { verifyWith } from "../../src/verifier/verify.ts";
import type { Random } from "./random-programs.ts";

interface Snapshot {
  readonly frames: readonly { readonly callSite: number; readonly depth: number; readonly words: Int32Array }[];
}

const MAP = { name: "m", type: 2, keySize: 4, valueSize: 64, maxEntries: 1, flags: 0 };
const CONTEXT_BYTES = 64;

export function programOf(text: string): Program {
  return { ...assemble(text, { type: "syscall", maps: [MAP] }), sleepable: true };
}

/** Verifies, and records the state before every instruction. `complete`: nothing is left out because no decision depended on it. */
export function verifyRecording(
  program: Program,
  complete: boolean,
  tables?: Tables,
): { readonly result: Verified | Rejected; readonly states: readonly Snapshot[][] } {
  const states: Snapshot[][] = Array.from({ length: program.insns.length }, () => []);
  const result = verifyWith(
    program,
    { budget: { insns: 20_000 } },
    {
      complete,
      ...(tables === undefined ? {} : { tables }),
      watch: ({ state }) => {
        states[state.insn]!.push({
          frames: state.frames.map(({ origin, depth, words }) => ({
            callSite: origin.callSite,
            depth,
            words: words.slice(0, spillAt(depth)),
          })),
        });
      },
    },
  );
  return { result, states };
}

class Surroundings implements Host {
  readonly memory: Memory = new Memory({ sizes: { text: 1 << 16, stack: 1 << 16, data: 1 << 17 } });
  readonly stack: Allocation = this.memory.allocate("stack", 8192, "the stack");
  readonly value: Allocation = this.memory.allocate("data", MAP.valueSize, "the map's value");
  readonly context: Allocation = this.memory.allocate("data", 2 * CONTEXT_BYTES, "the context");

  address(): bigint {
    return this.value.address;
  }

  function(): never {
    throw new BpfError("unknown-symbol", "no helpers here");
  }
}

let host = new Surroundings();

/** Runs an accepted program on random inputs. @returns what broke the law, undefined when nothing did */
export function escapes(
  program: Verified["program"],
  states: readonly Snapshot[][],
  random: Random,
  everything: boolean,
): string | undefined {
  host = new Surroundings();
  const fill = (address: bigint, bytes: number): void => {
    for (let i = 0; i < bytes; i += 8) {
      const kind = Math.floor(random() * 4);
      const word = (BigInt(Math.floor(random() * 2 ** 32)) << 32n) | BigInt(Math.floor(random() * 2 ** 32));
      host.memory.store(
        8,
        address + BigInt(i),
        kind === 0
          ? word
          : kind === 1
            ? word & 0xffn
            : kind === 2
              ? -(word & 0xffn) & 0xffff_ffff_ffff_ffffn
              : word & 0xffff_ffffn,
      );
    }
  };
  fill(host.context.address, CONTEXT_BYTES);
  fill(host.value.address, MAP.valueSize);
  const executable = interpreter.load(program, host);
  try {
    return follow(executable, states, everything);
  } finally {
    executable.release();
  }
}

function follow(executable: Executable, states: readonly Snapshot[][], everything: boolean): string | undefined {
  const high = host.stack.address + 8192n;
  const run = executable.start({
    args: [host.context.address],
    stack: { low: host.stack.address, high },
  }) as Execution & {
    frames(): readonly LiveFrame[];
  };
  for (let steps = 0; steps < 400; steps++) {
    const stop = run.step(10_000);
    if (stop !== undefined) {
      return stop.kind === "trap" ? `trap ${stop.cause} at ${run.at}` : undefined;
    }
    const registers = Array.from({ length: 11 }, (_, reg) => run.register(reg));
    const bases = run.frames().map(({ base }) => base);
    const candidates = states[run.at]!;
    if (candidates.some((snapshot) => inside(snapshot, registers, bases, everything))) continue;
    const why: string[] = [];
    for (const snapshot of candidates) inside(snapshot, registers, bases, everything, why);
    return `at ${run.at}: ${why.slice(0, 4).join("; ") || `no state among ${candidates.length}`}`;
  }
  return undefined;
}

const low = (value: bigint): number => Number(BigInt.asIntN(32, value));
const high = (value: bigint): number => Number(BigInt.asIntN(32, value >> 32n));

function inside(
  { frames }: Snapshot,
  registers: readonly bigint[],
  bases: readonly bigint[],
  everything: boolean,
  why?: string[],
): boolean {
  if (frames.length !== bases.length) return false;
  const top = frames.at(-1)!;
  const is = (words: Int32Array, at: number, value: bigint, what: string): boolean => {
    const fine = matches(words, at, value, bases, everything);
    if (!fine)
      why?.push(
        `${what} is ${value.toString(16)}, type ${words[at]}, columns ${[...words.subarray(at + SCALAR, at + 24)].join(" ")}`,
      );
    return fine;
  };
  for (let reg = 0; reg < 10; reg++) if (!is(top.words, regAt(reg), registers[reg]!, `r${reg}`)) return false;
  for (const [f, { words, depth }] of frames.entries()) {
    for (let slot = 0; slot < depth; slot++) {
      const kinds = words[KINDS + slot]!;
      const address = bases[f]! - BigInt(8 * (slot + 1));
      if (isFullSpill(kinds)) {
        if (!is(words, spillAt(slot), host.memory.load(8, address), `fp-${8 * (slot + 1)}`)) return false;
        continue;
      }
      for (let byte = 0; byte < 8; byte++) {
        if (everything && kindAt(kinds, byte) === Byte.ZERO && host.memory.load(1, address + BigInt(byte)) !== 0n) {
          why?.push(`fp-${8 * (slot + 1)} is not 0`);
          return false;
        }
      }
    }
  }
  return true;
}

function matches(words: Int32Array, at: number, value: bigint, bases: readonly bigint[], everything: boolean): boolean {
  const offset = (base: bigint): boolean => {
    const by = BigInt.asUintN(64, value - base);
    return holds(words, at + SCALAR, low(by), high(by));
  };
  switch (baseOf(words[at]!)) {
    case Type.UNINIT:
      return true;
    case Type.SCALAR:
      return !everything || holds(words, at + SCALAR, low(value), high(value));
    case Type.STACK:
      return offset(bases[words[at + FRAME]!]!);
    case Type.CONTEXT:
      return offset(host.context.address);
    case Type.MAP_VALUE:
      return offset(host.value.address);
    default:
      return false;
  }
}
