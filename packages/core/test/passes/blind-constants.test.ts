import { describe, expect, test } from "vitest";
import { assemble, blindConstants, Fact, guardDivision } from "../../src/index.ts";
import { after, patched } from "./after.ts";

const blind = blindConstants(() => 0x0101_0101);

describe("blind-constants", () => {
  test("numbers of arithmetic", () => {
    expect(after("r1 += 7\nw1 -= 7\nr1 = -1\nw2 = 9\nr3 s/= 3\nw3 %= 5\nexit", [blind])).toMatchInlineSnapshot(`
      "
      main:
         0:  r11 = 16843014
         1:  r11 ^= 16843009
         2:  r1 += r11
         3:  w11 = 16843014
         4:  w11 ^= 16843009
         5:  w1 -= w11
         6:  r11 = -16843010
         7:  r11 ^= 16843009
         8:  r1 = r11
         9:  w11 = 16843016
        10:  w11 ^= 16843009
        11:  w2 = w11
        12:  r11 = 16843010
        13:  r11 ^= 16843009
        14:  r3 s/= r11
        15:  w11 = 16843012
        16:  w11 ^= 16843009
        17:  w3 %= w11
        18:  exit
      "
    `);
  });

  test("zero needs no hiding", () => {
    expect(after("r1 = 0\nw1 = 0\nr1 |= 0\nexit", [blind])).toMatchInlineSnapshot(`
      "
      main:
        0:  r1 ^= r1
        1:  r1 ^= r1
        2:  r11 = 16843009
        3:  r11 ^= 16843009
        4:  r1 |= r11
        5:  exit
      "
    `);
  });

  test("comparisons, forward and back", () => {
    const text = "again:\nr0 += r1\nif r0 < 100 goto again\nif w0 & 6 goto out\nr0 = r1\nout:\nexit";
    expect(after(text, [blind])).toMatchInlineSnapshot(`
      "
      .subprog main
        0:  r0 += r1
        1:  r11 = 16843109
        2:  r11 ^= 16843009
        3:  if r0 < r11 goto main
        4:  w11 = 16843015
        5:  w11 ^= 16843009
        6:  if w0 & w11 goto +1
        7:  r0 = r1
        8:  exit
      "
    `);
  });

  test("stores and 64-bit numbers", () => {
    expect(
      after("*(u8 *)(r10 - 1) = 7\n*(u64 *)(r10 - 16) = -2\nr0 = 0x1122334455667788 ll\nexit", [blind]),
    ).toMatchInlineSnapshot(`
      "
      main:
         0:  r11 = 16843014
         1:  r11 ^= 16843009
         2:  *(u8 *)(r10 - 1) = r11
         3:  r11 = -16843009
         4:  r11 ^= 16843009
         5:  *(u64 *)(r10 - 16) = r11
         6:  r11 = 270742085
         7:  r11 ^= 16843009
         8:  r11 <<= 32
         9:  r0 = r11
        10:  w11 = 1416066697
        11:  w11 ^= 16843009
        12:  r0 |= r11
        13:  exit
      "
    `);
  });

  test("counts of bits, distances, byte swaps and calls stay", () => {
    const text =
      "r1 <<= 3\nw1 s>>= 4\nr1 = be32 r1\nr1 = -r1\nif r1 > r2 goto +1\ngoto +0\ncall 5\nr1 = *(u8 *)(r10 - 3)\nexit";
    expect(after(text, [blind]).trim().split("\n").length).toBe(1 + 9);
  });

  test("goes together with a pass that uses the hidden register", () => {
    expect(after("r0 s%= r1\nr0 &= 15\nexit", [guardDivision, blind])).toMatchInlineSnapshot(`
      "
      main:
         0:  r11 = r1
         1:  r11 += 1
         2:  if r11 > 1 goto +3
         3:  if r11 == 1 goto +3
         4:  r0 ^= r0
         5:  goto +1
         6:  r0 s%= r1
         7:  r11 = 16843022
         8:  r11 ^= 16843009
         9:  r0 &= r11
        10:  exit
      "
    `);
  });

  test("the divisor is known, whatever register it is in", () => {
    const { facts } = patched(assemble("r0 /= 3\nr0 s/= -1\nr0 s%= 0\nexit"), [blind]);
    expect([2, 5, 8].map((at) => facts.flags[at])).toEqual([
      Fact.DIVISOR_NONZERO | Fact.DIVISOR_NOT_MINUS_ONE,
      Fact.DIVISOR_NONZERO,
      Fact.DIVISOR_NOT_MINUS_ONE,
    ]);
  });
});
