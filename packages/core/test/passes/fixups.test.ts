import { describe, expect, test } from "vitest";
import {
  assemble,
  expandMayGoto,
  Fact,
  formatProgram,
  guardDivision,
  inlineArrayLookup,
  type MapSpec,
  maskTailCalls,
  removeDeadCode,
} from "../../src/index.ts";
import { after, patched } from "./after.ts";

const map = (type: number, valueSize: number, maxEntries: number): MapSpec => ({
  name: "m", type, keySize: 4, valueSize, maxEntries, flags: 0,
}); // biome-ignore format: a row

describe("expand-may-goto", () => {
  test("each subprogram has a counter of its own below its stack", () => {
    const text = `
        *(u64 *)(r10 - 16) = r1
    again:
        may_goto out
        goto again
    out:
        call other
        exit
    other:
        may_goto +1
        r0 = 1
        r0 = 2
        exit
    `;
    expect(after(text, [expandMayGoto])).toMatchInlineSnapshot(`
      "
      main:
         0:  *(u64 *)(r10 - 24) = 8388608
         1:  *(u64 *)(r10 - 16) = r1
         2:  r11 = *(u64 *)(r10 - 24)
         3:  if r11 == 0 goto +3
         4:  r11 -= 1
         5:  *(u64 *)(r10 - 24) = r11
         6:  goto -5
         7:  call other
         8:  exit

      other:
         9:  *(u64 *)(r10 - 8) = 8388608
        10:  r11 = *(u64 *)(r10 - 8)
        11:  if r11 == 0 goto +3
        12:  r11 -= 1
        13:  *(u64 *)(r10 - 8) = r11
        14:  r0 = 1
        15:  r0 = 2
        16:  exit
      "
    `);
  });

  test("a jump to a subprogram's first instruction passes over the counter's initialisation", () => {
    expect(after("again:\nr0 += r1\nmay_goto +1\ngoto again\nexit", [expandMayGoto])).toMatchInlineSnapshot(`
      "
      main:
        0:  *(u64 *)(r10 - 8) = 8388608
        1:  r0 += r1
        2:  r11 = *(u64 *)(r10 - 8)
        3:  if r11 == 0 goto +3
        4:  r11 -= 1
        5:  *(u64 *)(r10 - 8) = r11
        6:  goto -6
        7:  exit
      "
    `);
  });

  test("it does so when another pass deleted that instruction", () => {
    expect(
      after("again:\ngoto +0\nr0 += r1\nmay_goto +1\ngoto again\nexit", [removeDeadCode, expandMayGoto]),
    ).toMatchInlineSnapshot(`
      "
      main:
        0:  *(u64 *)(r10 - 8) = 8388608
        1:  r0 += r1
        2:  r11 = *(u64 *)(r10 - 8)
        3:  if r11 == 0 goto +3
        4:  r11 -= 1
        5:  *(u64 *)(r10 - 8) = r11
        6:  goto -6
        7:  exit
      "
    `);
  });

  test("it does so when another pass replaced that instruction", () => {
    expect(
      after("again:\nr0 s%= r1\nmay_goto +1\ngoto again\nexit", [guardDivision, expandMayGoto]),
    ).toMatchInlineSnapshot(`
      "
      main:
         0:  *(u64 *)(r10 - 8) = 8388608
         1:  r11 = r1
         2:  r11 += 1
         3:  if r11 > 1 goto +3
         4:  if r11 == 1 goto +3
         5:  w0 = 0
         6:  goto +1
         7:  r0 s%= r1
         8:  r11 = *(u64 *)(r10 - 8)
         9:  if r11 == 0 goto +3
        10:  r11 -= 1
        11:  *(u64 *)(r10 - 8) = r11
        12:  goto -12
        13:  exit
      "
    `);
  });
});

describe("inline-array-lookup", () => {
  const text = "r1 = map[m]\nr2 = r10\nr2 += -4\ncall map_lookup_elem\nexit";
  const lookUp = (spec: MapSpec, told = { 4: { map: 1 } }): string =>
    formatProgram(patched(assemble(text, { maps: [spec] }), [inlineArrayLookup], told).program, { slots: false });

  test("elements of a power of two", () => {
    expect(`\n${lookUp(map(2, 12, 5))}\n`).toMatchInlineSnapshot(`
      "
      main:
        r1 = map[m]
        r2 = r10
        r2 += -4
        r1 = map[m][0]+0
        r0 = *(u32 *)(r2 + 0)
        if r0 >= 5 goto +3
        r0 <<= 4
        r0 += r1
        goto +1
        r0 = 0
        exit
      "
    `);
  });

  test("other sizes", () => {
    expect(lookUp(map(2, 20, 5))).toContain("r0 *= 24\n");
  });

  test("other maps, and maps that are not known, are called", () => {
    expect(lookUp(map(1, 8, 5))).toContain("call bpf_map_lookup_elem");
    expect(lookUp(map(2, 8, 5), { 4: { map: 0 } })).toContain("call bpf_map_lookup_elem");
  });
});

describe("mask-tail-calls", () => {
  const text = "r2 = map[m]\nr3 = *(u32 *)(r1 + 0)\ncall tail_call\nexit";
  const call = (entries: number, told: Parameters<typeof patched>[2] = { 3: { map: 1 } }): string =>
    formatProgram(patched(assemble(text, { maps: [map(3, 4, entries)] }), [maskTailCalls], told).program, {
      slots: false,
    });

  test("an index that leaves the array calls nothing", () => {
    expect(`\n${call(5)}\n`).toMatchInlineSnapshot(`
      "
      main:
        r2 = map[m]
        r3 = *(u32 *)(r1 + 0)
        if w3 >= 5 goto +2
        w3 &= 7
        call bpf_tail_call
        exit
      "
    `);
  });

  test("the mask covers the highest index", () => {
    expect([1, 2, 4, 5, 0x8000_0000].map((entries) => /w3 &= (.*)/.exec(call(entries))?.[1])).toEqual([
      "0",
      "1",
      "3",
      "7",
      "2147483647",
    ]);
  });

  test("an index that is known needs none", () => {
    expect(call(5, { 3: { map: 1, flags: Fact.INDEX_KNOWN, index: 4 } })).not.toContain("&=");
    expect(call(5, { 3: { map: 1, flags: Fact.INDEX_KNOWN, index: 5 } })).toContain("&=");
  });
});
