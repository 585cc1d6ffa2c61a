// Files made to cost more than their size: what the reader counts must grow with the file, or end in `limit`.
import { BpfError } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { readObject } from "../src/load.ts";
import { Budget } from "../src/reader.ts";
import {
  CODE,
  code,
  concat,
  EXIT,
  type HandSection,
  type HandSymbol,
  handBtf,
  handMade,
  pack,
  Strings,
} from "./objects.ts";

const LIMIT = 64 << 20;

/** What a load counts, and how it ends. */
function cost(bytes: Uint8Array): { used: number; end: string; programs: number } {
  const budget = new Budget(LIMIT);
  try {
    const { programs } = readObject(bytes, "", budget);
    return { used: budget.used, end: "loaded", programs: programs.length };
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    return { used: budget.used, end: error.code, programs: 0 };
  }
}

const CALL = (imm: number): readonly [number, number, number, number, number] => [0x85, 0, 1, 0, imm];

/** `count` functions of two instructions, each calling the one `step` further on. */
function chain(count: number, step: number, binding: number): Uint8Array {
  const body = Array.from(
    { length: count },
    (_, i) => [i + step < count ? CALL(2 * step - 1) : EXIT, EXIT] as const,
  ).flat();
  const symbols: HandSymbol[] = Array.from({ length: count }, (_, i) => ({
    name: `f${i}`,
    type: 2,
    binding: i === 0 ? 1 : binding,
    section: "xdp",
    value: 16 * i,
    size: 16,
  }));
  return handMade([{ name: "xdp", flags: CODE, contents: code(...body) }], symbols);
}

describe("costs grow with the file", () => {
  test.each([
    ["a chain of calls", (n: number) => chain(n, 1, 0)],
    ["as many programs", (n: number) => chain(n, n, 1)],
    ["as many relocations", (n: number) => relocated(n)],
    ["as many maps", (n: number) => mapped(n)],
    ["as many line records", (n: number) => lined(n)],
    ["as many sections", (n: number) => handMade(Array.from({ length: n }, (_, i) => ({ name: `s${i}`, type: 8 })))],
  ])("%s", (_, make) => {
    const [small, large] = [cost(make(2_000)), cost(make(8_000))];
    expect(small.end).toBe("loaded");
    expect(large.end).toBe("loaded");
    expect(large.used / small.used).toBeGreaterThan(3.5);
    expect(large.used / small.used).toBeLessThan(4.5);
  });

  test("a chain of 30,000 calls does not overflow the stack", () => {
    expect(cost(chain(30_000, 1, 0))).toMatchObject({ end: "loaded", programs: 1 });
  });
});

describe("costs that would multiply end at the budget", () => {
  test("many programs that each reach all functions", () => {
    const started = performance.now();
    expect(cost(chain(8_000, 1, 1)).end).toBe("limit");
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test("many names within one long string", () => {
    const length = 20_000;
    const name = "x".repeat(length);
    const bytes = handMade(
      [],
      Array.from({ length }, () => ({ name, type: 0 })),
    );
    const view = new DataView(bytes.buffer);
    // The symbols come first in the file; let each name begin one further on.
    for (let i = 0; i < length; i++) view.setUint32(64 + 24 * (i + 1), 1 + i, true);
    expect(cost(bytes).end).toBe("limit");
  });

  test("many data sections over the same bytes", () => {
    const sections: HandSection[] = Array.from({ length: 1_000 }, (_, i) => ({
      name: `.data.${i}`,
      contents: new Uint8Array(0),
      size: 200_000,
    }));
    expect(cost(handMade([...sections, { name: "ballast", contents: new Uint8Array(200_000) }])).end).toBe("limit");
  });

  test("many sections of code over the same bytes", () => {
    const sections: HandSection[] = Array.from({ length: 1_000 }, (_, i) => ({
      name: `t${i}`,
      flags: CODE,
      contents: new Uint8Array(0),
      size: 200_000,
    }));
    expect(cost(handMade([...sections, { name: "ballast", contents: new Uint8Array(200_000) }])).end).toBe("limit");
  });

  test("zeroed memory costs nothing, and more than a program can address is refused", () => {
    const bss = (size: number): Uint8Array => handMade([{ name: ".bss", type: 8, size }]);
    expect(cost(bss(0x7fffffff))).toMatchObject({ end: "loaded" });
    expect(cost(bss(0x7fffffff)).used).toBeLessThan(10_000);
    expect(cost(bss(0x80000000)).end).toBe("limit");
  });
});

function relocated(count: number): Uint8Array {
  const table = concat(Array.from({ length: count }, (_, i) => pack([8, 16 * (count - 1 - i)], [4, 1], [4, 1])));
  const body = Array.from(
    { length: count },
    () =>
      [
        [0x18, 1, 0, 0, 0],
        [0, 0, 0, 0, 0],
      ] as const,
  ).flat();
  return handMade(
    [
      { name: "xdp", flags: CODE, contents: code(...body, EXIT) },
      { name: ".relxdp", type: 9, info: 1, contents: table },
      { name: ".data", contents: new Uint8Array(8) },
    ],
    [
      { name: "value", type: 1, section: ".data" },
      { name: "main", type: 2, section: "xdp", size: 16 * count + 8 },
    ],
  );
}

function mapped(count: number): Uint8Array {
  const strings = new Strings();
  const rows = [
    { name: "int", kind: 1, size: 4, rest: [0x01000020] },
    { kind: 3, rest: [1, 1, 2] },
    { kind: 2, size: 2 },
    { kind: 4, vlen: 1, size: 8, rest: [strings.add("type"), 3, 0] },
    ...Array.from({ length: count }, (_, i) => ({ name: `m${i}`, kind: 14, size: 4, rest: [1] })),
    {
      name: ".maps",
      kind: 15,
      vlen: count,
      size: 8 * count,
      rest: Array.from({ length: count }, (_, i) => [5 + i, 8 * i, 8]).flat(),
    },
  ];
  return handMade([
    { name: ".maps", contents: new Uint8Array(8 * count) },
    { name: ".BTF", contents: handBtf(rows, strings) },
  ]);
}

function lined(count: number): Uint8Array {
  const strings = new Strings();
  const [section, file] = [strings.add("xdp"), strings.add("a.c")];
  const records = concat(
    Array.from({ length: count }, (_, i) =>
      pack([4, 8 * i], [4, file], [4, strings.add(`line ${i}`)], [4, (i + 1) << 10]),
    ),
  );
  const part = concat([pack([4, 16], [4, section], [4, count]), records]);
  const header = pack([2, 0xeb9f], [1, 1], [1, 0], [4, 24], [4, 0], [4, 0], [4, 0], [4, part.length]);
  return handMade(
    [
      { name: "xdp", flags: CODE, contents: code(...Array.from({ length: count }, () => EXIT)) },
      { name: ".BTF", contents: handBtf([{ name: "f", kind: 16, size: 4 }], strings) },
      { name: ".BTF.ext", contents: concat([header, part]) },
    ],
    [{ name: "main", type: 2, section: "xdp", size: 8 * count }],
  );
}
