// Cases of RFC 9669 sections 4.1, 4.2 and 5.4: every operation × operand form × edge value, and each register as each operand.
import { INSNS, OPS, type Op } from "@bpfkit/core";
import { calculate, type Operation, reversed, signed, unsigned } from "../arithmetic.ts";
import type { ConformanceCase } from "../case.ts";
import { groupOf } from "../group.ts";
import { REGISTERS, type State, Trials } from "./trials.ts";
import { COUNTS, drawnStarts, EDGES, edgesFor, FEW_EDGES, IMMEDIATES, quarterFor, startsWith } from "./values.ts";

/** What an instruction makes of its operands; `b` is the source register or the immediate. */
type Result = (a: bigint, b: bigint) => bigint;

interface Form {
  readonly op: Op;
  readonly operand: "register" | "immediate" | "none";
  readonly result: Result;
}

/** Families of cases, one per instruction. */
export function arithmeticCases(): readonly (readonly ConformanceCase[])[] {
  return FORMS.map((form, index) => casesOf(form, index));
}

const FORMS: readonly Form[] = OPS.flatMap((op) => {
  const result = resultOf(op);
  if (result === undefined) return [];
  const operand = op.endsWith("_imm") ? "immediate" : /[rw]S/.test(INSNS[op].text) ? "register" : "none";
  return [{ op, operand, result }];
});

function resultOf(op: Op): Result | undefined {
  const { kind } = INSNS[op];
  const bits = /(64|32)/.exec(op)?.[1] === "32" ? 32 : 64;
  switch (kind) {
    case "alu":
    case "div":
    case "shift": {
      const operation = op.replace(/(64|32)_.*/, "") as Operation;
      return (a, b) => calculate(operation, bits, a, b);
    }
    case "neg":
      return (a) => unsigned(bits, -a);
    case "mov":
      return (_, b) => unsigned(bits, b);
    case "movsx": {
      const from = Number(op.split("_")[1]);
      return (_, b) => unsigned(bits, signed(from, b));
    }
    case "end": {
      const width = Number(/\d+/.exec(op)![0]);
      return op.startsWith("le") ? (a) => unsigned(width, a) : (a) => reversed(width, a);
    }
    default:
      return op === "lddw" ? (_, b) => b : undefined;
  }
}

function casesOf(form: Form, index: number): readonly ConformanceCase[] {
  if (form.op === "lddw") return wideImmediates();
  if (form.operand === "register") return registerCases(form, index);
  return form.operand === "immediate" ? immediateCases(form, index) : unaryCases(form, index);
}

const binary =
  ({ result }: Form, dst: number, src: number) =>
  ({ registers }: State): void => {
    registers[dst] = result(registers[dst]!, registers[src]!);
  };

const withConstant =
  ({ result }: Form, dst: number, b: bigint) =>
  ({ registers }: State): void => {
    registers[dst] = result(registers[dst]!, b);
  };

function registerCases(form: Form, index: number): readonly ConformanceCase[] {
  const { op } = form;
  const group = groupOf(op);
  const [dst, src] = [index % 10, (index * 3 + 1) % 10 === index % 10 ? (index + 5) % 10 : (index * 3 + 1) % 10];
  const second = INSNS[op].kind === "shift" ? COUNTS.map(BigInt).map((count) => unsigned(64, count)) : FEW_EDGES;
  const values = new Trials();
  values.trial((code) => code.put(op, dst, src), binary(form, dst, src));
  const pairs = FEW_EDGES.flatMap((a) =>
    second.map(
      (b) =>
        [
          [dst, a],
          [src, b],
        ] as const,
    ),
  );
  const byRegister = REGISTERS.map((register) => {
    const trials = new Trials();
    for (const other of REGISTERS) {
      trials.trial((code) => code.put(op, register, other), binary(form, register, other));
    }
    return trials.case(`${op}: r${register} with each register`, group, drawnStarts(100 * index + register, 4));
  });
  return [
    byRegister[dst]!,
    values.case(`${op}: edge values`, group, startsWith(pairs)),
    ...byRegister.filter((_, register) => register !== dst),
    frameAddress(op, index),
  ];
}

/** By r10. Nobody knows the address, so the same is done with a copy of it, and has to come out the same. */
function frameAddress(op: Op, index: number): ConformanceCase {
  const trials = new Trials();
  for (const dst of REGISTERS) {
    const [twin, copy] = [(dst + 1) % 10, (dst + 2) % 10] as const;
    trials.trial(
      (code) => {
        code.put("mov64_reg", twin, dst);
        code.put("mov64_reg", copy, 10);
        code.put(op, dst, 10);
        code.put(op, twin, copy);
        code.put("xor64_reg", dst, twin);
        for (const register of [twin, copy]) code.put("mov64_imm", register, 0, 0, 0);
      },
      ({ registers }) => {
        for (const register of [dst, twin, copy]) registers[register] = 0n;
      },
    );
  }
  return trials.case(`${op}: r10 as the source`, groupOf(op), drawnStarts(index, 3));
}

function immediateCases(form: Form, index: number): readonly ConformanceCase[] {
  const { op } = form;
  const group = groupOf(op);
  const immediates = INSNS[op].kind === "shift" ? COUNTS : IMMEDIATES;
  const starts = (dst: number, imm: number) => startsWith(edgesFor(imm & 0xff, 8).map((a) => [[dst, a]]));
  const byEach = REGISTERS.map((register) => {
    const trials = new Trials();
    const all = register === index % 10;
    for (const imm of all ? immediates : quarterFor(register, immediates)) {
      trials.trial((code) => code.put(op, register, 0, 0, imm), withConstant(form, register, BigInt(imm)));
    }
    return trials.case(
      `${op}: r${register} by ${all ? "each immediate" : "some immediates"}`,
      group,
      drawnStarts(100 * index + register, 2),
    );
  });
  return [
    byEach[index % 10]!,
    ...immediates.map((imm, i) => {
      const dst = (index + i) % 10;
      const trials = new Trials();
      trials.trial((code) => code.put(op, dst, 0, 0, imm), withConstant(form, dst, BigInt(imm)));
      return trials.case(`${op}: ${imm}`, group, starts(dst, imm));
    }),
    ...byEach.filter((_, register) => register !== index % 10),
  ];
}

function unaryCases(form: Form, index: number): readonly ConformanceCase[] {
  const { op } = form;
  const trials = new Trials();
  for (const register of REGISTERS) {
    trials.trial((code) => code.put(op, register), withConstant(form, register, 0n));
  }
  const values = new Trials();
  const dst = index % 10;
  values.trial((code) => code.put(op, dst), withConstant(form, dst, 0n));
  return [
    values.case(`${op}: edge values`, groupOf(op), startsWith(EDGES.map((a) => [[dst, a]]))),
    trials.case(`${op}: each register`, groupOf(op), drawnStarts(100 * index, 10)),
  ];
}

/** Immediates of 64 bits that take every number of 16-bit pieces, and the edge values. */
const WIDE: readonly bigint[] = [
  ...EDGES, 0xffffn, 0x1_0000n, 0x1234_0000n, 0x1234_5678n, 0x1234_0000_0000n, 0x1234_5678_9abcn, 0x1234_0000_0000_0000n,
  0x1234_5678_0000_0000n, 0x1234_5678_9abc_0000n, 0xffff_1234_5678_9abcn, 0xffff_ffff_1234_5678n, 0xffff_ffff_ffff_1234n, 0x7fff_f800n,
  0xffff_ffff_7fff_f7ffn, 0x00ff_00ff_00ff_00ffn, 0x5555_5555_5555_5555n, 0x8000_0000_8000_0000n, 0x0000_0001_ffff_ffffn,
  0xfff_ffff_ffffn, 0x1000_0000_0fffn,
]; // biome-ignore format: values

function wideImmediates(): readonly ConformanceCase[] {
  return [
    ...WIDE.map((value, i) => {
      const dst = i % 10;
      const trials = new Trials();
      setTo(trials, dst, value);
      return trials.case(`lddw: 0x${value.toString(16)}`, groupOf("lddw"), drawnStarts(i, 1));
    }),
    ...REGISTERS.map((dst) => {
      const trials = new Trials();
      for (const value of WIDE) {
        setTo(trials, dst, value);
      }
      return trials.case(`lddw: r${dst} with each immediate`, groupOf("lddw"), drawnStarts(dst, 1));
    }),
  ];
}

function setTo(trials: Trials, dst: number, value: bigint): void {
  trials.trial(
    (code) => code.putImm64(dst, value),
    ({ registers }) => {
      registers[dst] = value;
    },
  );
}
