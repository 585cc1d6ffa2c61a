// An engine whose program is a function: it calls helpers as compiled code does, without an instruction set in between.
import {
  assemble,
  type Engine,
  type Executable,
  Fault,
  type GuestCall,
  type Host,
  helperByName,
  type MapSpec,
  type Memory,
  type Stop,
  trust,
} from "@bpfkit/core";
import { Kernel, type KernelOptions, type RunOptions, type RunResult } from "@bpfkit/kernel";

/** What a script can do. */
export interface Tools {
  readonly memory: Memory;
  /** r1. */
  readonly context: bigint;
  /** Calls a helper and gives r0; `callback` answers its calls back. */
  helper(name: string, ...args: readonly (bigint | number)[]): bigint;
  map(index: number): bigint;
  /** Bytes on the stack, and where. */
  put(bytes: Uint8Array | readonly number[]): bigint;
  bytes(address: bigint, size: number): number[];
}

export type Script = (tools: Tools) => bigint | undefined;
export type Callback = (call: GuestCall) => bigint;

const CALLBACK = 0xca11n;

/** An engine that runs a script in place of every program; traps are those of the script's helpers. */
export function scripted(script: Script, callback: Callback = () => 0n): Engine {
  return {
    name: "scripted",
    load: (program, host) => {
      const executable: Executable = {
        program,
        subprogAddress: () => CALLBACK,
        release: () => undefined,
        start: ({ args, stack, cpu = 0 }) => {
          let executed = 0;
          let top = stack.high;
          const tools: Tools = {
            memory: host.memory,
            context: args[0]!,
            helper: (name, ...values) => {
              executed++;
              return call(host, name, values.map(BigInt), cpu, callback);
            },
            map: (index) => host.address({ kind: "map", index }),
            put: (bytes) => {
              top -= BigInt((bytes.length + 7) & ~7);
              host.memory.view(top, bytes.length).set(bytes);
              return top;
            },
            bytes: (address, size) => Array.from(host.memory.view(address, size)),
          };
          const run = (): Stop => {
            try {
              return { kind: "returned", value: script(tools) ?? 0n };
            } catch (error) {
              if (error instanceof Fault) return error.toTrap(0n);
              throw error;
            }
          };
          return {
            run,
            step: run,
            executable,
            at: -1,
            tailCalls: -1,
            counts: undefined,
            register: () => 0n,
            get executed() {
              return executed;
            },
          };
        },
      };
      return executable;
    },
  };
}

function call(host: Host, name: string, values: readonly bigint[], cpu: number, callback: Callback): bigint {
  const [a = 0n, b = 0n, c = 0n, d = 0n, e = 0n] = values.map((value) => BigInt.asUintN(64, value));
  const result = host.function({ kind: "helper", id: helperByName(name)!.id })({ args: [a, b, c, d, e], r6: 0n, cpu });
  if (typeof result === "bigint") return result;
  let next = result.next();
  while (next.done !== true) next = result.next(callback(next.value));
  return next.value;
}

/** A kernel with maps in which a script can be run once or several times. */
export function scriptKernel(
  maps: readonly MapSpec[],
  options: Partial<KernelOptions> & { readonly type?: string } = {},
): {
  readonly kernel: Kernel;
  run(script: Script, options?: RunOptions & { readonly callback?: Callback }): RunResult;
} {
  const { type = "syscall", ...rest } = options;
  let current: Script = () => 0n;
  let callback: Callback | undefined;
  const engine = scripted(
    (tools) => current(tools),
    (guestCall) => (callback ?? (() => 0n))(guestCall),
  );
  const kernel = new Kernel({ engine, ...rest });
  const program = kernel.load(trust(assemble("r0 = 0\nexit", { type, maps })));
  return {
    kernel,
    run: (script, { callback: answer, ...runOptions } = {}) => {
      current = script;
      callback = answer;
      return program.run(runOptions);
    },
  };
}

/** A map's description with small defaults. */
export function mapSpec(type: number, rest: Partial<MapSpec> = {}): MapSpec {
  return { name: "m", type, keySize: 4, valueSize: 8, maxEntries: 4, flags: 0, ...rest };
}

export const HASH = 1;
export const ARRAY = 2;
export const PERCPU_HASH = 5;
export const PERCPU_ARRAY = 6;
export const PROG_ARRAY = 3;
export const LRU_HASH = 9;
export const LRU_PERCPU_HASH = 10;

/** Little-endian bytes of a 32-bit and a 64-bit number. */
export function le32(value: number): Uint8Array {
  return Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
}

export function le64(value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
  return bytes;
}

/** A helper's result as a signed number. */
export function signed(value: bigint): number {
  return Number(BigInt.asIntN(64, value));
}
