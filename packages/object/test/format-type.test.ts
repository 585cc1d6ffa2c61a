import { expect, test } from "vitest";
import { loadBtf } from "../src/btf.ts";
import { formatDeclaration, formatType } from "../src/format-type.ts";
import { handBtf, load } from "./objects.ts";

test("types print as the C they were written in", async () => {
  const btf = load("types").btf!;
  const text = Array.from({ length: btf.count - 1 }, (_, i) => `[${i + 1}] ${formatType(btf, i + 1)}`).join("\n");
  await expect(`${text}\n`).toMatchFileSnapshot("golden/types.c.txt");
});

test("pointers, arrays and functions nest as C declarators do", () => {
  const btf = loadBtf(
    handBtf([
      { name: "int", kind: 1, size: 4, rest: [0x01000020] }, // 1
      { kind: 2, size: 1 }, // 2: int *
      { kind: 3, rest: [2, 1, 3] }, // 3: int *[3]
      { kind: 2, size: 3 }, // 4: int *(*)[3]
      { kind: 13, vlen: 1, size: 4, rest: [0, 1] }, // 5: int *(*(int))[3]
      { kind: 2, size: 5 }, // 6
      { kind: 10, size: 6 }, // 7
      { kind: 3, rest: [7, 1, 2] }, // 8
      { kind: 10, size: 1 }, // 9
      { kind: 2, size: 9 }, // 10
      { kind: 10, size: 10 }, // 11
    ]),
  );
  expect(formatDeclaration(btf, 2, "x")).toBe("int *x");
  expect(formatDeclaration(btf, 3, "x")).toBe("int *x[3]");
  expect(formatDeclaration(btf, 4, "x")).toBe("int *(*x)[3]");
  expect(formatDeclaration(btf, 8, "x")).toBe("int *(*(*const x[2])(int))[3]");
  expect(formatDeclaration(btf, 11, "x")).toBe("const int *const x");
  expect(formatDeclaration(btf, 11, "")).toBe("const int *const");
});

test("cyclic, deep and wide types print in bounded text", () => {
  const wide = 40_000;
  const members = Array.from({ length: wide }, () => [0, 1, 0]).flat();
  const btf = loadBtf(
    handBtf([
      { kind: 4, vlen: wide, size: 8, rest: members }, // an anonymous struct with itself as every member
      { kind: 2, size: 2 }, // a pointer to itself
      { kind: 13, vlen: wide, size: 3, rest: Array.from({ length: wide }, () => [0, 3]).flat() },
      { name: "s", kind: 15, vlen: wide, size: 8, rest: Array.from({ length: wide }, () => [5, 0, 0]).flat() },
      { name: "v", kind: 14, size: 1, rest: [1] },
      {
        name: "x".repeat(1 << 20),
        kind: 4,
        vlen: wide,
        size: 8,
        rest: Array.from({ length: wide }, (_, i) => [1 + (i % 5), 6, 0]).flat(),
      },
    ]),
  );
  for (let id = 1; id < btf.count; id++) {
    const start = performance.now();
    expect(formatType(btf, id).length).toBeLessThan(8 << 20);
    expect(performance.now() - start).toBeLessThan(5000);
  }
});
