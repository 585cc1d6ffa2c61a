import { describe, expect, test } from "vitest";
import { assemble, Fact, guardDivision } from "../../src/index.ts";
import { after, patched } from "./after.ts";

describe("guard-division", () => {
  test.each(["r0 /= r2", "w0 /= w2", "r0 %= r2", "w0 %= w2", "r0 s/= r2", "w0 s/= w2", "r0 s%= r2", "w0 s%= w2"])(
    "%s",
    (text) => {
      expect(after(`${text}\nexit`, [guardDivision])).toMatchSnapshot();
    },
  );

  test("by −1 there is no division", () => {
    expect(after("r0 s/= -1\nw0 s/= -1\nr0 s%= -1\nw0 s%= -1\nr0 /= -1\nexit", [guardDivision])).toMatchInlineSnapshot(`
      "
      main:
        0:  r0 = -r0
        1:  w0 = -w0
        2:  w0 = 0
        3:  w0 = 0
        4:  r0 /= -1
        5:  exit
      "
    `);
  });

  test("a divisor that is known to be harmless has no guard", () => {
    const told = { 0: { flags: Fact.DIVISOR_NONZERO }, 1: { flags: Fact.DIVISOR_NONZERO } };
    expect(after("r0 /= r2\nr0 s/= r2\nexit", [guardDivision], told)).toMatchInlineSnapshot(`
      "
      main:
         0:  r0 /= r2
         1:  r11 = r2
         2:  r11 += 1
         3:  if r11 > 1 goto +4
         4:  if r11 == 0 goto +1
         5:  r0 = 0
         6:  r0 = -r0
         7:  goto +1
         8:  r0 s/= r2
         9:  exit
      "
    `);
  });

  test("says of each guarded division that its divisor is harmless", () => {
    const { program, facts } = patched(assemble("r0 /= r2\nr0 s%= r2\nexit"), [guardDivision]);
    const harmless = Fact.DIVISOR_NONZERO | Fact.DIVISOR_NOT_MINUS_ONE;
    const found = Array.from(
      program.insns.words.filter((_, i) => i % 2 === 0),
      (word, slot) => [word & 0xff, facts.flags[slot]!],
    );
    expect(found.filter(([code]) => code === 0x3f || code === 0x9f)).toEqual([
      [0x3f, Fact.DIVISOR_NONZERO],
      [0x9f, harmless],
    ]);
  });
});
