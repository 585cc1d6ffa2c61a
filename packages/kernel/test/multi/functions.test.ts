// Rows of the table of functions: subprograms of programs that have gone make room for others.
import { type ArgPlaces, FunctionFlag, parseFuncModel } from "@bpfkit/core";
import { expect, test } from "vitest";
import { FunctionTable } from "../../src/multi/functions.ts";
import type { Resident } from "../../src/resident.ts";
import { Target } from "../../src/tracing/target.ts";

const places = (words: number): ArgPlaces => {
  const word = { size: 8, signed: false } as const;
  const slots = Array.from(
    { length: words },
    (_, index) => ({ ...word, in: "register", index, clear: false }) as const,
  );
  return { slots, registers: words, stack: 0, result: word };
};

/** A subprogram of a program of which only its type and structure are asked. */
function subprog(name: string, words: number, tailCallReachable = false): Target {
  const program = { type: "xdp", verified: { structure: { subprogs: [{ name, tailCallReachable }] } } };
  const shape = { model: parseFuncModel(`u64 (${"u64, ".repeat(words).slice(0, -2)})`), places: places(words) };
  const site = { address: 64n, size: 5, kind: "entry", owner: name, subprog: 0, state: { kind: "nop" } } as const;
  return new Target(name, shape, 64n, site, { program: program as unknown as Resident, subprog: 0 });
}

test("a row of a subprogram that has gone is nothing to attach to, and then another's", () => {
  const table = new FunctionTable();
  const targets = [1, 2, 3].map((words) => subprog(`s${words}`, words));
  for (const target of targets) table.add(target);
  expect([targets.map(({ id }) => id), table.count]).toEqual([[0, 1, 2], 3]);
  table.remove(targets[1]!);
  expect([table.flags[1]! & FunctionFlag.TRACEABLE, table.flags[2]! & FunctionFlag.TRACEABLE]).toEqual([0, 1]);
  const next = subprog("next", 3);
  table.add(next);
  expect([next.id, table.count, table.name(1), table.models[1] === table.models[2]]).toEqual([1, 3, "next", true]);
});

test("subprograms from which tail calls are reached do not share with others", () => {
  const table = new FunctionTable();
  for (const target of [subprog("a", 2), subprog("b", 2, true), subprog("c", 2)]) table.add(target);
  const [a, b, c] = table.models;
  expect([a === c, a === b, table.shapeOf(a!).tailCalls, table.shapeOf(b!).tailCalls]).toEqual([
    true,
    false,
    false,
    true,
  ]);
});
