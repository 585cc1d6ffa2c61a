import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { applyPlan } from "../../src/multi/apply.ts";
import { ModelKeys } from "../../src/multi/facts.ts";
import { type MultiPlan, planAttach, planDetach } from "../../src/multi/plan.ts";
import type { MultiRequest } from "../../src/multi/request.ts";
import { MultiState, NO_CLASS } from "../../src/multi/state.ts";
import { MULTI_STRATEGIES } from "../../src/multi/strategies.ts";
import { classTable, hashState } from "../../src/multi/table.ts";
import { type ArgRules, placeArgs, placesKey } from "../../src/trampoline/args.ts";
import { parseFuncModel } from "../../src/trampoline/func-model.ts";
import {
  functionsOfModels,
  type PlainLink,
  randomNumbers,
  range,
  roundOfModels,
  tableFromScratch,
} from "./functions.ts";

/** Ids of the links attached first, second and third. */
const [A, B, C] = [0, 1, 2];
let programs = 0;

/** Attaches a program of its own, and gives the plan. */
function attach(state: MultiState, functions: ArrayLike<number>, more: Partial<MultiRequest> = {}): MultiPlan {
  const plan = planAttach(state, { kind: "fentry", program: programs++, functions, ...more });
  applyPlan(state, plan);
  return plan;
}

function detach(state: MultiState, link: number): MultiPlan {
  const plan = planDetach(state, link);
  applyPlan(state, plan);
  return plan;
}

/** Classes as `f0,f1: 0 1`, with an exclamation mark where a single. */
function table(state: MultiState): string[] {
  return classTable(state).map(
    ({ functions, links, single }) =>
      `${functions.join()}:${links.map((link) => ` ${link}`).join("")}${single === NO_CLASS ? "" : " !"}`,
  );
}

/** `count` times each model, in the rules of an architecture. */
function functionsOfTypes(
  rules: ArgRules,
  count: number,
  types: readonly string[],
): ReturnType<typeof functionsOfModels> {
  const keys = new ModelKeys();
  const models = types.map((text) => keys.of(placesKey(placeArgs(parseFuncModel(text), rules))));
  return functionsOfModels(Array.from({ length: count * types.length }, (_, i) => models[i % types.length]!));
}

const BY_SLOTS: ArgRules = { registers: 6, struct: "stack", typed: false };
const BY_SIZES: ArgRules = { registers: 8, struct: "all-stack", typed: true };

describe("classes of functions", () => {
  test("A-1 basic grouping: 10,000 functions of 2, 3 and 7 arguments each make 3 classes", () => {
    const seven = "long (long, long, long, long, long, long, long)";
    const state = new MultiState(
      functionsOfTypes(BY_SLOTS, 10_000, ["int (int, long)", "int (int, char, long)", seven]),
    );
    const plan = attach(state, range(0, 30_000));
    expect(state.classes).toBe(3);
    expect([...state.classIds()].map((id) => state.class(id).size)).toEqual([10_000, 10_000, 10_000]);
    expect(MULTI_STRATEGIES.shared.needs(state, plan)).toEqual({
      images: 3,
      retired: 0,
      pokes: 30_000,
      rows: 0,
      waits: 0,
    });
  });

  test("A-2 comparator: where sizes count, two patterns of sizes for each number of arguments make 6 classes", () => {
    const types = [
      "(int, long)",
      "(long, int)",
      "(int, long, long)",
      "(long, long, int)",
      "(int, long, long, long)",
      "(long, long, long, int)",
    ];
    const texts = types.map((args) => `int ${args}`);
    for (const [rules, classes] of [
      [BY_SLOTS, 3],
      [BY_SIZES, 6],
    ] as const) {
      const state = new MultiState(functionsOfTypes(rules, 5000, texts));
      attach(state, range(0, 30_000));
      expect(state.classes).toBe(classes);
    }
  });

  test("A-3 identical set: a second program on the same functions changes each class in place", () => {
    const state = new MultiState(roundOfModels(300, 3));
    attach(state, range(0, 300));
    const ids = [...state.classIds()];
    const plan = attach(state, range(0, 300));
    expect(plan.moves.map(({ kind, from, to }) => [kind, from, to])).toEqual(ids.map((id) => ["renamed", id, id]));
    expect([...state.classIds()]).toEqual(ids);
    expect(state.class(ids[0]!).links).toEqual(Int32Array.of(A, B));
    expect(MULTI_STRATEGIES.shared.needs(state, plan)).toMatchObject({ images: 3, retired: 3, pokes: 300, waits: 1 });
  });

  test("A-4 partial overlap: 10,000 and 5,000 of which 1,000 are common make classes of 9,000, 1,000 and 4,000", () => {
    const state = new MultiState(roundOfModels(14_000, 1));
    attach(state, range(0, 10_000));
    attach(state, range(9000, 14_000));
    expect(classTable(state).map(({ functions, links }) => [functions.length, ...links])).toEqual([
      [9000, A],
      [1000, A, B],
      [4000, B],
    ]);
  });

  /** X, Y and Z of one model, N and M of another, P and Q of a third one. */
  const [X, Y, Z, N, M, P, Q] = [0, 1, 2, 3, 4, 5, 6];
  const proposal = (): MultiState => {
    const state = new MultiState(functionsOfModels([0, 0, 0, 1, 1, 2, 2]));
    attach(state, [X, Y, N, M]);
    attach(state, [Y, Z, P, Q]);
    return state;
  };

  test("A-5 example of the proposal: exactly its tuples, and one class for what both have", () => {
    expect(table(proposal())).toEqual([
      `${X}: ${A}`,
      `${Y}: ${A} ${B}`,
      `${Z}: ${B}`,
      `${N},${M}: ${A}`,
      `${P},${Q}: ${B}`,
    ]);
  });

  test("A-6 then typed fentry on N: N becomes a single with A and C, in one move, and comes back", () => {
    const state = proposal();
    const before = table(state);
    const plan = attach(state, [N], { typed: true });
    expect(table(state)).toEqual([
      `${X}: ${A}`,
      `${Y}: ${A} ${B}`,
      `${Z}: ${B}`,
      `${N}: ${A} ${C} !`,
      `${M}: ${A}`,
      `${P},${Q}: ${B}`,
    ]);
    expect(plan.moves).toMatchObject([
      { kind: "made", before: { links: Int32Array.of(A) }, after: { links: Int32Array.of(A, C) } },
    ]);
    expect(detach(state, C).moves).toMatchObject([{ kind: "merged" }]);
    expect(table(state)).toEqual(before);
  });

  test("A-7 fentry first: N stays a single with both, M gets a class", () => {
    const state = new MultiState(functionsOfModels([0, 0]));
    attach(state, [0], { typed: true });
    attach(state, [0, 1], { kind: "fexit" });
    expect(table(state)).toEqual([`0: ${A} ${B} !`, `1: ${B}`]);
  });

  test("A-8 fentry after multi, then detach multi: the typed program stays on its function alone", () => {
    const state = new MultiState(functionsOfModels([0, 0, 0]));
    attach(state, [0, 1, 2]);
    attach(state, [1], { typed: true });
    detach(state, A);
    expect(table(state)).toEqual(["1: 0 !"]);
    detach(state, B);
    expect(state.classes).toBe(0);
  });

  test("A-9 all 15 non-empty subsets of {entry1, exit1, entry2, exit2}: each program is in the classes of its functions", () => {
    const random = randomNumbers(9);
    for (let subset = 1; subset < 16; subset++) {
      const state = new MultiState(roundOfModels(10, 3));
      const sets: number[][] = [];
      for (let bit = 0; bit < 4; bit++) {
        if (((subset >> bit) & 1) === 0) continue;
        const half = range(0, 10)
          .map((id) => ({ id, key: random() }))
          .sort((a, b) => a.key - b.key)
          .slice(0, 5)
          .map(({ id }) => id);
        sets.push(half);
        attach(state, half, { kind: bit % 2 === 0 ? "fentry" : "fexit" });
      }
      const hits = sets.map(() => 0);
      for (const { functions, links } of classTable(state)) for (const link of links) hits[link]! += functions.length;
      expect(hits).toEqual(sets.map(({ length }) => length));
    }
  });

  test("A-10 detach order: in all 6 orders the system is empty in the end", () => {
    for (const order of [
      [A, B, C],
      [A, C, B],
      [B, A, C],
      [B, C, A],
      [C, A, B],
      [C, B, A],
    ]) {
      const state = new MultiState(roundOfModels(40, 3));
      attach(state, range(0, 25));
      attach(state, range(10, 40), { kind: "fexit" });
      attach(state, range(5, 15), { kind: "fsession" });
      for (const link of order) detach(state, link);
      expect([state.classes, state.attached, state.links.size]).toEqual([0, 0, 0]);
      expect(range(0, 40).every((id) => state.classOf(id) === NO_CLASS)).toBe(true);
    }
  });

  const COUNT = 24;
  const history = fc.array(
    fc.record({
      functions: fc.uniqueArray(fc.nat(COUNT - 1), { minLength: 1, maxLength: COUNT }),
      kind: fc.constantFrom("fentry", "fexit", "fsession"),
      typed: fc.boolean(),
      /** Which of the links goes instead, if any. */
      detach: fc.option(fc.nat(9), { nil: undefined }),
    }),
    { maxLength: 14 },
  );

  test("A-11 history independence: after any history the table is the one built from scratch, and undoing each step leads back exactly", () => {
    fc.assert(
      fc.property(history, fc.nat(3), (steps, models) => {
        const facts = roundOfModels(COUNT, models + 1);
        const state = new MultiState(facts);
        const live = new Map<number, PlainLink>();
        const undo: [number, string, () => void][] = [];
        const apply = (plan: MultiPlan): void =>
          void undo.push([hashState(state), JSON.stringify(classTable(state)), applyPlan(state, plan)]);
        for (const { detach, ...step } of steps) {
          const going = detach === undefined ? undefined : [...live.keys()][detach];
          if (going !== undefined) {
            apply(planDetach(state, going));
            live.delete(going);
          } else {
            const plan = planAttach(state, { ...step, program: programs++ });
            live.set(plan.link.id, step);
            apply(plan);
          }
          const rows = tableFromScratch(facts, [...live.values()]);
          expect(classTable(state)).toEqual(rows);
          expect(state.classes).toBe(rows.length);
        }
        for (const [hash, rows, back] of undo.reverse()) {
          back();
          expect([hashState(state), JSON.stringify(classTable(state))]).toEqual([hash, rows]);
        }
      }),
      { numRuns: 150 },
    );
  });

  test("A-12 merge on detach: 15 classes, then 6, then 3", () => {
    const state = new MultiState(roundOfModels(30, 3));
    attach(state, range(0, 20));
    attach(state, range(10, 30));
    attach(state, range(5, 15));
    expect(state.classes).toBe(15);
    detach(state, B);
    expect(state.classes).toBe(6);
    detach(state, C);
    expect(state.classes).toBe(3);
  });

  test("A-24 cookies after split/merge: a link's column is the same object all the time", () => {
    const state = new MultiState(roundOfModels(10, 2));
    attach(state, range(0, 10), { cookies: range(0, 10).map((i) => BigInt(100 - i)) });
    const { cookies } = state.links.get(A)!;
    attach(state, range(3, 6));
    expect(state.links.get(A)!.cookies).toBe(cookies);
    detach(state, B);
    expect(state.links.get(A)!.cookies).toBe(cookies);
    expect(cookies).toEqual(BigUint64Array.from(range(0, 10), (i) => BigInt(100 - i)));
  });

  test("A-27 modify-return on one member: a typed fmod_ret takes its function out of the class", () => {
    const state = new MultiState(roundOfModels(4, 1));
    attach(state, range(0, 4));
    attach(state, [2], { kind: "fmod_ret", typed: true });
    expect(table(state)).toEqual(["0,1,3: 0", "2: 0 1 !"]);
  });

  test("functions of one typed link that have the same links without it become one class again", () => {
    const state = new MultiState(roundOfModels(4, 1));
    attach(state, [0, 1, 2]);
    attach(state, range(0, 4), { typed: true });
    expect(state.classes).toBe(4);
    const plan = detach(state, B);
    expect(plan.moves.map(({ kind }) => kind)).toEqual(["renamed", "merged", "merged", "left"]);
    expect(table(state)).toEqual(["0,1,2: 0"]);
  });

  test("a plan is good for the state it was made in", () => {
    const state = new MultiState(roundOfModels(4, 1));
    const plan = planAttach(state, { kind: "fentry", program: 1, functions: [0] });
    const hash = hashState(state);
    const undo = applyPlan(state, plan);
    expect(() => applyPlan(state, plan)).toThrow(/a plan for an earlier state \(EAGAIN\)/);
    undo();
    expect(hashState(state)).toBe(hash);
    applyPlan(state, plan);
    expect(state.attached).toBe(1);
  });

  test("a state follows functions that come later", () => {
    const facts = { ...roundOfModels(2, 1) };
    const state = new MultiState(facts);
    attach(state, [1]);
    Object.assign(facts, roundOfModels(5, 1));
    attach(state, [4]);
    expect(table(state)).toEqual(["1: 0", "4: 1"]);
  });
});

describe("what it costs", () => {
  test("A-32 scale: 50,000 functions, 8 links; each attach looks at the functions of its request and the classes they are in", () => {
    const random = randomNumbers(32);
    const COUNT = 50_000;
    const state = new MultiState(roundOfModels(COUNT, 12));
    const order: number[] = [];
    for (let link = 0; link < 8; link++) {
      const density = 1 + (random() % 4);
      const functions = range(0, COUNT).filter(() => random() % 5 < density);
      const touched = new Set(functions.map((id) => state.classOf(id)));
      touched.delete(NO_CLASS);
      const { cost, moves } = attach(state, functions);
      expect(cost.functions).toBe(functions.length);
      expect(cost.classes).toBe(touched.size);
      expect(moves.length).toBeLessThanOrEqual(touched.size + 12);
      expect(cost.links).toBeLessThanOrEqual(moves.length * (link + 1));
      order.push(link);
    }
    expect(state.classes).toBeGreaterThan(1000);
    // A small request stays small, however much there is.
    const { cost } = attach(state, [5, 40_000, 17]);
    expect([cost.functions, cost.classes <= 3, cost.links <= 27]).toEqual([3, true, true]);
    detach(state, 8);
    for (const link of order) {
      const { functions } = state.links.get(link)!;
      const touched = new Set(Array.from(functions, (id) => state.classOf(id))).size;
      const { cost } = detach(state, link);
      expect([cost.functions, cost.classes]).toEqual([functions.length, touched]);
    }
    expect([state.classes, state.attached]).toEqual([0, 0]);
  });

  test("A-32 memory: 8 links with cookies on 50,000 functions take 12 bytes per function of each", () => {
    const state = new MultiState(roundOfModels(50_000, 12));
    for (let link = 0; link < 8; link++) attach(state, range(0, 50_000), { cookies: range(0, 50_000).map(BigInt) });
    expect(state.bytes).toBe(50_000 * (4 + 8 * 12) + 12 * 300);
  });

  test("three designs for one plan: images, entries and rows", () => {
    const state = new MultiState(roundOfModels(45, 3));
    attach(state, range(0, 30));
    const plan = planAttach(state, { kind: "fexit", program: -1, functions: range(25, 45) });
    expect(Object.values(MULTI_STRATEGIES).map((strategy) => strategy.needs(state, plan))).toEqual([
      { images: 6, retired: 0, pokes: 20, rows: 0, waits: 0 },
      { images: 20, retired: 5, pokes: 20, rows: 0, waits: 1 },
      { images: 0, retired: 0, pokes: 15, rows: 20, waits: 1 },
    ]);
    applyPlan(state, plan);
    expect(Object.values(MULTI_STRATEGIES).map((strategy) => strategy.images(state))).toEqual([9, 45, 3]);
    const last = planDetach(state, A);
    expect(MULTI_STRATEGIES.shared.needs(state, last)).toMatchObject({ images: 0, retired: 6, pokes: 30 });
    expect(MULTI_STRATEGIES.global.needs(state, last)).toMatchObject({ images: 0, retired: 0, pokes: 25 });
    applyPlan(state, last);
    expect(MULTI_STRATEGIES.global.needs(state, planDetach(state, B))).toMatchObject({ retired: 3, pokes: 20 });
  });
});
