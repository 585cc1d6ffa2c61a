// An emulated x86-64 processor: fetch, decode once, execute the meaning; Intel SDM volume 1, chapter 3 (64-bit mode).
import { Access, type Cpu, type CpuStop, Fault, type Memory, Run } from "@bpfkit/core";
import { decode, type Insn } from "./decode.ts";
import type { Fields, Meaning } from "./meaning/operands.ts";
import { FLAGS, type Flag, REGISTER_COUNT, type Reg, regNumber } from "./regs.ts";
import { SEMANTICS } from "./semantics.ts";

const MAX_LENGTH = 15;
const RIP = 16;
const FIRST_FLAG = FLAGS.CF;

/** Bits of the flags in RFLAGS; bit 1 is always set. */
const RFLAGS: readonly (readonly [Flag, bigint])[] = [
  ["CF", 0n],
  ["PF", 2n],
  ["AF", 4n],
  ["ZF", 6n],
  ["SF", 7n],
  ["OF", 11n],
];

/** A decoded instruction at its place, with links to those that have followed it. */
interface Step {
  readonly meaning: Meaning;
  readonly fields: Fields;
  /** Offset in the memory window. */
  readonly at: number;
  following: Step | undefined;
  /** Where the last jump from here led. */
  target: bigint | undefined;
  taken: Step | undefined;
}

/** The fields of an instruction at `address`, for its meaning. */
export function fieldsOf(insn: Insn, address: bigint): Fields {
  const { row, length, base, reg, rm, vvvv, index, scale } = insn;
  const next = address + BigInt(length);
  const isBranch = row.operands[0]?.place === "rel";
  const width = 8 * (row.operands[0]?.size || 8);
  return {
    reg,
    rm,
    vvvv,
    base: base === RIP ? -1 : base,
    index,
    scale,
    disp: BigInt.asUintN(64, BigInt(insn.disp) + (base === RIP ? next : 0n)),
    imm: isBranch
      ? BigInt.asUintN(64, next + insn.imm)
      : BigInt.asUintN(row.mnemonic === "push" ? 64 : width, insn.imm),
    next,
  };
}

/** A CPU whose flags can be seen too. */
export class X86Cpu implements Cpu<Reg> {
  pc = 0n;
  /** Instructions completed since it was made. */
  executed = 0;
  readonly #memory: Memory;
  readonly #run: Run;
  /** Decoded instructions by window offset, all of one version of the code. */
  readonly #steps: Map<number, Step> = new Map();
  #version = -1;

  constructor(memory: Memory, options: { readonly checked?: boolean } = {}) {
    this.#memory = memory;
    this.#run = new Run({ memory, registers: REGISTER_COUNT, firstLazy: FIRST_FLAG, ...options });
  }

  get(register: Reg): bigint {
    return this.#run.get(regNumber(register));
  }

  set(register: Reg, value: bigint): void {
    this.#run.set(regNumber(register), BigInt.asUintN(64, value));
  }

  /** RFLAGS, of which the six status flags can be set. */
  get flags(): bigint {
    return RFLAGS.reduce((word, [flag, bit]) => word | (this.#run.get(FLAGS[flag]) << bit), 2n);
  }

  set flags(word: bigint) {
    const run = this.#run;
    for (const [flag, bit] of RFLAGS) run.set(FLAGS[flag], (word >> bit) & 1n);
    const less = run.get(FLAGS.SF) ^ run.get(FLAGS.OF);
    run.set(FLAGS.LT, less);
    run.set(FLAGS.BE, run.get(FLAGS.CF) | run.get(FLAGS.ZF));
    run.set(FLAGS.LE, run.get(FLAGS.ZF) | less);
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
        if (marks !== undefined && step !== undefined && marks[step.at - markBase]) return { kind: "budget" };
      }
      return { kind: "host", address: this.pc };
    } catch (error) {
      if (error instanceof Fault) return error.toTrap(this.pc);
      throw error;
    } finally {
      this.executed += budget - left;
    }
  }

  #execute(step: Step): void {
    const run = this.#run;
    run.begin();
    step.meaning(run, step.fields);
    this.pc = run.target ?? step.fields.next;
  }

  /** The instruction at `pc`, by the links of the one before it where they are right; undefined at a host entry point. */
  #after(step: Step): Step | undefined {
    if (this.#version !== this.#memory.codeVersion) return this.#fetch(this.pc);
    const { target } = this.#run;
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
  #fetch(pc: bigint): Step | undefined {
    const memory = this.#memory;
    if (this.#version !== memory.codeVersion) {
      this.#steps.clear();
      this.#version = memory.codeVersion;
    }
    const at = Number(pc - memory.base);
    const known = this.#steps.get(at);
    if (known !== undefined) return known;
    if ((memory.accessAt(pc) & Access.HOST) !== 0) return undefined;
    memory.check(1, pc, Access.EXECUTE, "fetch");
    const insn = decode(memory.bytes.subarray(at, at + MAX_LENGTH));
    if (insn === undefined) throw new Fault("illegal");
    memory.check(insn.length, pc, Access.EXECUTE, "fetch");
    const step: Step = {
      meaning: SEMANTICS[insn.row.op],
      fields: fieldsOf(insn, pc),
      at,
      following: undefined,
      target: undefined,
      taken: undefined,
    };
    this.#steps.set(at, step);
    return step;
  }
}

/** A processor over guest memory, with every register 0. */
export function createCpu(memory: Memory): X86Cpu {
  return new X86Cpu(memory);
}
