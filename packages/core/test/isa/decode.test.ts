import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  INSNS,
  type InsnRow,
  Insns,
  KINDS,
  kindOf,
  OPS,
  opAt,
  packWord,
  registersOf,
  reservedFieldOf,
} from "../../src/index.ts";
import { anyInsn } from "../support/arbitrary-insns.ts";

const insns = (...words: number[]): Insns => new Insns(Int32Array.from(words));

describe("the instruction table", () => {
  test.each(OPS.map((op, index) => [op, index] as const))("%s is found again by its bytes", (op, index) => {
    fc.assert(
      fc.property(anyInsn(op), (words) => {
        const at = opAt(insns(...words), 0);
        // A call of helper 12 is a tail call.
        const expected = op === "call_helper" && words[1] === 12 ? "tail_call" : op;
        return OPS[at] === expected && reservedFieldOf(insns(...words), 0, at) === undefined;
      }),
      { numRuns: 20 },
    );
    expect(kindOf(index)).toBe(INSNS[op].kind);
  });

  test("has no two rows for one instruction, but the tail call", () => {
    const clashes: string[] = [];
    for (const [i, a] of OPS.entries()) {
      for (const b of OPS.slice(i + 1)) {
        const [x, y]: [InsnRow, InsnRow] = [INSNS[a], INSNS[b]];
        const apart = (["src", "off", "imm"] as const).some(
          (field) => x[field] !== undefined && y[field] !== undefined && x[field] !== y[field],
        );
        if (x.code === y.code && !apart) clashes.push(`${a} ${b}`);
      }
    }
    expect(clashes).toEqual(["call_helper tail_call"]);
  });

  test("names every kind once", () => {
    expect(KINDS).toHaveLength(27);
    expect(new Set(KINDS).size).toBe(27);
    expect(() => kindOf(-1)).toThrowErrorMatchingInlineSnapshot(
      `[BpfError: no instruction has index -1, expected 0..182]`,
    );
  });
});

test("what no row describes is -1", () => {
  const none = [
    insns(0x00, 0), // a second slot
    insns(0xff, 0),
    insns(packWord(0x18, 1, 0, 0), 5), // no second slot
    insns(packWord(0x18, 1, 0, 0), 5, 0x95, 0), // another instruction in its place
    insns(packWord(0x18, 1, 7, 0), 5, 0, 0), // unknown pseudo source
    insns(packWord(0xdb, 1, 2, 0), 0x77), // unknown atomic
    insns(packWord(0xdc, 1, 0, 0), 8), // be8
    insns(packWord(0x37, 1, 0, 2), 5), // division with an offset
    insns(packWord(0xbc, 1, 2, 32), 0), // 32-bit sign extension in 32 bits
    insns(packWord(0x85, 0, 3, 0), 5), // unknown call
  ];
  expect(none.map((each) => opAt(each, 0))).toEqual(none.map(() => -1));
});

test("a field that an instruction does not use is reported, the first one only", () => {
  const found = (...words: number[]): string | undefined =>
    reservedFieldOf(insns(...words), 0, opAt(insns(...words), 0));
  expect(found(packWord(0x07, 1, 2, 0), 5)).toBe("src");
  expect(found(packWord(0x0f, 1, 2, 0), 5)).toBe("imm");
  expect(found(packWord(0x07, 1, 0, -1), 5)).toBe("off");
  expect(found(packWord(0x95, 1, 2, 3), 4)).toBe("dst");
  expect(found(packWord(0x06, 0, 0, 1), 5)).toBe("off");
  expect(found(packWord(0x30, 0, 1, 0), 5)).toBe("src");
  expect(found(packWord(0x18, 1, 5, 0), 5, 0, 1)).toBe("next");
  expect(found(packWord(0x18, 1, 6, 0), 5, 0, 1)).toBeUndefined();
  expect(found(packWord(0x18, 1, 0, 0), 5, 0x100, 1)).toBe("next");
});

test("registers of an instruction include those its kind implies", () => {
  const found = (...words: number[]): string => {
    const list = insns(...words);
    return Array.from({ length: 16 }, (_, r) => r)
      .filter((r) => ((registersOf(list, 0, opAt(list, 0)) >> r) & 1) === 1)
      .join(" ");
  };
  expect(found(packWord(0x0f, 1, 2, 0), 0)).toBe("1 2");
  expect(found(packWord(0x07, 9, 0, 0), 1)).toBe("9");
  expect(found(packWord(0x95, 0, 0, 0), 0)).toBe("0");
  expect(found(packWord(0x85, 0, 1, 0), 0)).toBe("0 1 2 3 4 5");
  expect(found(packWord(0x50, 0, 7, 0), 0)).toBe("0 1 2 3 4 5 6 7");
  expect(found(packWord(0xdb, 8, 9, 0), 0xf1)).toBe("0 8 9");
  expect(found(packWord(0x05, 0, 0, 1), 0)).toBe("");
});

test("bytes and words hold the same instructions", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const whole = bytes.subarray(0, bytes.length & ~7);
      expect(Insns.fromBytes(whole).toBytes()).toEqual(whole);
    }),
  );
  expect(() => Insns.fromBytes(new Uint8Array(9))).toThrowErrorMatchingInlineSnapshot(
    `[BpfError: instructions of 9 bytes, expected a multiple of 8 bytes]`,
  );
});
