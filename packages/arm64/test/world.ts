// Runs one program in the interpreter and as machine code on the CPU, from the same memory, and gives what each left behind.
import {
  type Allocation,
  BpfError,
  type CompileOptions,
  type Engine,
  type Executable,
  formatListing,
  formatProgram,
  type GuestCall,
  type Host,
  type HostCall,
  type HostFunction,
  interpreter,
  jit,
  Memory,
  notesOf,
  type Program,
  type Stop,
  type Symbol as SymbolRef,
  trust,
  type VerifiedProgram,
} from "@bpfkit/core";
import { expect } from "vitest";
import { arm64 } from "../src/index.ts";

const STACK = 8192;
const BPF_LOOP = 181;

/** `bpf_loop(n, callback, context, 0)`. */
function* bpfLoop({ args: [count, callback, context] }: HostCall): Generator<GuestCall, bigint, bigint> {
  for (let i = 0n; i < count; i++) {
    if ((yield { address: callback, args: [i, context] }) !== 0n) return i + 1n;
  }
  return count;
}

/** A packet whose byte `i` is `i`, 64 bytes long, in network order. */
function packetLoad(size: number): HostFunction {
  return ({ args: [, offset] }) => {
    const at = Number(BigInt.asIntN(64, offset));
    if (at < 0 || at + size > 64) return -1n;
    let value = 0n;
    for (let i = 0; i < size; i++) value = (value << 8n) | BigInt(at + i);
    return value;
  };
}

/** Memory, a stack, a context and a few functions. */
export class World implements Host {
  readonly memory: Memory = new Memory({ sizes: { text: 1 << 18, stack: 1 << 16, data: 1 << 16 } });
  readonly stack: Allocation = this.memory.allocate("stack", STACK, "stack");
  readonly context: Allocation = this.memory.allocate("data", 32_768, "context");

  address(symbol: SymbolRef): bigint {
    if (symbol.kind === "map") return 0x1234_5678_9abcn + BigInt(symbol.index);
    if (symbol.kind === "map-value") return 0x2000_0000n + BigInt(symbol.offset);
    throw new BpfError("unknown-symbol", symbol.kind);
  }

  function(symbol: SymbolRef): HostFunction {
    if (symbol.kind === "helper" && symbol.id === BPF_LOOP) return bpfLoop;
    if (symbol.kind === "helper" && symbol.id === 5) return ({ args }) => args.reduce((sum, value) => sum + value);
    if (symbol.kind === "kfunc") return ({ args: [value] }) => value * 2n;
    if (symbol.kind === "packet-load") return packetLoad(symbol.size);
    throw new BpfError("unknown-symbol", symbol.kind);
  }
}

/** What a run left behind. */
export interface Outcome {
  readonly stop: Stop;
  readonly context: Uint8Array;
}

/** A program loaded into a world of its own. */
class Side {
  readonly #world = new World();
  readonly #executable: Executable;
  readonly #frameAddress: (() => bigint) | undefined;

  constructor(engine: Engine, program: VerifiedProgram) {
    const { address } = this.#world.stack;
    this.#executable = engine.load(program, this.#world);
    // Code finds its frame below x29, x30, the count of tail calls and the registers it keeps; a program without calls can see where.
    const { registers } = program.structure.subprogs[0]!;
    const kept = [6, 7, 8, 9, 10].filter((register) => (registers >> register) & 1).length;
    const low = STACK - 32 - 16 * Math.ceil(kept / 2);
    this.#frameAddress = program.structure.subprogs.length === 1 ? () => address + BigInt(low) : undefined;
  }

  run(bytes: Uint8Array): Outcome {
    const { context, stack, memory } = this.#world;
    const view = memory.view(context.address, bytes.length);
    view.set(bytes);
    memory.view(stack.address, STACK).fill(0);
    const execution = this.#executable.start({
      args: [context.address],
      stack: { low: stack.address, high: stack.address + BigInt(STACK) },
      ...(this.#frameAddress && { frameAddress: this.#frameAddress }),
    });
    return { stop: execution.run(10_000_000), context: view.slice() };
  }
}

/** The same program in the interpreter and as machine code. */
export class Pair {
  readonly #program: VerifiedProgram;
  readonly #options: CompileOptions;
  readonly #interpreted: Side;
  readonly #compiled: Side;

  constructor(program: Program, options: CompileOptions = {}) {
    this.#program = trust(program);
    this.#options = options;
    this.#interpreted = new Side(interpreter, this.#program);
    this.#compiled = new Side(jit(arm64, options), this.#program);
  }

  /** Runs both with a pointer to `bytes` in r1; fails, with both listings, unless they end the same way and leave the same bytes. */
  expectSame(bytes: Uint8Array): Outcome {
    const expected = this.#interpreted.run(bytes);
    const actual = this.#compiled.run(bytes);
    if (!sameStop(expected.stop, actual.stop) || !equal(expected.context, actual.context)) {
      const { program } = this.#program;
      const image = arm64.compile(this.#program, this.#options);
      const listing = formatListing(arm64.disassemble(image.code), notesOf(image, program));
      expect(actual, `${program.name}\n${formatProgram(program)}\n\n${listing}`).toEqual(expected);
    }
    return actual;
  }
}

/** {@link Pair.expectSame} of a program that runs once. */
export function expectSame(program: Program, bytes: Uint8Array, options: CompileOptions = {}): Outcome {
  return new Pair(program, options).expectSame(bytes);
}

function sameStop(a: Stop, b: Stop): boolean {
  if (a.kind === "returned" || b.kind === "returned")
    return a.kind === b.kind && "value" in a && "value" in b && a.value === b.value;
  return (
    a.kind === b.kind &&
    (a.kind === "budget" || b.kind === "budget" || (a.cause === b.cause && a.address === b.address))
  );
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
