// Machine code without a kernel around it: a CPU in memory of its own.
import { type Abi, Access, type Allocation, CodeBuffer, type Cpu, Memory } from "@bpfkit/core";

const PAGE = 1 << 16;
const STACK = 4096;

/** What a machine needs of a backend. */
export interface MachineParts<R extends string, C extends Cpu<R>> {
  readonly abi: Abi<R>;
  readonly createCpu: (memory: Memory) => C;
}

/**
 * Code in place, and a CPU that is about to run its first instruction and to return from it to the host.
 *
 * @example
 * ```ts
 * const machine = new Machine(backend, code);
 * machine.cpu.run(100); // { kind: "host", address: machine.host }
 * ```
 */
export class Machine<R extends string = string, C extends Cpu<R> = Cpu<R>> {
  readonly memory: Memory = new Memory({ sizes: { host: PAGE, text: PAGE, stack: PAGE, data: PAGE } });
  readonly code: Allocation;
  /** Where the code returns to. */
  readonly host: bigint;
  readonly cpu: C;
  readonly #abi: Abi<R>;
  readonly #top: bigint;

  /** `access` are the permissions of the code. */
  constructor({ abi, createCpu }: MachineParts<R, C>, code: Uint8Array, access: number = Access.READ | Access.EXECUTE) {
    const { memory } = this;
    this.#abi = abi;
    this.code = memory.allocate("text", code.length, "code", access);
    memory.write(this.code.address, code);
    this.host = memory.allocate("host", 16, "host", Access.HOST).address;
    this.#top = memory.allocate("stack", STACK, "stack").address + BigInt(STACK);
    this.cpu = createCpu(memory);
    this.call(this.cpu);
  }

  /** One with what `write` appends to a buffer. */
  static of<R extends string, C extends Cpu<R>>(
    parts: MachineParts<R, C>,
    write: (code: CodeBuffer) => void,
  ): Machine<R, C> {
    const code = new CodeBuffer();
    write(code);
    return new Machine(parts, code.bytes.subarray(0, code.length));
  }

  /** Makes a CPU over the same memory call the code, with `args` as the host's calls have them. */
  call(cpu: Cpu<R>, ...args: readonly bigint[]): void {
    const { args: places, returnAddress, stackPointer } = this.#abi;
    let top = this.#top;
    if (returnAddress.in === "register") cpu.set(returnAddress.register, this.host);
    else {
      top -= 8n;
      this.memory.store(8, top, this.host);
    }
    cpu.set(stackPointer, top);
    for (const [i, value] of args.entries()) cpu.set(places[i]!, value);
    cpu.pc = this.code.address;
  }
}
