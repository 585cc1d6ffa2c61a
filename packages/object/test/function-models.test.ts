import { BpfError, formatFuncModel } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { loadBtf } from "../src/btf.ts";
import { type FunctionModels, functionModels } from "../src/function-models.ts";
import { handBtf, load } from "./objects.ts";

type Rows = Parameters<typeof handBtf>[0];
type Row = Rows[number];

const INT = 0x01000020;
const TYPES: Rows = [
  { name: "int", kind: 1, size: 4, rest: [INT] }, // 1
  { name: "unsigned long", kind: 1, size: 8, rest: [0x40] }, // 2
  { name: "_Bool", kind: 1, size: 1, rest: [0x04000008] }, // 3
  { name: "signed char", kind: 1, size: 1, rest: [0x01000008] }, // 4
  { name: "__int128", kind: 1, size: 16, rest: [0x01000080] }, // 5
  { name: "double", kind: 16, size: 8 }, // 6
  { kind: 2, size: 0 }, // 7: void *
  { name: "state", kind: 6, flag: true, vlen: 1, size: 4, rest: [0, -1 >>> 0] }, // 8
  { name: "wide", kind: 19, vlen: 0, size: 8 }, // 9
  { name: "pair", kind: 4, vlen: 0, size: 16 }, // 10
  { name: "odd", kind: 5, vlen: 0, size: 3 }, // 11
  { name: "large", kind: 4, vlen: 0, size: 17 }, // 12
  { name: "empty", kind: 4, vlen: 0, size: 0 }, // 13
  { name: "hidden", kind: 7 }, // 14
  { kind: 10, size: 1 }, // 15: const int
  { name: "int_t", kind: 8, size: 15 }, // 16
  { name: "user", kind: 18, size: 7 }, // 17
  { kind: 11, size: 17 }, // 18: void __attribute__((btf_type_tag("user"))) *restrict
  { name: "nothing", kind: 8, size: 0 }, // 19
  { kind: 3, rest: [1, 1, 2] }, // 20: int [2]
  { name: "char", kind: 1, size: 1, rest: [0x00000008] }, // 21, as in the BTF of kernels since 6.2
];

const proto = (returns: number, ...types: readonly number[]): Row => ({
  kind: 13,
  vlen: types.length,
  size: returns,
  rest: types.flatMap((type) => [0, type]),
});
const func = (name: string, type: number): Row => ({ name, kind: 12, size: type });

/** The models of functions `f0`, `f1`, …, one for each prototype. */
function modelsOf(...protos: readonly Row[]): FunctionModels {
  const first = TYPES.length + 1;
  return functionModels(loadBtf(handBtf([...TYPES, ...protos, ...protos.map((_, i) => func(`f${i}`, first + i))])));
}

/** The model of one function, or why it has none. */
function outcome(returns: number, ...types: readonly number[]): string {
  const { models, modelOf, refused } = modelsOf(proto(returns, ...types));
  return refused.length > 0 ? `${refused[0]!.cause}: ${refused[0]!.reason}` : formatFuncModel(models[modelOf[0]!]!);
}

test("sizes and signs come from the types behind typedefs, qualifiers and tags", () => {
  expect(outcome(0)).toBe("void ()");
  expect(outcome(1, 2, 3, 4)).toBe("s32 (u64, u8, s8)");
  expect(outcome(21, 21, 4)).toBe("u8 (u8, s8)");
  expect(outcome(16, 15, 16)).toBe("s32 (s32, s32)");
  expect(outcome(7, 18)).toBe("u64 (u64)");
  expect(outcome(9, 10, 11)).toBe("u64 (struct 16, struct 3)");
});

test("an enum is a number without a sign, as for the kernel, negative values or not", () => {
  expect(outcome(8, 8, 9)).toBe("u32 (u32, u64)");
});

test("what trampolines cannot hand on is refused with the type that is to blame", () => {
  expect(outcome(10)).toBe("result: a result that is struct pair of 16 bytes");
  expect(outcome(6)).toBe("result: a result that is float double of 8 bytes");
  expect(outcome(19)).toBe("result: a result that is void");
  expect(outcome(5)).toBe("result: a result that is int __int128 of 16 bytes");
  expect(outcome(0, 1, 12)).toBe("argument: argument 1 is struct large of 17 bytes");
  expect(outcome(0, 13)).toBe("argument: argument 0 is struct empty of 0 bytes");
  expect(outcome(0, 14)).toBe("argument: argument 0 is fwd hidden");
  expect(outcome(0, 6)).toBe("argument: argument 0 is float double of 8 bytes");
  expect(outcome(0, 5)).toBe("argument: argument 0 is int __int128 of 16 bytes");
  expect(outcome(0, 20)).toBe("argument: argument 0 is array");
  expect(outcome(0, 0, 1)).toBe("argument: argument 0 is void");
  expect(outcome(0, 19)).toBe("argument: argument 0 is void");
});

test("a last argument of no type stands for a variable number", () => {
  expect(outcome(1, 7, 0)).toBe("variadic: a variable number of arguments");
});

test("twelve arguments are taken, thirteen are not, whatever the other flaws", () => {
  expect(outcome(0, ...Array(12).fill(10))).toBe(`void (${Array(12).fill("struct 16").join(", ")})`);
  expect(outcome(10, ...Array(12).fill(12), 0)).toBe("arguments: 13 arguments, at most 12");
});

test("a model is one object for all its functions; prototypes are told apart by their types", () => {
  const { names, ids, models, modelOf, prototypeOf, refused } = modelsOf(
    proto(1, 2), // int (unsigned long)
    proto(15, 7), // const int (void *)
    proto(1, 2), // once more, as two sets of names would make it
    proto(1, 2, 0),
    proto(7, 1),
    proto(1, 9), // of the first's model
  );
  expect(names).toEqual(["f0", "f1", "f2", "f4", "f5"]);
  expect([...ids]).toEqual([28, 29, 30, 32, 33]);
  expect(models.map(formatFuncModel)).toEqual(["s32 (u64)", "u64 (s32)"]);
  expect([...modelOf]).toEqual([0, 0, 0, 1, 0]);
  expect([...prototypeOf]).toEqual([22, 23, 22, 26, 27]);
  expect(refused).toEqual([{ name: "f3", id: 31, cause: "variadic", reason: "a variable number of arguments" }]);
});

test("functions of a compiled object are read, too", () => {
  const { names, models, modelOf } = functionModels(load("types").btf!);
  expect(names.map((name, i) => `${name}: ${formatFuncModel(models[modelOf[i]!]!)}`)).toMatchInlineSnapshot(`
    [
      "walk: s32 (u64, s64)",
      "types: s32 (u64)",
    ]
  `);
});

describe("types that lead nowhere", () => {
  function failure(...rows: Rows): string {
    try {
      functionModels(loadBtf(handBtf(rows)));
    } catch (error) {
      if (error instanceof BpfError) return `${error.code} at ${error.details.offset}: ${error.message}`;
      throw error;
    }
    return "none";
  }

  test("are malformed, with the offset of the number that is wrong", () => {
    expect(failure(func("f", 9))).toMatch(/^malformed at 32: BTF type 9, expected an id below 2/);
    expect(failure(func("f", 1))).toMatch(/^malformed at 32: BTF func 1 of a func, expected a func_proto/);
    expect(failure(proto(7), func("f", 1))).toMatch(/^malformed at 32: BTF type 7, expected an id below 3/);
    expect(failure(proto(0, 7), func("f", 1))).toMatch(/^malformed at 40: BTF type 7/);
    expect(failure({ name: "t", kind: 8, size: 1 }, proto(1), func("f", 2))).toMatch(
      /^malformed at 24: BTF: type 1 behind more than 64 typedefs/,
    );
    expect(failure({ name: "t", kind: 8, size: 9 }, proto(1), func("f", 2))).toMatch(/^malformed at .*BTF type 9/);
  });
});

describe("large input", () => {
  /** `count` functions of `protos` prototypes with `params` parameters each. */
  function large(count: number, protos: number, params: number): Uint8Array {
    const rows = [
      ...TYPES,
      ...Array.from({ length: protos }, (_, i) => proto(i % 2, ...Array(params).fill(1 + (i % 2)))),
      ...Array.from({ length: count }, (_, i) => func("f", TYPES.length + 1 + (i % protos))),
    ];
    return handBtf(rows);
  }

  /** The smallest budget of a few that is enough, in bytes for each byte of input. */
  function cost(bytes: Uint8Array): number {
    for (let factor = 1; factor < 100; factor++) {
      try {
        functionModels(loadBtf(bytes, { budget: factor * bytes.length }));
        return factor;
      } catch (error) {
        expect(error).toMatchObject({ code: "limit" });
      }
    }
    return Number.POSITIVE_INFINITY;
  }

  test("costs memory in proportion to its size", () => {
    expect(cost(large(5_000, 1, 3))).toBeLessThan(10);
    expect(cost(large(2_000, 2_000, 0))).toBeLessThan(12);
    expect(cost(large(2_000, 2, 20_000))).toBeLessThan(3);
  });
});
