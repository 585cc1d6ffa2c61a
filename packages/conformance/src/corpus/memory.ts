// Cases of RFC 9669 sections 5.1 to 5.3: every size, alignment, offset and register of loads, stores and atomic operations.
import { INSNS, type InsnRow, OPS, type Op } from "@bpfkit/core";
import { exchange, signed, unsigned } from "../arithmetic.ts";
import type { ConformanceCase } from "../case.ts";
import { groupOf } from "../group.ts";
import type { Code } from "./code.ts";
import { CONTEXT_SLOT, REGISTERS, type Start, type State, Trials, WORDS, WORK } from "./trials.ts";
import { drawnStarts, FEW_EDGES, IMMEDIATES, someRegisters } from "./values.ts";

/** Families of cases, one per instruction. */
export function memoryCases(): readonly (readonly ConformanceCase[])[] {
  return OPS.flatMap((op, index): (readonly ConformanceCase[])[] => {
    switch (INSNS[op].kind) {
      case "load":
      case "loadSx":
      case "loadAcquire":
        return [loadCases(op, index)];
      case "store":
      case "storeImm":
      case "storeRelease":
        return [storeCases(op, index)];
      case "atomic":
        return [atomicCases(op, index)];
      default:
        return [];
    }
  });
}

/** Bytes of an access: bits 3 and 4 of the opcode. */
const sizeOf = (op: Op): 1 | 2 | 4 | 8 => ([4, 2, 1, 8] as const)[(INSNS[op].code >> 3) & 3]!;

/** Offsets on both sides of every field width that one of the architectures has. */
const OFFSETS: readonly number[] = [
  0, 8, 120, 127, 128, 248, 255, 256, 257, 504, 512, 2040, 2047, 2048, 4088, 4095, 4096, 8190, 8192, 16380, 16384, 32752, 32760, 32767,
  -1, -8, -127, -128, -129, -255, -256, -257, -264, -2048, -2049, -4096, -4097, -32768,
]; // biome-ignore format: values

/** The 16 bytes of both words as one number. */
const both = ({ words }: State): bigint => words[0]! | (words[1]! << 64n);

function write({ words }: State, at: number, size: number, value: bigint): void {
  const bits = 8 * size;
  const mask = ((1n << BigInt(bits)) - 1n) << BigInt(8 * at);
  const all = (both({ words, registers: [] }) & ~mask) | (unsigned(bits, value) << BigInt(8 * at));
  words[0] = unsigned(64, all);
  words[1] = all >> 64n;
}

function loadCases(op: Op, index: number): readonly ConformanceCase[] {
  const size = sizeOf(op);
  const read = (state: State, at: number): bigint => {
    const value = both(state) >> BigInt(8 * at);
    return op.startsWith("loadsx") ? unsigned(64, signed(8 * size, value)) : unsigned(8 * size, value);
  };
  const trial = (trials: Trials, dst: number, base: number, at: number, off: number): void =>
    trials.trial(
      (code) => {
        pointTo(code, base, at, off);
        code.put(op, dst, base, off);
        if (base !== dst) code.put("mov64_imm", base, 0, 0, 0);
      },
      (state) => {
        const value = read(state, at);
        state.registers[base] = 0n;
        state.registers[dst] = value;
      },
    );
  const [dst, base] = [index % 10, (index + 4) % 10];
  return [
    ...places(op, index, (trials, at, off) => trial(trials, dst, base, at, off)),
    ...REGISTERS.map((register) => {
      const trials = new Trials("memory");
      for (const other of REGISTERS) trial(trials, other, register, 8 % (16 - size), WORK + (8 % (16 - size)));
      return trials.case(`${op}: r${register} as the base`, groupOf(op), drawnStarts(100 * index + register, 3));
    }),
    stackLoad(op, index, read),
  ];
}

/** From the stack, through r10. */
function stackLoad(op: Op, index: number, read: (state: State, at: number) => bigint): ConformanceCase {
  const size = sizeOf(op);
  const trials = new Trials("stack");
  for (const dst of REGISTERS) {
    const at = (dst * size) % 8;
    trials.trial(
      (code) => code.put(op, dst, 10, WORDS[0] + at),
      (state) => {
        state.registers[dst] = read(state, at);
      },
    );
  }
  return trials.case(`${op}: r10 as the base`, groupOf(op), drawnStarts(100 * index + 10, 3));
}

/** Makes a register point so that `off` reaches byte `at` of the words in memory. */
function pointTo(code: Code, base: number, at: number, off: number): void {
  code.put("load64", base, 10, CONTEXT_SLOT);
  if (off !== WORK + at) code.put("add64_imm", base, 0, 0, WORK + at - off);
}

/** A case per alignment, and one per offset. */
function places(
  op: Op,
  index: number,
  trial: (trials: Trials, at: number, off: number) => void,
): readonly ConformanceCase[] {
  const size = sizeOf(op);
  const aligned = ["loadAcquire", "storeRelease"].includes(INSNS[op].kind);
  const group = groupOf(op);
  const alignments = [0, 1, 2, 3, 4, 5, 6, 7].filter((at) => !aligned || at % size === 0);
  const each = new Trials("memory");
  for (const off of OFFSETS) trial(each, 8 - (size < 8 ? 0 : 8), off);
  return [
    each.case(`${op}: each offset`, group, drawnStarts(1000 * index, 2)),
    ...alignments.map((at) => {
      const trials = new Trials("memory");
      trial(trials, at, WORK + at);
      return trials.case(`${op}: ${at} bytes behind an aligned place`, group, drawnStarts(1000 * index + at, 6));
    }),
    ...OFFSETS.map((off) => {
      const trials = new Trials("memory");
      trial(trials, 8 - (size < 8 ? 0 : 8), off);
      return trials.case(`${op}: offset ${off}`, group, drawnStarts(1000 * index + off, 1));
    }),
  ];
}

function storeCases(op: Op, index: number): readonly ConformanceCase[] {
  const size = sizeOf(op);
  const immediate = INSNS[op].kind === "storeImm";
  const trial = (trials: Trials, base: number, src: number, imm: number, at: number, off: number): void =>
    trials.trial(
      (code) => {
        pointTo(code, base, at, off);
        code.put(op, base, immediate ? 0 : src, off, imm);
        code.put("mov64_imm", base, 0, 0, 0);
      },
      (state) => {
        write(state, at, size, immediate ? BigInt(imm) : state.registers[src]!);
        state.registers[base] = 0n;
      },
    );
  const [base, src] = [index % 10, (index + 3) % 10];
  const at = 8 % (16 - size);
  const each = new Trials("memory");
  for (const [i, imm] of (immediate ? IMMEDIATES : []).entries()) trial(each, (base + i) % 10, 0, imm, at, WORK + at);
  return [
    ...(immediate ? [each.case(`${op}: each immediate`, groupOf(op), drawnStarts(index, 1))] : []),
    ...(op === "store8_reg" ? [stackStore(op, index)] : []),
    ...places(op, index, (trials, place, off) =>
      trial(trials, base, src, immediate ? -index * 0x0101_0101 : 0, place, off),
    ),
    ...(immediate
      ? IMMEDIATES.map((imm, i) => {
          const trials = new Trials("memory");
          trial(trials, (base + i) % 10, 0, imm, at, WORK + at);
          return trials.case(`${op}: ${imm}`, groupOf(op), drawnStarts(index + i, 1));
        })
      : []),
    ...REGISTERS.map((register) => {
      const trials = new Trials("memory");
      const others = immediate ? [0] : REGISTERS.filter((other) => other !== register);
      for (const other of others) trial(trials, register, other, immediate ? 0x1234_5678 : 0, at, WORK + at);
      return trials.case(`${op}: r${register} as the base`, groupOf(op), drawnStarts(100 * index + register, 3));
    }),
    ...(op === "store8_reg" ? [] : [stackStore(op, index)]),
    ...(immediate ? [] : [ownAddress(op, index)]),
  ];
}

/**
 * Stores of the register that is also the base. Nobody knows the address, so a second register that holds it, too, tells whether what
 * arrived is it.
 */
function ownAddress(op: Op, index: number): ConformanceCase {
  const size = sizeOf(op);
  const at = 8 % (16 - size);
  const off = WORK + at;
  const trials = new Trials("memory");
  for (const base of REGISTERS) {
    const [twin, found] = [(base + 1) % 10, (base + 2) % 10] as const;
    trials.trial(
      (code) => {
        pointTo(code, base, at, off);
        code.put(op, base, base, off);
        pointTo(code, twin, at, off);
        code.put(`load${8 * size}` as Op, found, twin, off);
        code.put("xor64_reg", found, twin);
        code.put("lsh64_imm", found, 0, 0, 64 - 8 * size);
        code.put(`store${8 * size}_imm` as Op, twin, 0, off, 0);
        for (const register of [base, twin]) code.put("mov64_imm", register, 0, 0, 0);
      },
      (state) => {
        for (const register of [base, twin, found]) state.registers[register] = 0n;
        write(state, at, size, 0n);
      },
    );
  }
  return trials.case(`${op}: each register as base and operand`, groupOf(op), drawnStarts(index, 2));
}

/** To the stack, through r10. */
function stackStore(op: Op, index: number): ConformanceCase {
  const size = sizeOf(op);
  const immediate = INSNS[op].kind === "storeImm";
  const trials = new Trials("stack");
  for (const src of REGISTERS) {
    const at = (src * size) % 8;
    trials.trial(
      (code) => code.put(op, 10, immediate ? 0 : src, WORDS[0] + at, immediate ? -src : 0),
      (state) => write(state, at, size, immediate ? BigInt(-src) : state.registers[src]!),
    );
  }
  return trials.case(`${op}: r10 as the base`, groupOf(op), drawnStarts(100 * index + 10, 3));
}

function atomicCases(op: Op, index: number): readonly ConformanceCase[] {
  const size = sizeOf(op);
  const group = groupOf(op);
  const fetches = ((INSNS[op] as InsnRow).imm! & 1) !== 0;
  const compares = op.startsWith("cmpxchg");
  const effect =
    (src: number, base: number, at: number) =>
    (state: State): void => {
      const { registers } = state;
      const old = unsigned(8 * size, both(state) >> BigInt(8 * at));
      write(state, at, size, exchange(op, size === 4 ? 32 : 64, old, registers[src]!, registers[0]!));
      if (base < 10) registers[base] = 0n;
      if (fetches) registers[compares ? 0 : src] = old;
    };
  /** `base` 10 is r10 itself; another register points to the first word. */
  const trial = (trials: Trials, base: number, src: number, at: number): void =>
    trials.trial(
      (code) => {
        if (base < 10) {
          code.put("mov64_reg", base, 10);
          code.put("add64_imm", base, 0, 0, WORDS[0] - 8);
        }
        code.put(op, base, src, (base < 10 ? 8 : WORDS[0]) + at);
        if (base < 10) code.put("mov64_imm", base, 0, 0, 0);
      },
      effect(src, base, at),
    );
  const bases = [...REGISTERS, 10].filter((register) => !(compares && register === 0));
  return [
    atomicValues(op, index, trial),
    ...bases.map((base) => {
      const trials = new Trials("stack");
      for (const src of REGISTERS) if (src !== base) trial(trials, base, src, size === 4 && src % 2 === 1 ? 4 : 0);
      return trials.case(`${op}: r${base} as the base`, group, matching(drawnStarts(100 * index + base, 4)));
    }),
    atomicOnItself(op, index),
  ];
}

/**
 * The base is also the operand, with an offset and without. Nobody knows the address, so the same is done to the other word with two
 * registers, and has to come out the same: in memory, in the operand, and in r0 of a comparison.
 */
function atomicOnItself(op: Op, index: number): ConformanceCase {
  const compares = op.startsWith("cmpxchg");
  const trials = new Trials("stack");
  const [first, second] = WORDS;
  for (const base of REGISTERS) {
    const [twin, other, r0, result] = REGISTERS.filter((register) => register !== base && register !== 0) as [
      number,
      number,
      number,
      number,
    ];
    for (const off of [0, 8]) {
      trials.trial(
        (code) => {
          code.put("load64", other, 10, first);
          code.put("store64_reg", 10, other, second);
          code.put("mov64_reg", twin, 10);
          code.put("add64_imm", twin, 0, 0, first - off);
          if (compares) code.put("mov64_reg", r0, base === 0 ? twin : 0);
          code.put("mov64_reg", base, twin);
          code.put(op, base, base, off);
          if (compares) code.put("mov64_reg", result, 0);
          if (compares) code.put("mov64_reg", 0, r0);
          code.put("mov64_reg", other, 10);
          code.put("add64_imm", other, 0, 0, second);
          code.put(op, other, twin, 0);
          if (compares) code.put("xor64_reg", result, 0);
          if (compares) code.put("mov64_imm", 0, 0, 0, 0);
          if (!compares || base !== 0) code.put("xor64_reg", base, twin);
          code.put("load64", twin, 10, first);
          code.put("load64", other, 10, second);
          code.put("xor64_reg", other, twin);
          for (const register of compares ? [twin, r0] : [twin]) code.put("mov64_imm", register, 0, 0, 0);
          for (const word of WORDS) code.put("store64_imm", 10, 0, word, 0);
        },
        ({ registers, words }) => {
          for (const register of [base, twin, other, ...(compares ? [0, r0, result] : [])]) registers[register] = 0n;
          words.fill(0n);
        },
      );
    }
  }
  return trials.case(`${op}: each register as base and operand`, groupOf(op), matching(drawnStarts(index, 4)));
}

function atomicValues(
  op: Op,
  index: number,
  trial: (trials: Trials, base: number, src: number, at: number) => void,
): ConformanceCase {
  const src = 1 + (index % 9);
  const trials = new Trials("stack");
  trial(trials, 10, src, 0);
  const starts = FEW_EDGES.flatMap((word, i) =>
    FEW_EDGES.map((value, k): Start => {
      const registers = someRegisters(400 * index + 20 * i + k);
      registers[src] = value;
      return { registers, words: [word, 0x1122_3344_5566_7788n] };
    }),
  );
  return trials.case(`${op}: edge values`, groupOf(op), matching(starts));
}

/** Every other start has in r0 what memory holds, every fourth in its low half only: comparisons succeed there. */
function matching(starts: readonly Start[]): readonly Start[] {
  return starts.map(({ registers, words = [0n, 0n] }, i) => {
    if (i % 2 === 0) return { registers, words };
    const [first, ...rest] = [words[0], ...registers.slice(1)];
    return { registers: [i % 4 === 1 ? first! : first! ^ (1n << 40n), ...rest], words };
  });
}
