// A tiny architecture for tests of what all backends share: 8-byte instructions, results in another register than r0, calls that
// put the return address on the stack or in a register.
import { invariant } from "../../src/errors.ts";
import { KINDS } from "../../src/isa/decode.ts";
import type { Backend, Cpu, CpuState, CpuStop, Line } from "../../src/jit/backend.ts";
import { CodeBuffer, type Label } from "../../src/jit/code-buffer.ts";
import { type BackendParts, defineBackend, type LowerContext, type Lowering } from "../../src/jit/define-backend.ts";
import type { Symbol as SymbolRef } from "../../src/machine/engine.ts";
import { trapping } from "../../src/machine/fault.ts";
import { Access, type Memory } from "../../src/machine/memory.ts";

const NAMES = ["t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9", "t10", "sp", "lr"] as const;
export type ToyReg = (typeof NAMES)[number];
const SP = 11;
const LR = 12;
const FP = 10;

/** Opcodes: opcode, two registers, one unused byte, 32-bit immediate. Branch distances count from the branch. */
const OP = {
  movi: 1,
  mov: 2,
  addi: 3,
  add: 4,
  load: 5,
  store: 6,
  call: 7,
  jump: 8,
  jeq: 9,
  ret: 10,
  callabs: 11,
} as const;
type ToyOp = keyof typeof OP;
const OP_NAMES = Object.keys(OP) as ToyOp[];

const reach = { min: -0x8000_0000, max: 0x7fff_ffff };
const JUMP = 0;
const CALL = 1;
const JEQ = 2;

class ToyAssembler extends CodeBuffer {
  put(op: ToyOp, a = 0, b = 0, imm = 0): void {
    this.ensure(8);
    word(this.bytes, this.length, OP[op], a, b, imm);
    this.length += 8;
  }

  to(form: number, target: Label, a = 0, b = 0): void {
    this.branch(form, (b << 4) | a, target);
  }
}

function word(bytes: Uint8Array, at: number, op: number, a: number, b: number, imm: number): void {
  bytes.set([op, a, b, 0, imm, imm >> 8, imm >> 16, imm >> 24], at);
}

const refuse = (): never => invariant(false, "a lowering of the toy") as never;

/** Where calls leave the return address. */
export type Link = "stack" | "register";

/** The backend; it knows 64-bit `mov`, `+=`, loads and stores of 8 bytes, `==`, jumps, calls and exits. */
export function toy(link: Link): Backend<ToyReg> {
  return defineBackend(toyParts(link));
}

export function toyParts(link: Link): BackendParts<ToyReg, ToyAssembler> {
  const lowering: Lowering<ToyAssembler> = {
    ...(Object.fromEntries(KINDS.map((kind) => [kind, refuse])) as unknown as Lowering<ToyAssembler>),
    mov: (a, insns, at) => {
      if (insns.code(at) & 8) a.put("mov", insns.dst(at), insns.src(at));
      else a.put("movi", insns.dst(at), 0, insns.imm(at));
    },
    alu: (a, insns, at, context) => {
      if (insns.code(at) === 0x07 && insns.imm(at) === 1000) {
        // An instruction with a part out of line.
        const entry = a.label();
        const back = a.label();
        a.to(JUMP, entry);
        a.bind(back);
        context.outOfLine(
          (b, _insns, slot, _context, onward) => {
            b.put("addi", insns.dst(slot), 0, 1000);
            b.to(JUMP, onward);
          },
          at,
          entry,
          back,
        );
      } else if (insns.code(at) & 8) a.put("add", insns.dst(at), insns.src(at));
      else a.put("addi", insns.dst(at), 0, insns.imm(at));
    },
    load: (a, insns, at) => a.put("load", insns.dst(at), insns.src(at), insns.off(at)),
    store: (a, insns, at) => a.put("store", insns.dst(at), insns.src(at), insns.off(at)),
    loadImm64: (a, insns, at, { structure }) => {
      a.put("movi", insns.dst(at), 0, insns.imm(at));
      if (insns.src(at) === 4)
        a.relocate("word", { kind: "subprog", index: structure.subprogAt(at + 1 + insns.imm(at)) }, 4);
      if (insns.src(at) === 5) a.relocate("word", { kind: "map", index: insns.imm(at) }, 4);
    },
    jump: (a, insns, at, context) => {
      if (insns.off(at) !== 0) a.to(JUMP, context.label(at + 1 + insns.off(at)));
    },
    jumpIf: (a, insns, at, context) => {
      if (insns.code(at) === 0x1d) a.to(JEQ, context.label(at + 1 + insns.off(at)), insns.dst(at), insns.src(at));
      else refuse();
    },
    callHelper: (a, insns, at) => callHost(a, { kind: "helper", id: insns.imm(at) }),
    callKfunc: (a, insns, at) => callHost(a, { kind: "kfunc", index: insns.imm(at) }),
    callSubprog: (a, insns, at, context) => {
      a.to(CALL, context.entry(context.structure.subprogAt(at + 1 + insns.imm(at))));
      a.put("mov", 0, 1);
    },
    exit: (a, _insns, _at, context) => leave(a, context, link),
  };
  return {
    arch: `toy-${link}`,
    abi: {
      bpf: NAMES.slice(0, 11),
      args: ["t1", "t2", "t3", "t4", "t5"],
      result: "t1",
      returned: "t0",
      stackPointer: "sp",
      stackAlign: 16,
      returnAddress: link === "stack" ? { in: "stack" } : { in: "register", register: "lr" },
      callerSaved: ["t0", "t1", "t2", "t3", "t4", "t5", "lr"],
      preserved: ["t6", "t7", "t8", "t9", "t10"],
      frameChain: { register: "t10", returnAddress: 8, caller: 0, shortLeaves: false },
      bodyStack: link === "stack" ? 8 : 0,
    },
    capabilities: {
      layout: { padded: false, level: 2, tailCalls: "pointer", directTailCalls: false },
      features: { fast: true },
      fetchUnit: 4,
      tailCallSchemes: ["pointer"],
    },
    assembler: () => new ToyAssembler(),
    lowering,
    prologue: (a, context) => {
      a.site("entry", 8, context.subprog);
      if (context.layout.padded) a.put("mov", 0, 0);
      a.put("addi", SP, 0, -16);
      if (link === "register") a.put("store", SP, LR, 8);
      a.put("store", SP, FP, 0);
      a.put("mov", FP, SP);
      if (context.subprog === 0) a.land();
      a.put("addi", SP, 0, -(context.frame.stack + 8 * context.frame.saved.length));
      context.frame.saved.forEach((register, i) => {
        a.put("store", SP, register, 8 * i);
      });
    },
    frameSlots: ({ frame: { stack } }) => [{ name: "stack", offset: -stack, size: stack }],
    landing: ({ padded }) => 8 * (3 + Number(padded) + Number(link === "register")),
    counterPlace: () => ({ in: "register", register: "t9", holds: "count", counts: "up" }),
    poke: () => ({ phases: [] }),
    pokeMany: () => undefined,
    trampoline: {
      rules: { registers: 5, struct: "stack", typed: false },
      traits: {
        jumps: false,
        frames: 1,
        aligned: "always",
        smallOnStack: { seen: "whole", passed: "whole" },
      },
      emit: (a) => a.put("ret"),
      frame: () => [],
      emitFunction: (a) => callHost(a, { kind: "body" }),
    },
    branches: [
      { name: "jump", from: "start", encodings: [{ size: 8, ...reach }] },
      { name: "call", from: "start", encodings: [{ size: 8, ...reach }] },
      { name: "jeq", from: "start", encodings: [{ size: 8, ...reach }] },
    ],
    writeBranch: (bytes, at, form, operand, _encoding, displacement) => {
      word(bytes, at, [OP.jump, OP.call, OP.jeq][form]!, operand & 15, operand >> 4, displacement);
    },
    relocate: (code, offset, _kind, _address, value) => new DataView(code.buffer).setInt32(offset, Number(value), true),
    disassemble,
    createCpu: (memory) => new ToyCpu(memory, link),
  };
}

function callHost(a: ToyAssembler, symbol: SymbolRef): void {
  a.put("callabs");
  a.relocate("word", symbol, 4);
  a.put("mov", 0, 1);
}

function leave(a: ToyAssembler, { frame }: LowerContext<ToyAssembler>, link: Link): void {
  frame.saved.forEach((register, i) => {
    a.put("load", register, SP, 8 * i);
  });
  a.put("mov", SP, FP);
  a.put("load", FP, SP, 0);
  if (link === "register") a.put("load", LR, SP, 8);
  a.put("addi", SP, 0, 16);
  a.put("mov", 1, 0);
  a.put("ret");
}

function* disassemble(code: Uint8Array): Iterable<Line> {
  const view = new DataView(code.buffer, code.byteOffset, code.length);
  for (let offset = 0; offset < code.length; offset += 8) {
    const name = OP_NAMES[code[offset]! - 1] ?? ".byte";
    const text = `${name} ${NAMES[code[offset + 1]!]}, ${NAMES[code[offset + 2]!]}, ${view.getInt32(offset + 4, true)}`;
    yield { offset, bytes: code.subarray(offset, offset + 8), text };
  }
}

class ToyCpu implements Cpu<ToyReg> {
  pc = 0n;
  executed = 0;
  readonly counts = undefined;
  readonly #memory: Memory;
  readonly #link: Link;
  readonly #registers = new BigUint64Array(NAMES.length);

  constructor(memory: Memory, link: Link) {
    this.#memory = memory;
    this.#link = link;
  }

  get(register: ToyReg): bigint {
    return this.#registers[NAMES.indexOf(register)]!;
  }

  set(register: ToyReg, value: bigint): void {
    this.#registers[NAMES.indexOf(register)] = value;
  }

  run(budget: number, stopAt?: { readonly base: bigint; readonly marks: Uint8Array }): CpuStop {
    for (let i = 0; i < budget; i++) {
      if (this.#memory.accessAt(this.pc) & Access.HOST) return { kind: "host", address: this.pc };
      if (i > 0 && stopAt?.marks[Number(this.pc - stopAt.base)] === 1) return { kind: "budget" };
      const trap = trapping(
        () => this.#step(),
        () => this.pc,
      );
      if (trap !== undefined) return trap;
      this.executed++;
    }
    return { kind: "budget" };
  }

  execute(): CpuStop {
    return this.run(1);
  }

  save(): CpuState {
    return { pc: this.pc, registers: [...this.#registers] };
  }

  restore({ pc, registers }: CpuState): void {
    this.pc = pc;
    this.#registers.set(registers);
  }

  #step(): void {
    const memory = this.#memory;
    const r = this.#registers;
    const at = memory.check(8, this.pc, Access.EXECUTE, "fetch");
    const [op, a, b] = memory.bytes.subarray(at, at + 3) as unknown as [number, number, number];
    const imm = BigInt(new DataView(memory.bytes.buffer, memory.bytes.byteOffset).getInt32(at + 4, true));
    let next = this.pc + 8n;
    const address = (base: number): bigint => BigInt.asUintN(64, r[base]! + imm);
    const call = (target: bigint): void => {
      if (this.#link === "register") r[LR] = next;
      else {
        memory.store(8, r[SP]! - 8n, next);
        r[SP]! -= 8n;
      }
      next = target;
    };
    switch (OP_NAMES[op - 1]) {
      case "movi":
        r[a] = imm;
        break;
      case "mov":
        r[a] = r[b]!;
        break;
      case "addi":
        r[a]! += imm;
        break;
      case "add":
        r[a]! += r[b]!;
        break;
      case "load":
        r[a] = memory.load(8, address(b));
        break;
      case "store":
        memory.store(8, address(a), r[b]!);
        break;
      case "call":
        call(this.pc + imm);
        break;
      case "callabs":
        call(imm);
        break;
      case "jump":
        next = this.pc + imm;
        break;
      case "jeq":
        if (r[a] === r[b]) next = this.pc + imm;
        break;
      case "ret":
        if (this.#link === "register") next = r[LR]!;
        else {
          next = memory.load(8, r[SP]!);
          r[SP]! += 8n;
        }
        break;
      default:
        memory.check(1, 0n, Access.EXECUTE, "fetch");
    }
    this.pc = next;
  }
}
