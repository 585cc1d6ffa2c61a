import { describe, expect, test } from "vitest";
import { assemble, Fact, zeroExtend } from "../../src/index.ts";
import { after, patched } from "./after.ts";

const EVERYTHING = `
    w1 += w2
    w1 = 5
    w3 = w1
    r4 = be16 r4
    r4 = le64 r4
    w5 = (s8)w4
    r5 = *(u32 *)(r10 - 8)
    r5 = *(u64 *)(r10 - 8)
    r5 = *(s16 *)(r10 - 8)
    w6 = atomic_fetch_add((u32 *)(r10 - 8), w6)
    w7 = xchg32_32(r10 - 8, w7)
    w0 = cmpxchg32_32(r10 - 8, w0, w7)
    lock *(u32 *)(r10 - 8) += w7
    w8 = load_acquire((u32 *)(r10 - 8))
    r8 += r7
    exit
`;

describe("zero-extend", () => {
  test("what writes 32 bits is followed by a move that clears the rest", () => {
    expect(after(EVERYTHING, [zeroExtend])).toMatchInlineSnapshot(`
      "
      main:
         0:  w1 += w2
         1:  w1 = w1
         2:  w1 = 5
         3:  w1 = w1
         4:  w3 = w1
         5:  r4 = be16 r4
         6:  w4 = w4
         7:  r4 = le64 r4
         8:  w5 = (s8)w4
         9:  w5 = w5
        10:  r5 = *(u32 *)(r10 - 8)
        11:  w5 = w5
        12:  r5 = *(u64 *)(r10 - 8)
        13:  r5 = *(s16 *)(r10 - 8)
        14:  w6 = atomic_fetch_add((u32 *)(r10 - 8), w6)
        15:  w6 = w6
        16:  w7 = xchg32_32(r10 - 8, w7)
        17:  w7 = w7
        18:  w0 = cmpxchg32_32(r10 - 8, w0, w7)
        19:  w0 = w0
        20:  lock *(u32 *)(r10 - 8) += w7
        21:  w8 = load_acquire((u32 *)(r10 - 8))
        22:  w8 = w8
        23:  r8 += r7
        24:  exit
      "
    `);
  });

  test("an upper half that nobody reads stays", () => {
    expect(after("w1 += w2\nw1 = 5\nexit", [zeroExtend], { 0: { flags: Fact.UPPER_UNUSED } })).toMatchInlineSnapshot(`
      "
      main:
        0:  w1 += w2
        1:  w1 = 5
        2:  w1 = w1
        3:  exit
      "
    `);
  });

  test("a jump to the instruction goes through both", () => {
    expect(after("again:\nw1 += 1\nif r1 < 9 goto again\nexit", [zeroExtend])).toMatchInlineSnapshot(`
      "
      .subprog main
        0:  w1 += 1
        1:  w1 = w1
        2:  if r1 < 9 goto main
        3:  exit
      "
    `);
  });

  test("says that nobody sees what the instruction itself leaves in the upper half", () => {
    const { facts } = patched(assemble("w1 += w2\nr1 += r2\nexit"), [zeroExtend]);
    expect([...facts.flags]).toEqual([Fact.UPPER_UNUSED, 0, 0, 0]);
  });
});
