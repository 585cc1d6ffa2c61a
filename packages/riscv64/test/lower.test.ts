import { generateProgram, Random } from "@bpfkit/conformance";
import {
  assemble,
  type CompileOptions,
  type Executable,
  type Execution,
  INSNS,
  type InsnKind,
  type InsnRow,
  Insns,
  jit,
  OPS,
  type Op,
  type Program,
  packWord,
  trust,
} from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { riscv64 } from "../src/index.ts";
import { Engines, expectSame, World } from "./world.ts";

const LIMITS: readonly bigint[] = [
  0n, 1n, 2n, 5n, 31n, 32n, 63n, 64n, 0x7fn, 0x80n, 0xffn, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 0x1_0000_0000n, 0x1_0000_0001n,
  0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0x8000_0000_8000_0000n, 0xffff_ffff_0000_0000n, 0xffff_ffff_7fff_ffffn, 0xffff_ffff_8000_0000n,
  0xffff_ffff_ffff_fffen, 0xffff_ffff_ffff_ffffn, 0x0123_4567_89ab_cdefn,
]; // biome-ignore format: values
const IMMEDIATES: readonly number[] = [0, 1, -1, 2, 7, 127, 128, -128, -129, 0x7fff_ffff, -0x8000_0000];
const REGISTERS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/** Places in the stack: the context, r1 meanwhile, a flag. In the context: ten registers, a word to work on, and what each case leaves. */
const CONTEXT_SLOT = -8;
const SPILL = -16;
const FLAG = -24;
const WORD = 80;
const FIRST = 128;
const STRIDE = 96;

/** Writes programs that try one instruction after another, each from the same registers, and keep all registers of each. */
class Trials {
  readonly words: number[] = [];
  #out = FIRST;

  constructor() {
    this.put("store64_reg", 10, 1, CONTEXT_SLOT);
  }

  get bytes(): number {
    return this.#out;
  }

  put(op: Op, dst = 0, src = 0, off = 0, imm = 0): void {
    const row: InsnRow = INSNS[op];
    this.words.push(packWord(row.code, dst, row.src ?? src, row.off ?? off), row.imm ?? imm);
  }

  trial(body: () => void): void {
    this.put("load64", 1, 10, CONTEXT_SLOT);
    for (const register of REGISTERS) if (register !== 1) this.put("load64", register, 1, 8 * register);
    this.put("load64", 1, 1, 8);
    body();
    this.put("store64_reg", 10, 1, SPILL);
    this.put("load64", 1, 10, CONTEXT_SLOT);
    for (const register of REGISTERS)
      if (register !== 1) this.put("store64_reg", 1, register, this.#out + 8 * register);
    this.put("load64", 2, 10, SPILL);
    this.put("store64_reg", 1, 2, this.#out + 8);
    this.put("load64", 2, 1, WORD);
    this.put("store64_reg", 1, 2, this.#out + 80);
    this.#out += STRIDE;
  }

  program(name: string): Program {
    this.put("mov64_imm", 0);
    this.put("exit");
    const insns = new Insns(Int32Array.from(this.words));
    return {
      name,
      type: "syscall",
      license: "GPL",
      insns,
      subprogs: [{ name: "main", start: 0 }],
      maps: [],
      kfuncs: [],
    };
  }
}

function context(bytes: number, random: Random): Uint8Array {
  const view = new DataView(new ArrayBuffer(bytes));
  for (let at = 0; at <= WORD; at += 8) view.setBigUint64(at, random.pick(LIMITS), true);
  return new Uint8Array(view.buffer);
}

const ofKinds = (...kinds: readonly InsnKind[]): readonly Op[] => OPS.filter((op) => kinds.includes(INSNS[op].kind));
const hasRegister = (op: Op): boolean => /[rw]S/.test(INSNS[op].text);

/** Every combination of features, each with another choice of branches and calls. */
const SETTINGS: readonly CompileOptions[] = Array.from({ length: 16 }, (_, i) => ({
  features: { c: (i & 1) === 0, zba: (i & 2) === 0, zbb: (i & 4) === 0, zacas: (i & 8) !== 0 },
  layout: { shortBranches: (i & 3) === 0, nearCalls: (i & 6) === 0 },
}));
const ARITHMETIC: ReadonlySet<InsnKind> = new Set<InsnKind>(["alu", "div", "shift", "neg", "mov", "movsx", "end"]);

/** Those that make a difference to an instruction: all but the last for arithmetic, the first and the last for atomic operations, and C for the rest. */
function settingsFor(op: Op): readonly CompileOptions[] {
  const { kind } = INSNS[op];
  if (ARITHMETIC.has(kind)) return SETTINGS.slice(0, 8);
  return SETTINGS.slice(0, 2).concat(kind === "atomic" ? SETTINGS.slice(2, 4).concat(SETTINGS.slice(8, 10)) : []);
}

function check(op: Op, runs: number, trials: (t: Trials) => void): void {
  const random = new Random(OPS.indexOf(op) + 1);
  const t = new Trials();
  trials(t);
  const engines = new Engines(t.program(op), ...settingsFor(op));
  for (let i = 0; i < runs; i++) {
    expect(engines.expectSame(context(t.bytes, random)).stop).toEqual({ kind: "returned", value: 0n });
  }
}

describe("arithmetic equals the interpreter's for every pair of registers", () => {
  const forms = ofKinds("alu", "div", "shift", "neg", "mov", "movsx", "end");

  test.each(forms.filter(hasRegister))("%s", (op) => {
    const all = (t: Trials): void => {
      for (const dst of REGISTERS) for (const src of [...REGISTERS, 10]) t.trial(() => t.put(op, dst, src));
    };
    check(op, 1, all);
  });

  test.each(forms.filter((op) => !hasRegister(op)))("%s", (op) => {
    const limit = INSNS[op].kind === "shift" ? [0, 1, 31, ...((INSNS[op].code & 7) === 7 ? [32, 63] : [])] : IMMEDIATES;
    const immediates = ["neg", "end"].includes(INSNS[op].kind) ? [0] : limit;
    check(op, 1, (t) => {
      for (const dst of REGISTERS) for (const imm of immediates) t.trial(() => t.put(op, dst, 0, 0, imm));
    });
  });
});

describe("conditions equal the interpreter's", () => {
  test.each(ofKinds("jumpIf"))("%s", (op) => {
    check(op, 1, (t) => {
      const pairs = hasRegister(op)
        ? REGISTERS.flatMap((dst) => REGISTERS.map((src) => ({ dst, src, imm: 0 })))
        : REGISTERS.flatMap((dst) => IMMEDIATES.map((imm) => ({ dst, src: 0, imm })));
      for (const { dst, src, imm } of pairs) {
        t.trial(() => {
          t.put("store64_imm", 10, 0, FLAG, 0);
          t.put(op, dst, src, 1, imm);
          t.put("store64_imm", 10, 0, FLAG, 1);
          t.put("load64", 0, 10, FLAG);
        });
      }
    });
  });
});

describe("memory accesses equal the interpreter's for every pair of registers", () => {
  test.each(ofKinds("load", "loadSx", "store", "storeImm", "atomic", "loadAcquire", "storeRelease"))("%s", (op) => {
    const loads = ["load", "loadSx", "loadAcquire"].includes(INSNS[op].kind);
    const immediate = INSNS[op].kind === "storeImm";
    check(op, 1, (t) => {
      for (const base of REGISTERS) {
        for (const other of REGISTERS) {
          t.trial(() => {
            t.put("load64", base, 10, CONTEXT_SLOT);
            if (loads) t.put(op, other, base, WORD, 0);
            else t.put(op, base, immediate ? 0 : other, WORD, immediate ? IMMEDIATES[other]! : 0);
          });
        }
      }
    });
  });
});

describe("programs that were drawn equal the interpreter's results", () => {
  const bytes = (seed: number): Uint8Array => {
    const random = new Random(seed);
    return Uint8Array.from({ length: 64 }, (_, i) =>
      i & 8 ? random.below(256) : random.pick([0, 1, 0x7f, 0x80, 0xff]),
    );
  };

  test.each([
    [20, 200],
    [100, 100],
    [2000, 3],
  ])("of %i instructions", (size, count) => {
    for (let seed = 0; seed < count; seed++) {
      const program = generateProgram(1000 * size + seed, { size, verifiable: seed % 2 === 0 });
      expect(expectSame(program, bytes(seed), SETTINGS[seed % SETTINGS.length]!).stop.kind).toBe("returned");
    }
  });
});

describe("calls", () => {
  const run = (text: string, kfuncs: readonly string[] = []): bigint | string => {
    const { stop } = expectSame(assemble(text, { kfuncs }), new Uint8Array(64).fill(3));
    return stop.kind === "returned" ? stop.value : stop.kind;
  };

  test("pass r1 to r5 to helpers", () => {
    expect(run("r1 = 1\nr2 = 20\nr3 = 300\nr4 = 4000\nr5 = 50000\ncall 5\nexit")).toBe(54_321n);
  });

  test("reach kfuncs by index", () => {
    expect(run("r1 = 21\ncall double\nexit", ["other", "double"])).toBe(42n);
  });

  test("keep r6 to r9, r10 and the stack across subprograms, also recursive ones", () => {
    const text = `
      r1 = 6
      call factorial
      exit
    factorial:
      if r1 > 1 goto more
      r0 = 1
      exit
    more:
      r6 = r1
      *(u64 *)(r10 - 8) = r1
      r1 += -1
      call factorial
      r1 = *(u64 *)(r10 - 8)
      if r1 != r6 goto wrong
      r0 *= r6
      exit
    wrong:
      r0 = -1
      exit`;
    expect(run(text)).toBe(720n);
  });

  test("reach callbacks, with the caller's registers kept", () => {
    const text = `
      r6 = 5
      r1 = 10
      r2 = each ll
      r3 = r10
      r3 += -8
      r4 = 0
      *(u64 *)(r10 - 8) = 0
      call 181
      r0 *= 1000
      r1 = *(u64 *)(r10 - 8)
      r0 += r1
      r0 += r6
      exit
    each:
      r6 = *(u64 *)(r2 + 0)
      r6 += r1
      *(u64 *)(r2 + 0) = r6
      r0 = 0
      if r1 < 6 goto go_on
      r0 = 1
    go_on:
      exit`;
    expect(run(text)).toBe(7026n);
  });

  test("load from packets, and end the frame with 0 outside of them", () => {
    expect(run("r6 = r1\nr0 = *(u16 *)skb[4]\nexit")).toBe(0x0405n);
    expect(run("r6 = r1\nr7 = 2\nr0 = *(u32 *)skb[r7 + 8]\nexit")).toBe(0x0a0b_0c0dn);
    expect(run("r6 = r1\nr7 = -2\nr0 = *(u8 *)skb[r7 + 8]\nr0 += 1\nexit")).toBe(7n);
    expect(run("r6 = r1\nr0 = *(u32 *)skb[61]\nr0 = 7\nexit")).toBe(0n);
    expect(run("r6 = r1\nr0 = *(u8 *)skb[-1]\nr0 = 7\nexit")).toBe(0n);
    expect(run("r9 = 9\ncall f\nr0 += r9\nexit\nf:\nr6 = r1\nr9 = 1\nr7 = 64\nr0 = *(u8 *)skb[r7]\nr0 = 7\nexit")).toBe(
      9n,
    );
  });

  test("end the frame from a packet load even where nothing else leaves it", () => {
    expect(run("r6 = r1\nr7 = 60\nagain:\nr7 += 1\nr0 = *(u8 *)skb[r7]\ngoto again")).toBe(0n);
  });
});

describe("may_goto", () => {
  const text =
    "r0 = 0\nagain:\nr0 += 1\nmay_goto out\nif r0 < 100 goto again\nout:\nmay_goto skip\nr0 += 1000\nskip:\nexit";

  test("lets a loop go on while there are passes left", () => {
    expect(expectSame(assemble(text), new Uint8Array(8)).stop).toEqual({ kind: "returned", value: 1100n });
  });

  test("jumps from then on when the frame's counter is used up", () => {
    const world = new World();
    const { image, ...executable } = load(world, text);
    const { offset } = image!.subprogs[0]!.frame.find(({ name }) => name === "may_goto counter")!;
    const execution = executable.start();
    while (execution.at !== 1) expect(execution.step(100)).toBeUndefined();
    const counter = execution.register(10) + BigInt(offset);
    expect(world.memory.load(8, counter)).toBe(0x80_0000n);
    world.memory.store(8, counter, 4n);
    expect(execution.run(1000)).toEqual({ kind: "returned", value: 5n });
  });
});

function load(world: World, text: string): { readonly image: Executable["image"]; start(): Execution } {
  const executable = jit(riscv64).load(trust(assemble(text)), world);
  const { address, size } = world.stack;
  return {
    image: executable.image,
    start: () =>
      executable.start({ args: [world.context.address], stack: { low: address, high: address + BigInt(size) } }),
  };
}

describe("traps", () => {
  test("of the code are those of the program", () => {
    const { stop } = expectSame(assemble("r1 = 4096\nr0 = *(u32 *)(r1 + 4)\nexit"), new Uint8Array(8));
    expect(stop).toMatchObject({ kind: "trap", cause: "load", address: 4100n, size: 4 });
  });
});

describe("what JIT compilers have got wrong before", () => {
  const result = (text: string): bigint => {
    const { stop } = expectSame(assemble(text), new Uint8Array(64));
    return stop.kind === "returned" ? stop.value : -1n;
  };

  test("a 32-bit shift by 0 clears the upper half", () => {
    for (const op of ["<<=", ">>=", "s>>="]) {
      expect(result(`r0 = -1 ll\nw0 ${op} 0\nexit`)).toBe(0xffff_ffffn);
      expect(result(`r0 = -1 ll\nr1 = 0\nw0 ${op} w1\nexit`)).toBe(0xffff_ffffn);
    }
  });

  test("a shift by a register counts modulo the width", () => {
    expect(result("r0 = 1\nr1 = 65\nr0 <<= r1\nexit")).toBe(2n);
    expect(result("r0 = 1\nr1 = 33\nw0 <<= w1\nexit")).toBe(2n);
    expect(result("r0 = 1\nr4 = 0x100000001 ll\nw0 <<= w4\nexit")).toBe(2n);
  });

  test("32-bit operations clear the upper half", () => {
    for (const op of [
      "w0 += 0",
      "w0 -= 0",
      "w0 |= 0",
      "w0 &= -1",
      "w0 ^= 0",
      "w0 *= 1",
      "w0 /= 1",
      "w0 = w0",
      "w0 += w9",
      "w0 |= w9",
      "w0 %= w9",
    ]) {
      expect(result(`r0 = -1 ll\nr9 = 0\n${op}\nexit`), op).toBe(0xffff_ffffn);
    }
    expect(result("r0 = -1 ll\nw0 = -w0\nexit")).toBe(1n);
  });

  test("a 32-bit test of bits does not look at the upper half", () => {
    expect(result("r0 = 0\nr1 = 0x8000000000000000 ll\nif w1 & -1 goto +1\nr0 = 1\nexit")).toBe(1n);
    expect(result("r0 = 0\nr1 = 0x8000000000000000 ll\nif r1 & -1 goto +1\nr0 = 1\nexit")).toBe(0n);
  });

  test("a byte store from any register stores the low byte", () => {
    for (const register of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) {
      expect(
        result(
          `r${register} = 0x1234\n*(u64 *)(r10 - 8) = 0\n*(u8 *)(r10 - 8) = r${register}\nr0 = *(u64 *)(r10 - 8)\nexit`,
        ),
      ).toBe(0x34n);
    }
  });

  test("a comparison leaves its operands alone", () => {
    expect(
      result("r0 = 0x1234567890 ll\nif w0 s< 0 goto +0\nif r0 & 7 goto +0\nif r0 == 0x7fffffff goto +0\nexit"),
    ).toBe(0x12_3456_7890n);
  });

  test("a 32-bit compare and exchange clears the upper half of r0 whether it exchanges or not", () => {
    const text = (memory: number): string =>
      `r0 = 0xffffffff00000005 ll\nr2 = 9\n*(u32 *)(r10 - 8) = ${memory}\nw0 = cmpxchg32_32(r10 - 8, w0, w2)\nexit`;
    expect(result(text(5))).toBe(5n);
    expect(result(text(6))).toBe(6n);
  });

  test("the smallest number divided by -1 is itself", () => {
    expect(result("r0 = 0x8000000000000000 ll\nr1 = -1\nr0 s/= r1\nexit")).toBe(0x8000_0000_0000_0000n);
    expect(result("r0 = 0x80000000 ll\nr1 = 0xffffffff ll\nw0 s/= w1\nexit")).toBe(0x8000_0000n);
    expect(result("r0 = 0x8000000000000000 ll\nr1 = -1\nr0 s%= r1\nexit")).toBe(0n);
  });
});
