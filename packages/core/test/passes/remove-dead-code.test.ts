import { describe, expect, test } from "vitest";
import { assemble, expandMayGoto, Fact, removeDeadCode } from "../../src/index.ts";
import { after, patched } from "./after.ts";

const { UNREACHABLE: flags, ALWAYS_TAKEN, NEVER_TAKEN } = Fact;

describe("remove-dead-code", () => {
  test("branches are wired to where they always go", () => {
    const text = "if r1 > 5 goto +1\nr0 = 1\nif r1 > 7 goto +2\nr0 = 2\ngoto +1\nr0 = 3\nexit";
    const told = { 0: { flags: NEVER_TAKEN }, 2: { flags: ALWAYS_TAKEN }, 3: { flags }, 4: { flags } };
    expect(after(text, [removeDeadCode], told)).toMatchInlineSnapshot(`
      "
      main:
        0:  r0 = 1
        1:  r0 = 3
        2:  exit
      "
    `);
  });

  test("jumps over nothing go, one because of the other", () => {
    const text = "r0 = 1\nmay_goto +2\ngoto +1\nmay_goto +0\nexit";
    expect(after(text, [removeDeadCode])).toMatchInlineSnapshot(`
      "
      main:
        0:  r0 = 1
        1:  exit
      "
    `);
  });

  test("a jump over what is left, and one to itself, stay", () => {
    const text = "may_goto +1\nr0 = 1\nif r1 > 5 goto +0\nself:\ngoto self";
    expect(after(text, [removeDeadCode])).toMatchInlineSnapshot(`
      "
      main:
        0:  may_goto +1
        1:  r0 = 1
        2:  if r1 > 5 goto +0
        3:  goto -1
      "
    `);
  });

  test("a jump to what went does not run what a later pass puts before the next instruction", () => {
    const text = "again:\ngoto +0\nr0 += 1\nmay_goto again\nexit";
    expect(after(text, [removeDeadCode, expandMayGoto])).toMatchInlineSnapshot(`
      "
      main:
        0:  *(u64 *)(r10 - 8) = 8388608
        1:  r0 += 1
        2:  r11 = *(u64 *)(r10 - 8)
        3:  if r11 == 0 goto -3
        4:  r11 -= 1
        5:  *(u64 *)(r10 - 8) = r11
        6:  exit
      "
    `);
  });

  test("a subprogram that nobody calls goes", () => {
    const text = "r0 = 0\nexit\nother:\nr0 = 0x1122334455667788 ll\nexit\nlast:\nexit";
    const told = { 2: { flags }, 4: { flags }, 5: { flags } };
    const { program } = patched(assemble(text), [removeDeadCode], told);
    expect(program.insns.length).toBe(2);
    expect(program.subprogs.map(({ start }) => start)).toEqual([0]);
  });
});
