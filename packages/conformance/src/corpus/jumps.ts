// Cases of RFC 9669 section 4.3: every condition × operand form × edge value, and each register as each operand.
import { INSNS, OPS, type Op } from "@bpfkit/core";
import { type Comparison, compare } from "../arithmetic.ts";
import type { ConformanceCase } from "../case.ts";
import { groupOf } from "../group.ts";
import type { Code } from "./code.ts";
import { REGISTERS, type State, Trials, WORDS } from "./trials.ts";
import { drawnStarts, edgesFor, FEW_EDGES, IMMEDIATES, quarterFor, startsWith } from "./values.ts";

/** Families of cases, one per instruction. */
export function jumpCases(): readonly (readonly ConformanceCase[])[] {
  return OPS.filter((op) => INSNS[op].kind === "jumpIf").map((op, index) =>
    op.endsWith("_reg") ? registerCases(op, index) : immediateCases(op, index),
  );
}

const [FLAG] = WORDS;

/** Leaves 1 in the first word where the jump is taken, 2 where it is not. */
function put(code: Code, op: Op, dst: number, src: number, imm: number): void {
  code.put("store64_imm", 10, 0, FLAG, 1);
  code.put(op, dst, src, 1, imm);
  code.put("store64_imm", 10, 0, FLAG, 2);
}

function taken(op: Op, { words }: State, a: bigint, b: bigint): void {
  const bits = op.includes("32") ? 32 : 64;
  words[0] = compare(op.replace(/(64|32)_.*/, "") as Comparison, bits, a, b) ? 1n : 2n;
}

function registerCases(op: Op, index: number): readonly ConformanceCase[] {
  const group = groupOf(op);
  const [dst, src] = [index % 10, (index + 3) % 10];
  const trial = (trials: Trials, a: number, b: number): void =>
    trials.trial(
      (code) => put(code, op, a, b, 0),
      (state) => taken(op, state, state.registers[a]!, state.registers[b]!),
    );
  const values = new Trials("stack");
  trial(values, dst, src);
  const pairs = FEW_EDGES.flatMap((a) =>
    FEW_EDGES.map(
      (b) =>
        [
          [dst, a],
          [src, b],
        ] as const,
    ),
  );
  const byRegister = REGISTERS.map((register) => {
    const trials = new Trials("stack");
    for (const other of REGISTERS) trial(trials, register, other);
    return trials.case(`${op}: r${register} with each register`, group, drawnStarts(100 * index + register, 3));
  });
  return [
    byRegister[dst]!,
    values.case(`${op}: edge values`, group, startsWith(pairs)),
    ...byRegister.filter((_, register) => register !== dst),
  ];
}

function immediateCases(op: Op, index: number): readonly ConformanceCase[] {
  const group = groupOf(op);
  const trial = (trials: Trials, dst: number, imm: number): void =>
    trials.trial(
      (code) => put(code, op, dst, 0, imm),
      (state) => taken(op, state, state.registers[dst]!, BigInt(imm)),
    );
  const byEach = REGISTERS.map((register) => {
    const trials = new Trials("stack");
    const all = register === index % 10;
    for (const imm of all ? IMMEDIATES : quarterFor(register, IMMEDIATES)) trial(trials, register, imm);
    return trials.case(
      `${op}: r${register} with ${all ? "each immediate" : "some immediates"}`,
      group,
      drawnStarts(100 * index + register, 2),
    );
  });
  return [
    byEach[index % 10]!,
    ...IMMEDIATES.map((imm, i) => {
      const dst = (index + i) % 10;
      const trials = new Trials("stack");
      trial(trials, dst, imm);
      // The value itself, its neighbours and its mirror in the other half are where a comparison goes wrong.
      const near = [
        BigInt(imm),
        BigInt(imm) - 1n,
        BigInt(imm) + 1n,
        BigInt(imm) ^ (1n << 32n),
        BigInt(imm) ^ (1n << 63n),
      ];
      const values = [...edgesFor(imm & 0xff, 5), ...near.map((value) => BigInt.asUintN(64, value)), BigInt(imm >>> 0)];
      return trials.case(`${op}: ${imm}`, group, startsWith(values.map((a) => [[dst, a]])));
    }),
    ...byEach.filter((_, register) => register !== index % 10),
  ];
}
