// Patching in memory that is there already: the same results, and none is touched but those that were given up.
import { describe, expect, test } from "vitest";
import { type InsnFacts, NO_FACTS, noFacts } from "../../src/analysis/facts.ts";
import { assemble } from "../../src/asm/parse.ts";
import { type Linearized, type LinearizeOptions, linearize } from "../../src/patch/linearize.ts";
import { PatchList } from "../../src/patch/list.ts";
import { patch } from "../../src/patch/patch.ts";
import type { Program } from "../../src/program.ts";
import { trust } from "../../src/trust.ts";
import { isEqual, randomHistory, randomSubject, seeded } from "./histories.ts";

type Column = Int32Array | Uint32Array | Uint16Array | Uint8Array;
type ListOf = (program: Program, facts: InsnFacts) => PatchList;

const newList: ListOf = (program, facts) => new PatchList(program, facts);

/** All columns in a value, however deep. */
function columnsIn(value: unknown): Column[] {
  if (ArrayBuffer.isView(value)) return [value as Column];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(columnsIn);
}

function randomFacts(seed: number, slots: number): InsnFacts {
  const random = seeded(seed);
  const facts = noFacts(slots);
  for (const column of columnsIn(facts)) for (let at = 0; at < slots; at++) column[at] = random(250);
  return facts;
}

/** A random history with random facts, linearized to a random part of what it can give. */
function resultOf(seed: number, listOf: ListOf, recycle?: Linearized): Linearized {
  const random = seeded(seed + 1_000_000);
  const withFacts = random(3) > 0;
  const { subject, list } = randomHistory(seed, (program) =>
    listOf(program, withFacts ? randomFacts(seed, program.insns.length) : NO_FACTS),
  );
  for (const at of list) if (random(8) === 0) list.record(at, 1 << random(9));
  return linearize(list, {
    ...(random(4) === 0 ? {} : { metadata: subject.metadata }),
    facts: random(3) > 0,
    provenance: random(3) > 0,
    recycle,
  });
}

/** A program with a jump over `slots` instructions, which become three each. */
function wide(slots: number, list: PatchList, options: LinearizeOptions): Linearized {
  list.reset(assemble(`if r1 & 1 goto out\nif r1 == 5 goto out\n${"r0 = 1\n".repeat(slots)}out: exit`));
  for (let at = 2; at < 2 + slots; at++) list.replace(at, [...list.words(at), ...list.words(at), ...list.words(at)]);
  return linearize(list, options);
}

describe("memory of results that are given up", () => {
  test("random histories in used memory equal those in new memory, and what was not given up stays as it was", () => {
    const random = seeded(5);
    const list = newList(randomSubject(random).program, NO_FACTS);
    const resetList: ListOf = (program, facts) => {
      list.reset(program, facts);
      return list;
    };
    const held: { readonly result: Linearized; readonly expected: Linearized }[] = [];
    let kept = 0;
    for (let seed = 1; seed <= 2000; seed++) {
      const given = random(4) === 0 ? undefined : held.splice(random(held.length), 1)[0];
      if (given !== undefined) {
        expect(isEqual(given.result, given.expected)).toBe(true);
        for (const column of columnsIn(given.result)) column.fill(0x55);
      }
      const result = resultOf(seed, random(8) === 0 ? newList : resetList, given?.result);
      const expected = resultOf(seed, newList);
      if (!isEqual(result, expected)) expect(result, `seed ${seed}`).toEqual(expected);
      held.push({ result, expected });
      if (held.length <= 20) continue;
      const [oldest] = held.splice(0, 1);
      expect(isEqual(oldest!.result, oldest!.expected)).toBe(true);
      kept++;
    }
    expect(kept).toBeGreaterThan(100);
  });

  test("smaller and larger ones follow each other, with jumps in their long form and without", () => {
    const list = newList(assemble("exit"), NO_FACTS);
    let last: Linearized | undefined;
    for (const slots of [3, 20_000, 10, 30_000, 30_000, 4, 20_000]) {
      for (const provenance of [true, false]) {
        const expected = wide(slots, newList(assemble("exit"), NO_FACTS), { facts: true, provenance });
        for (const column of last === undefined ? [] : columnsIn(last)) column.fill(0x55);
        last = wide(slots, list, { facts: true, provenance, recycle: last });
        expect(isEqual(last, expected), `${slots} slots`).toBe(true);
      }
    }
  });

  test("patching the same program again allocates no buffer", () => {
    const { subject } = randomHistory(4);
    const list = newList(subject.program, NO_FACTS);
    let result: Linearized | undefined;
    const again = (): void => {
      list.reset(subject.program, randomFacts(1, subject.program.insns.length));
      for (const at of list) {
        if (list.target(at) === undefined) list.inherit(list.replace(at, [...list.words(at), ...list.words(at)]), at);
      }
      result = linearize(list, { metadata: subject.metadata, facts: true, provenance: true, recycle: result });
    };
    const { ArrayBuffer: Real } = globalThis;
    let buffers = 0;
    class Counting extends Real {
      constructor(length: number) {
        super(length);
        buffers++;
      }
    }
    const counts: number[] = [];
    for (let round = 0; round < 4; round++) {
      try {
        globalThis.ArrayBuffer = Counting as unknown as ArrayBufferConstructor;
        again();
      } finally {
        globalThis.ArrayBuffer = Real;
      }
      counts.push(buffers);
      buffers = 0;
    }
    expect(counts[0]).toBeGreaterThan(15);
    expect(counts.slice(1)).toEqual([0, 0, 0]);
  });
});

describe("a result that was given up", () => {
  const program = assemble("r0 = 1\nr2 = 2\nexit");
  const everything = { facts: true, provenance: true };

  test("is empty, whichever column one looks at; the program it was made from is as before", () => {
    const { subject } = randomHistory(4);
    const before = structuredClone({ ...subject });
    const list = newList(subject.program, NO_FACTS);
    const result = linearize(list, { metadata: subject.metadata, ...everything });
    const columns = columnsIn(result).length;
    expect(columns).toBeGreaterThan(15);
    const next = linearize(list, { metadata: subject.metadata, ...everything, recycle: result });
    expect(columnsIn(result).map(({ length }) => length)).toEqual(new Array(columns).fill(0));
    expect(result.program.insns.length).toBe(0);
    expect(structuredClone({ ...subject })).toEqual(before);
    expect(columnsIn(next).every(({ length }) => length > 0)).toBe(true);
  });

  test("cannot be given up again, nor can what is not a result", () => {
    const list = newList(program, NO_FACTS);
    const result = linearize(list);
    const copy = { ...result };
    expect(() => linearize(list, { recycle: copy })).toThrow(/not a result/);
    const next = linearize(list, { recycle: result });
    expect(() => linearize(list, { recycle: result })).toThrow(/given up before/);
    expect(next.program).toEqual(program);
  });

  test("cannot be what goes in: neither its program nor its metadata and facts; it stays as it is", () => {
    const values = Int32Array.of(1, 2, 3);
    const result = linearize(newList(program, noFacts(3)), {
      metadata: { aux: [{ name: "a", inserted: "zero", values }] },
      ...everything,
    });
    expect(() => linearize(newList(result.program, NO_FACTS), { recycle: result })).toThrow(/what goes in/);
    expect(() => linearize(newList(program, result.facts!), { recycle: result })).toThrow(/what goes in/);
    const metadata = result.metadata;
    expect(() => linearize(newList(program, NO_FACTS), { metadata, recycle: result })).toThrow(/what goes in/);
    expect(result.program).toEqual(program);
    expect(metadata.aux![0]!.values).toEqual(values);
  });

  test("cannot be patched by a list that it was given to before", () => {
    const result = linearize(newList(program, NO_FACTS));
    const late = newList(result.program, NO_FACTS);
    linearize(newList(program, NO_FACTS), { recycle: result });
    expect(() => linearize(late)).toThrow(/given up/);
  });

  test("is gone when a jump turns out not to reach, but not when an argument is wrong; the list goes on", () => {
    const list = newList(program, NO_FACTS);
    const result = linearize(list);
    const aux = [{ name: "a", inserted: "zero", values: new Int32Array(1) } as const];
    expect(() => linearize(list, { metadata: { aux }, recycle: result })).toThrow(/aux column/);
    expect(result.program).toEqual(program);
    expect(() => wide(20_000, list, { isa: 3, recycle: result })).toThrow(/would go/);
    expect(result.program.insns.length).toBe(0);
    expect(wide(5, list, {})).toEqual(wide(5, newList(program, NO_FACTS), {}));
  });

  test("can come from `patch`, too", () => {
    const verified = trust(program);
    const first = patch(verified, []);
    const second = patch(verified, [], { recycle: first.patched });
    expect(first.program.insns.length).toBe(0);
    expect(second.program).toEqual(program);
  });
});

describe("a list that is reset", () => {
  test("refuses facts of another program and stays as it is", () => {
    const list = newList(assemble("r0 = 1\nexit"), NO_FACTS);
    list.delete(0);
    expect(() => list.reset(assemble("exit"), noFacts(2))).toThrow(/facts of 2 slots/);
    expect(linearize(list).program.insns.length).toBe(1);
  });

  test("has no edits, no passes and no facts of before", () => {
    const list = newList(assemble("r0 = 1\nexit"), noFacts(2));
    list.beginPass("before");
    list.inherit(list.replace(0, list.words(0)), 0);
    list.record(1, 1);
    list.reset(assemble("r1 = 1\nr2 = 1\nexit"));
    expect([...list]).toEqual([0, 1, 2]);
    expect([list.originals, list.patches, list.flags(1), list.facts]).toEqual([3, 0, 0, NO_FACTS]);
    const fresh = newList(list.program, NO_FACTS).store();
    const { state, headers, pool, ...rest } = list.store();
    expect(rest).toEqual({ ...fresh, state: undefined, headers: undefined, pool: undefined });
    expect(list.replace(0, list.words(0))).toBe(4);
    expect(list.patch(1).pass).toBe(-1);
  });
});
