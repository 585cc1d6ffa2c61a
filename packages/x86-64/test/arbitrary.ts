// Random operands for rows of the table.
import fc from "fast-check";
import { ABSOLUTE, type Address, DISP0, DISP8, DISP32, emit, emitMem, indexed, RIP } from "../src/emit.ts";
import type { Mem } from "../src/encode.ts";
import { REGS, type Reg, regNumber } from "../src/regs.ts";
import type { Operand, Row } from "../src/row.ts";

export type Value = Reg | Mem | number | bigint;
export type Values = Readonly<Record<string, Value>>;

const anyReg = fc.constantFrom(...REGS);
const anyIndex = fc.constantFrom(...REGS.filter((reg) => reg !== "rsp")) as fc.Arbitrary<Exclude<Reg, "rsp">>;
const anyScale = fc.constantFrom<1 | 2 | 4 | 8>(1, 2, 4, 8);
const smallInt = fc.integer({ min: -128, max: 127 });
const anyInt = fc.oneof(smallInt, fc.constantFrom(-129, 128, -0x80000000, 0x7fffffff), fc.integer());

const anyDisp = (base: Reg): fc.Arbitrary<{ disp: number; dispSize: 0 | 1 | 4 }> =>
  fc.oneof(
    smallInt.map((disp) => ({ disp, dispSize: 1 as const })),
    anyInt.map((disp) => ({ disp, dispSize: 4 as const })),
    ...(base === "rbp" || base === "r13" ? [] : [fc.constant({ disp: 0, dispSize: 0 as const })]),
  );

/** Memory operands in every form, with the size of the displacement told. */
export const anyMem: fc.Arbitrary<Mem> = fc.oneof(
  anyReg.chain((base) => anyDisp(base).map((disp) => ({ base, ...disp }))),
  fc
    .tuple(anyReg, anyIndex, anyScale)
    .chain(([base, index, scale]) => anyDisp(base).map((disp) => ({ base, index, scale, ...disp }))),
  fc.tuple(anyIndex, anyScale, anyInt).map(([index, scale, disp]) => ({ index, scale, disp, dispSize: 4 as const })),
  anyInt.map((disp) => ({ base: "rip" as const, disp, dispSize: 4 as const })),
  anyInt.map((disp) => ({ disp, dispSize: 4 as const })),
);

/** Immediates as decoding gives them: signed, except counts and those of 64 bits. */
function anyImm({ size }: Operand, { immIsCount }: Row): fc.Arbitrary<number | bigint> {
  if (size === 8) return fc.oneof(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.constantFrom(0n, 1n << 63n));
  if (immIsCount) return fc.integer({ min: 0, max: 255 });
  const top = 2 ** (8 * size - 1);
  return fc.oneof(fc.integer({ min: -top, max: top - 1 }), fc.constantFrom(0, 1, -1, top - 1, -top));
}

function anyOperand(
  operand: Operand,
  row: Row,
  memory: fc.Arbitrary<Mem>,
  reg: fc.Arbitrary<Reg>,
): fc.Arbitrary<Value> {
  switch (operand.place) {
    case "m":
      return memory;
    case "rm":
      return fc.oneof(reg, memory);
    case "imm":
    case "rel":
      return anyImm(operand, row);
    default:
      return reg;
  }
}

/** Values for every operand of `row`. */
export function anyValues(
  row: Row,
  memory: fc.Arbitrary<Mem> = anyMem,
  reg: fc.Arbitrary<Reg> = anyReg,
): fc.Arbitrary<Values> {
  const operands = row.operands.filter(({ place }) => place !== "fixed");
  return fc.record(
    Object.fromEntries(operands.map((operand) => [operand.name, anyOperand(operand, row, memory, reg)])),
  );
}

function addressOf({ base, index, scale = 1, dispSize }: Mem): Address {
  const form =
    base === undefined || base === "rip"
      ? 0
      : dispSize === 0
        ? DISP0
        : dispSize === 1
          ? DISP8
          : dispSize === 4
            ? DISP32
            : 0;
  const number = base === undefined ? ABSOLUTE : base === "rip" ? RIP : regNumber(base);
  return form + (index === undefined ? number : indexed(number, regNumber(index), scale));
}

/** What the fast door emits for the same values. */
export function emitValues(row: Row, values: Values): Uint8Array {
  const sink = { bytes: new Uint8Array(16), length: 0, ensure() {} };
  const numbers: number[] = [];
  let memory = false;
  for (const { name, place } of row.operands) {
    const value = values[name];
    if (place === "fixed") continue;
    if (typeof value === "object") {
      memory = true;
      numbers.push(addressOf(value), value.disp ?? 0);
    } else if (typeof value === "string") numbers.push(regNumber(value));
    else if (typeof value === "bigint")
      numbers.push(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
    else numbers.push(value!);
  }
  const door = (memory ? emitMem : emit) as unknown as Record<string, (sink: unknown, ...operands: number[]) => void>;
  door[row.op]!(sink, ...numbers);
  return sink.bytes.slice(0, sink.length);
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
