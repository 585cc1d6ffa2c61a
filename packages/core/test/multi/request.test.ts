import { describe, expect, test } from "vitest";
import { BpfError } from "../../src/errors.ts";
import { applyPlan } from "../../src/multi/apply.ts";
import { FunctionFlag } from "../../src/multi/facts.ts";
import { orderFunctions } from "../../src/multi/order.ts";
import { planAttach } from "../../src/multi/plan.ts";
import { MAX_MULTI_FUNCTIONS, type MultiRequest, refusalsOf } from "../../src/multi/request.ts";
import { MultiState } from "../../src/multi/state.ts";
import { hashState } from "../../src/multi/table.ts";
import { functionsOfModels, randomNumbers, range, roundOfModels } from "./functions.ts";

const { TRACEABLE, MAY_SLEEP } = FunctionFlag;

function attach(state: MultiState, request: Partial<MultiRequest>): void {
  applyPlan(state, planAttach(state, { kind: "fentry", program: 100, ...request }));
}

/** The error of a request, and that nothing has changed. */
function refused(state: MultiState, request: Partial<MultiRequest>): BpfError {
  const before = hashState(state);
  try {
    attach(state, request);
  } catch (error) {
    expect(error).toBeInstanceOf(BpfError);
    expect(hashState(state)).toBe(before);
    return error as BpfError;
  }
  throw new Error("not refused");
}

describe("refusals name the function, its place and the reason", () => {
  test("A-13 rollback, bad last id: the error names index 9", () => {
    const state = new MultiState(roundOfModels(20, 2));
    const { message, details, code } = refused(state, { functions: [...range(0, 9), 20] });
    expect([code, details.index]).toEqual(["unknown-symbol", 9]);
    expect(message).toBe("function 9 of 10, 20: no such function (ENOENT)");
    for (const id of [-1, 1.5, Number.NaN, 2 ** 40]) {
      expect(refused(state, { functions: [1, id, 0] }).details.index).toBe(1);
    }
  });

  test("A-14 rollback, capacity: a function that has 38 programs is named", () => {
    const state = new MultiState(roundOfModels(11, 1));
    for (let program = 0; program < 38; program++)
      attach(state, { functions: [10], program, typed: program % 2 === 0 });
    const { message, details, code } = refused(state, { functions: range(1, 11) });
    expect([code, details.index, details.function]).toEqual(["limit", 9, "f10"]);
    expect(message).toBe("function 9 of 10, 'f10': 39 links of at most 38, of which a session counts as two (E2BIG)");
  });

  test("A-18 duplicates: the second one is named, unless something is wrong before it", () => {
    const state = new MultiState(functionsOfModels([0, 0, 0, -1]));
    expect(refused(state, { functions: [2, 0, 1, 0, 2] }).message).toBe(
      "function 3 of 5, 'f0': it is listed before (EINVAL)",
    );
    expect(refused(state, { functions: [0, 1, 1, 3] }).details.index).toBe(2);
    expect(refused(state, { functions: [0, 3, 1, 1] }).details.index).toBe(1);
    expect(refused(state, { functions: [0, 3, 3, 0] }).details.index).toBe(1);
  });

  test("A-19 same program twice on a function: the whole second link is refused", () => {
    const state = new MultiState(roundOfModels(10, 2));
    attach(state, { functions: range(0, 5), program: 7 });
    const { message, details, code } = refused(state, { functions: [9, 8, 4, 3], program: 7 });
    expect([code, details.index]).toEqual(["argument", 2]);
    expect(message).toBe("function 2 of 4, 'f4': link 0 runs the same program there (EBUSY)");
    attach(state, { functions: [9, 8], program: 7 });
  });

  test("A-20 argument errors: invalid four times, too big once", () => {
    const state = new MultiState(roundOfModels(10, 2));
    const cookies = [1n];
    const errors: [Partial<MultiRequest>, string][] = [
      [{ functions: [] }, "argument: no functions (EINVAL), expected functions or a pattern"],
      [{}, "argument: no functions (EINVAL), expected functions or a pattern"],
      [{ functions: [1], pattern: "f*" }, "argument: functions and a pattern (EINVAL), expected one of them"],
      [{ pattern: "f*", cookies }, "argument: cookies and a pattern (EINVAL), expected cookies with functions"],
      [
        { pattern: "g*" },
        "argument: no function for 'g*' (EINVAL), expected a pattern of functions that can be traced",
      ],
      [
        { functions: new Int32Array(MAX_MULTI_FUNCTIONS + 1) },
        "limit: 1048577 functions (E2BIG), expected at most 1048576",
      ],
      [{ functions: [1, 2], cookies }, "argument: 1 cookies for 2 functions (EINVAL), expected one for each"],
      [
        { functions: [1], kind: "fmod_ret" },
        "argument: fmod_ret for functions of any type (EINVAL), expected fentry, fexit or fsession",
      ],
    ];
    for (const [request, message] of errors) {
      const { code, message: found } = refused(state, request);
      expect(`${code}: ${found}`).toBe(message);
    }
  });

  test("A-21 sleepable: the function that may not sleep is named", () => {
    const flags = Uint8Array.of(TRACEABLE | MAY_SLEEP, TRACEABLE, 0);
    const state = new MultiState(functionsOfModels([0, 0, 0], { flags }));
    expect(refused(state, { functions: [0, 1], sleepable: true }).message).toBe(
      "function 1 of 2, 'f1': the program may sleep, the function may not (EINVAL)",
    );
    attach(state, { functions: [0], sleepable: true });
    attach(state, { functions: [0, 1], program: 1 });
  });

  test("A-25 session: it needs two places; with one left it is refused, with two it is taken", () => {
    const state = new MultiState(roundOfModels(2, 1));
    for (let program = 0; program < 36; program++) attach(state, { functions: [0], program });
    attach(state, { functions: [1], program: 50 });
    const before = planAttach(state, { kind: "fsession", program: 99, functions: [0, 1] });
    expect(before.moves.length).toBe(2);
    attach(state, { functions: [0], program: 37 });
    const { code, details } = refused(state, { functions: [1, 0], kind: "fsession", program: 99 });
    expect([code, details.index]).toEqual(["limit", 1]);
  });

  test("A-28 extension conflict: what the facts say is busy is refused, with the reason", () => {
    const busy = (id: number): string | undefined => (id === 1 ? "'ext' replaces it" : undefined);
    const state = new MultiState(functionsOfModels([0, 0], { busy }));
    expect(refused(state, { functions: [0, 1] }).message).toBe("function 1 of 2, 'f1': 'ext' replaces it (EBUSY)");
  });

  test("what cannot be traced, and what has too many arguments", () => {
    const state = new MultiState(functionsOfModels([0, -1], { flags: Uint8Array.of(0, TRACEABLE) }));
    expect(refused(state, { functions: [0] }).message).toBe("function 0 of 1, 'f0': it cannot be traced (EINVAL)");
    expect(refused(state, { functions: [1] }).message).toBe(
      "function 0 of 1, 'f1': its arguments take more words than a trampoline hands on (ENOTSUPP)",
    );
  });

  test("all refusals of a request, in its order", () => {
    const flags = Uint8Array.of(TRACEABLE, 0, TRACEABLE, TRACEABLE);
    const state = new MultiState(functionsOfModels([0, 0, -1, 0], { flags }));
    const refusals = refusalsOf(state, { kind: "fentry", program: 1, functions: [3, 2, 3, 1, 0] });
    expect(refusals.map(({ index, function: id, code }) => [index, id, code])).toEqual([
      [1, 2, "unsupported"],
      [2, 3, "argument"],
      [3, 1, "argument"],
    ]);
  });
});

describe("which functions a request names", () => {
  test("A-23 cookies absent: the cookie is 0, and one cookie where all are equal", () => {
    const state = new MultiState(roundOfModels(4, 1));
    attach(state, { functions: [3, 1] });
    attach(state, { functions: [3, 1], cookies: [5n, 5n], program: 1 });
    attach(state, { functions: [3, 1], cookies: [6n, 5n], program: 2 });
    expect([...state.links.values()].map(({ cookies }) => cookies)).toEqual([0n, 5n, BigUint64Array.of(5n, 6n)]);
  });

  test.each([
    ["tcp_*", ["tcp_send", "tcp_v4_connect", "tcp_"]],
    ["*_v?_*", ["tcp_v4_connect"]],
    ["*", ["tcp_send", "tcp_v4_connect", "tcp_", "udp.send", "a"]],
    ["?", ["a"]],
    ["*.*", ["udp.send"]],
    ["*p*s*d", ["tcp_send", "udp.send"]],
    ["tcp_", ["tcp_"]],
  ])("the pattern %s", (pattern, expected) => {
    const names = ["tcp_send", "tcp_v4_connect", "tcp_", "udp.send", "a", "notrace"];
    const flags = Uint8Array.from(names, (name) => (name === "notrace" ? 0 : TRACEABLE));
    const state = new MultiState(functionsOfModels([0, 0, 0, 0, 0, 0], { flags, name: (id) => names[id]! }));
    const { functions } = planAttach(state, { kind: "fentry", program: 1, pattern });
    expect(Array.from(functions, (id) => names[id])).toEqual(expected);
  });

  test("functions in any order come into order, with the places they had", () => {
    const random = randomNumbers(5);
    for (const [count, highest] of [
      [10, 5],
      [3000, 2 ** 31 - 1],
      [5000, 100_000],
      [300, 2048],
      [100, 2047],
    ] as const) {
      const ids = Array.from({ length: count }, () => random() % highest);
      const { functions, places } = orderFunctions(ids);
      const expected = ids.map((id, place) => ({ id, place })).sort((a, b) => a.id - b.id || a.place - b.place);
      expect([...functions]).toEqual(expected.map(({ id }) => id));
      expect([...places!]).toEqual(expected.map(({ place }) => place));
    }
    expect(orderFunctions([1, 5, 2 ** 31 - 1])).toEqual({
      functions: Int32Array.of(1, 5, 2 ** 31 - 1),
      places: undefined,
    });
  });
});
