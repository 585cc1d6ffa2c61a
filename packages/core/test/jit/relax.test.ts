import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BpfError } from "../../src/errors.ts";
import { CodeBuffer } from "../../src/jit/code-buffer.ts";
import { type BranchForm, branchForms, emitCode, positionOf, relax } from "../../src/jit/relax.ts";

const near = { min: -128, max: 127 };
const far = { min: -1_000_000, max: 1_000_000 };
const JUMP = 0;
const CONDITION = 1;
const CALL = 2;
const FROM_START = 3;
const FORMS: readonly BranchForm[] = [
  {
    name: "jump",
    from: "end",
    encodings: [
      { size: 0, min: 0, max: 0 },
      { size: 2, ...near },
      { size: 5, ...far },
    ],
  },
  {
    name: "condition",
    from: "end",
    encodings: [
      { size: 2, ...near },
      { size: 6, ...far },
    ],
  },
  { name: "call", from: "end", encodings: [{ size: 5, ...far }] },
  {
    name: "from start",
    from: "start",
    encodings: [
      { size: 4, min: -64, max: 60 },
      { size: 8, ...far },
    ],
  },
];
const COLUMNS = branchForms(FORMS);

/** Bytes of code, a branch to the n-th place, or a place. */
type Item =
  | { readonly kind: "bytes"; readonly count: number }
  | { readonly kind: "branch"; readonly form: number; readonly to: number }
  | { readonly kind: "place" };

interface Written {
  readonly at: number;
  readonly end: number;
  readonly encoding: number;
  readonly displacement: number;
}

function build(items: readonly Item[]) {
  const buffer = new CodeBuffer();
  const places = items.filter(({ kind }) => kind === "place").length;
  buffer.reset(places);
  let place = 0;
  let value = 0;
  for (const item of items) {
    if (item.kind === "place") buffer.bind(place++);
    else if (item.kind === "branch") buffer.branch(item.form, item.to, item.to % places);
    else {
      buffer.ensure(item.count);
      for (let i = 0; i < item.count; i++) buffer.bytes[buffer.length++] = ++value % 200;
    }
  }
  const relaxed = relax(buffer, COLUMNS);
  const written: Written[] = [];
  const code = emitCode(buffer, relaxed, COLUMNS, (bytes, at, form, _operand, encoding, displacement) => {
    const { size } = FORMS[form]!.encodings[encoding]!;
    bytes.fill(255, at, at + size);
    written.push({ at, end: at + size, encoding, displacement });
  });
  return {
    buffer,
    relaxed,
    written,
    code,
    positions: Array.from({ length: places }, (_, i) => positionOf(buffer, relaxed, i)),
  };
}

/** The textbook way: lay everything out, lengthen what does not reach, start again. */
function naive(items: readonly Item[]): readonly number[] {
  const branches = items.filter((item) => item.kind === "branch");
  const encodings = branches.map(() => 0);
  for (;;) {
    const ends: number[] = [];
    const starts: number[] = [];
    const places: number[] = [];
    let at = 0;
    for (const item of items) {
      if (item.kind === "bytes") at += item.count;
      else if (item.kind === "place") places.push(at);
      else {
        starts.push(at);
        at += FORMS[item.form]!.encodings[encodings[ends.length]!]!.size;
        ends.push(at);
      }
    }
    let grew = false;
    for (const [i, { form, to }] of branches.entries()) {
      const { encodings: list, from } = FORMS[form]!;
      const { size, min, max } = list[encodings[i]!]!;
      const displacement = places[to % places.length]! - (from === "end" ? ends[i]! : starts[i]!);
      const backward = isBackward(items, i, to % places.length);
      if (encodings[i]! < list.length - 1 && (displacement < min || displacement > max || (size === 0 && backward))) {
        encodings[i] = encodings[i]! + 1;
        grew = true;
      }
    }
    if (!grew) return encodings;
  }
}

function isBackward(items: readonly Item[], branch: number, place: number): boolean {
  let branches = 0;
  let places = 0;
  for (const { kind } of items) {
    if (kind === "branch" && branches++ === branch) return places > place;
    if (kind === "place") places++;
  }
  throw new Error("no such branch");
}

const anyItem: fc.Arbitrary<Item> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("bytes" as const), count: fc.integer({ min: 1, max: 40 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("branch" as const),
      form: fc.integer({ min: 0, max: 3 }),
      to: fc.nat(500),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: "place" as const }) },
);
const anyItems = fc
  .array(anyItem, { maxLength: 150 })
  .map((items): Item[] => [{ kind: "place" }, ...items, { kind: "place" }]);

/** Branches that grow because the last but one does: each just reaches over its neighbour. */
function chain(length: number): Item[] {
  const items: Item[] = [];
  for (let i = 0; i < length; i++) {
    items.push({ kind: "place" }, { kind: "branch", form: CONDITION, to: i + 2 }, { kind: "bytes", count: 62 });
  }
  items.push({ kind: "bytes", count: 4 }, { kind: "place" }, { kind: "bytes", count: 1 }, { kind: "place" });
  return items;
}

describe("relaxation", () => {
  test("makes every branch land", () => {
    fc.assert(
      fc.property(anyItems, (items) => {
        const { written, positions, code, buffer } = build(items);
        const branches = items.filter((item) => item.kind === "branch");
        const kept = branches.filter(
          (_, i) => FORMS[branches[i]!.form]!.encodings[build(items).relaxed.encoding[i]!]!.size > 0,
        );
        expect(written).toHaveLength(kept.length);
        for (const [i, { at, end, encoding, displacement }] of written.entries()) {
          const { form, to } = kept[i]!;
          const { min, max } = FORMS[form]!.encodings[encoding]!;
          expect((FORMS[form]!.from === "end" ? end : at) + displacement).toBe(positions[to % positions.length]);
          expect(displacement).toBeGreaterThanOrEqual(min);
          expect(displacement).toBeLessThanOrEqual(max);
        }
        expect([...code].filter((byte) => byte !== 255)).toEqual([...buffer.bytes.subarray(0, buffer.length)]);
      }),
      { numRuns: 300 },
    );
  });

  test("is as short as starting short and lengthening one by one gives", () => {
    fc.assert(
      fc.property(anyItems, (items) => {
        expect([...build(items).relaxed.encoding]).toEqual(naive(items));
      }),
      { numRuns: 500 },
    );
  });

  test("gives the same bytes for the same input", () => {
    fc.assert(
      fc.property(anyItems, (items) => {
        expect(build(items).code).toEqual(build(items).code);
      }),
    );
  });

  test.each([
    [127, 2],
    [128, 6],
  ])("forward over %i bytes takes %i", (count, size) => {
    const { written } = build([
      { kind: "branch", form: CONDITION, to: 0 },
      { kind: "bytes", count },
      { kind: "place" },
    ]);
    expect(written[0]!.end).toBe(size);
  });

  test.each([
    [126, 2],
    [127, 6],
  ])("backward over %i bytes takes %i, its own included in the distance", (count, size) => {
    const { written } = build([
      { kind: "place" },
      { kind: "bytes", count },
      { kind: "branch", form: CONDITION, to: 0 },
    ]);
    expect(written[0]!.end - written[0]!.at).toBe(size);
  });

  test.each([
    [56, 4],
    [57, 8],
  ])("counts %i bytes and the branch itself where displacements start at its start", (count, size) => {
    const { written } = build([
      { kind: "branch", form: FROM_START, to: 0 },
      { kind: "bytes", count },
      { kind: "place" },
    ]);
    expect(written[0]!.end).toBe(size);
  });

  test("leaves out a jump to what follows, also over other jumps left out", () => {
    const { code } = build([
      { kind: "branch", form: JUMP, to: 0 },
      { kind: "branch", form: JUMP, to: 0 },
      { kind: "place" },
    ]);
    expect(code).toHaveLength(0);
  });

  test("keeps a jump to itself", () => {
    const { written } = build([{ kind: "place" }, { kind: "branch", form: JUMP, to: 0 }]);
    expect(written).toEqual([{ at: 0, end: 2, encoding: 1, displacement: -2 }]);
  });

  test("costs in proportion to the branches even when every one makes the next one grow", () => {
    const looks = [1000, 2000, 4000].map((length) => {
      const { relaxed } = build(chain(length));
      expect(relaxed.grown).toBe(length - 1);
      return relaxed.looks / length;
    });
    expect(Math.max(...looks)).toBeLessThan(8);
  });

  test("costs in proportion to the branches when most of them need a longer encoding at once", () => {
    const forms = branchForms([
      {
        name: "branch",
        from: "start",
        encodings: [
          { size: 4, min: -4096, max: 4094 },
          { size: 8, min: -1_000_000, max: 1_000_000 },
          { size: 12, min: -0x8000_0000, max: 0x7fff_ffff },
        ],
      },
    ]);
    const looks = [2000, 16_000, 64_000].map((length) => {
      const buffer = new CodeBuffer();
      buffer.reset(length);
      for (let i = 0; i < length; i++) {
        buffer.bind(i);
        buffer.branch(0, 0, Math.min(length - 1, i + 300));
        buffer.ensure(40);
        buffer.length += 40;
      }
      const relaxed = relax(buffer, forms);
      expect(relaxed.grown).toBeGreaterThan(length - 400);
      return relaxed.looks / length;
    });
    expect(Math.max(...looks)).toBeLessThan(8);
  });

  test("refuses a target out of reach of the longest encoding", () => {
    const items: Item[] = [
      { kind: "branch", form: CALL, to: 0 },
      { kind: "bytes", count: 1_000_001 },
      { kind: "place" },
    ];
    expect(() => build(items)).toThrow(BpfError);
    expect(() => build(items)).toThrowErrorMatchingInlineSnapshot(
      `[BpfError: call of 1000001 bytes, expected -1000000 to 1000000]`,
    );
  });

  test("reports a label that was never bound as our mistake", () => {
    const buffer = new CodeBuffer();
    buffer.reset(1);
    buffer.branch(JUMP, 0, 0);
    expect(() => relax(buffer, COLUMNS)).toThrow("a place for label 0 does not hold");
  });
});
