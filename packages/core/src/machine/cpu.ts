// The emulated processor of every backend: fetch, decode once, execute the meaning; docs/architecture.md, "One meaning, many readings".
import type { Cpu, CpuCounts, CpuOptions, CpuState, CpuStop } from "../jit/backend.ts";
import { CountingRun } from "./counting.ts";
import { Fault } from "./fault.ts";
import { Access, type Memory } from "./memory.ts";
import type { Ops } from "./ops.ts";
import { Run } from "./run.ts";

/** An instruction as a decoder gives it: what it does, and with what. */
export interface DecodedInsn<F> {
  readonly meaning: <V>(m: Ops<V>, fields: F) => void;
  readonly fields: F;
  /** Bytes. */
  readonly length: number;
}

/** What one architecture's processor is made of. */
export interface CpuParts<R extends string, F> {
  /** Number of a register in the file. @throws {BpfError} `argument` */
  readonly registerNumber: (name: R) => number;
  readonly stackPointer: R;
  /** Size of the register file, with flags and whatever else rows keep in registers. */
  readonly registers: number;
  /** Number of the first register that rows set lazily; none unless told. */
  readonly firstLazy?: number;
  /** Bytes of the shortest instruction: every one begins at a multiple of it. */
  readonly unit: 1 | 2 | 4;
  /** Bytes of the longest instruction; the decoder never sees more. */
  readonly longest: number;
  /** The instruction that `bytes` begin with, to be executed at `pc`; undefined where they begin none. */
  readonly decode: (bytes: Uint8Array, pc: bigint) => DecodedInsn<F> | undefined;
}

/** A decoded instruction at its place, with links to those that have followed it. */
interface Step<F> {
  readonly meaning: (m: Run, fields: F) => void;
  readonly fields: F;
  readonly next: bigint;
  /** Offset in the memory window. */
  readonly at: number;
  following: Step<F> | undefined;
  /** Where the last jump from here led. */
  target: bigint | undefined;
  taken: Step<F> | undefined;
}

/**
 * Runs machine code over guest memory. An instruction is decoded when it is first reached and again after code has changed; from
 * then on it is found by a link from the one before it. Every register starts as 0.
 */
export class EmulatedCpu<R extends string, F> implements Cpu<R> {
  pc = 0n;
  executed = 0;
  /** The register file and the words that meanings are executed with. */
  protected readonly machine: Run;
  readonly #parts: CpuParts<R, F>;
  readonly #memory: Memory;
  /** Decoded instructions by window offset, all of one version of the code. */
  readonly #steps: Map<number, Step<F>> = new Map();
  #version = -1;

  constructor(parts: CpuParts<R, F>, memory: Memory, options: CpuOptions & { readonly checked?: boolean } = {}) {
    const { registers, firstLazy = registers } = parts;
    const { counting = false, checked = false } = options;
    this.#parts = parts;
    this.#memory = memory;
    const setting = { memory, registers, firstLazy, checked };
    this.machine = counting ? new CountingRun(setting, parts.registerNumber(parts.stackPointer)) : new Run(setting);
  }

  get counts(): CpuCounts | undefined {
    return this.machine instanceof CountingRun ? this.machine : undefined;
  }

  get(register: R): bigint {
    return this.machine.get(this.#parts.registerNumber(register));
  }

  set(register: R, value: bigint): void {
    this.machine.set(this.#parts.registerNumber(register), BigInt.asUintN(64, value));
  }

  run(budget: number, stopAt?: { readonly base: bigint; readonly marks: Uint8Array }): CpuStop {
    const marks = stopAt?.marks;
    const markBase = stopAt === undefined ? 0 : Number(stopAt.base - this.#memory.base);
    let left = budget;
    try {
      if (left <= 0) return { kind: "budget" };
      let step = this.#fetch(this.pc);
      while (step !== undefined) {
        this.#execute(step);
        left--;
        if (left <= 0) return { kind: "budget" };
        step = this.#after(step);
        if (marks !== undefined && step !== undefined && marks[step.at - markBase] !== 0) return { kind: "budget" };
      }
      return { kind: "host", address: this.pc };
    } catch (error) {
      if (error instanceof Fault) return error.toTrap(this.pc);
      throw error;
    } finally {
      this.executed += budget - left;
    }
  }

  execute(bytes: Uint8Array): CpuStop {
    try {
      const insn = this.#parts.decode(bytes.subarray(0, this.#parts.longest), this.pc);
      if (insn === undefined) throw new Fault("illegal");
      const next = BigInt.asUintN(64, this.pc + BigInt(insn.length));
      this.#execute({ meaning: insn.meaning, fields: insn.fields, next });
      this.executed++;
      return { kind: "budget" };
    } catch (error) {
      if (error instanceof Fault) return error.toTrap(this.pc);
      throw error;
    }
  }

  save(): CpuState {
    const { machine, pc } = this;
    return { pc, registers: machine.registers.map((_, reg) => machine.get(reg)) };
  }

  restore({ pc, registers }: CpuState): void {
    this.pc = pc;
    for (const [reg, value] of registers.entries()) this.machine.set(reg, value);
  }

  #execute(step: Pick<Step<F>, "meaning" | "fields" | "next">): void {
    const { machine } = this;
    machine.begin();
    step.meaning(machine, step.fields);
    this.pc = machine.target ?? step.next;
  }

  /** The instruction at `pc`, by the links of the one before it where they are right; undefined at a host entry point. */
  #after(step: Step<F>): Step<F> | undefined {
    if (this.#version !== this.#memory.codeVersion) return this.#fetch(this.pc);
    const { target } = this.machine;
    if (target === undefined) {
      step.following ??= this.#fetch(this.pc);
      return step.following;
    }
    if (target !== step.target) {
      step.taken = this.#fetch(target);
      step.target = step.taken && target;
    }
    return step.taken;
  }

  /** @throws {Fault} */
  #fetch(pc: bigint): Step<F> | undefined {
    const memory = this.#memory;
    const { unit, longest, decode } = this.#parts;
    if (this.#version !== memory.codeVersion) {
      this.#steps.clear();
      this.#version = memory.codeVersion;
    }
    const at = Number(pc - memory.base);
    const known = this.#steps.get(at);
    if (known !== undefined) return known;
    if ((memory.accessAt(pc) & Access.HOST) !== 0) return undefined;
    if (at % unit !== 0) throw new Fault("fetch", `not a multiple of ${unit}`, pc, unit);
    memory.check(unit, pc, Access.EXECUTE, "fetch");
    const insn = decode(memory.bytes.subarray(at, at + longest), pc);
    if (insn === undefined) throw new Fault("illegal");
    memory.check(insn.length, pc, Access.EXECUTE, "fetch");
    const step: Step<F> = {
      meaning: insn.meaning,
      fields: insn.fields,
      next: BigInt.asUintN(64, pc + BigInt(insn.length)),
      at,
      following: undefined,
      target: undefined,
      taken: undefined,
    };
    this.#steps.set(at, step);
    return step;
  }
}
