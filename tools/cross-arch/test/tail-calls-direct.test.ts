// Direct tail calls in real machine code: what happens to the code when slots change, programs go, and steps fail.
import { arm64 } from "@bpfkit/arm64";
import {
  assemble,
  type Backend,
  type Engine,
  interpreter,
  jit,
  type Pass,
  patch,
  TAIL_CALL_SCHEMES,
} from "@bpfkit/core";
import type { LoadedProgram } from "@bpfkit/kernel";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";
import { tailCall, type World, world } from "../../../packages/kernel/test/support/tail-calls.ts";

const BACKENDS: readonly Backend[] = [x86_64, arm64, riscv64];

const TAIL_CALL_HELPER = 12;
/** Instructions that the pass puts before each tail call. */
const ADDED = 50;

/** Puts instructions that do nothing of note before each tail call. */
const padTailCalls: Pass = {
  name: "pad-tail-calls",
  run(list) {
    const padding = assemble(`${"r4 = 1\n".repeat(ADDED)}exit`).insns.words.subarray(0, 2 * ADDED);
    for (const at of list) {
      const [code, imm] = [list.code(at), list.imm(at)];
      if (code === 0x85 && imm === TAIL_CALL_HELPER) list.prepend(at, padding);
    }
  },
};

const directEngine = (backend: Backend): Engine => jit(backend, { layout: { directTailCalls: true } });

function result(program: LoadedProgram): number | undefined {
  return program.run({ budget: 10_000 }).returnValue;
}

/** A direct tail call in the entry and one in a subprogram, through slots 0 and 1; what each would give is added up. */
function caller({ load }: World, name: string): LoadedProgram {
  return load(name, `r6 = r1\ncall sub\nr1 = r6\n${tailCall(0)}\nr0 = 1\nexit\nsub:\n${tailCall(1)}\nr0 = 0\nexit`);
}

/** All code of the programs as it is in memory. */
function textOf({ kernel }: World, programs: readonly LoadedProgram[]): number[][] {
  return programs.map(({ executable: { image, imageAddress = 0n } }) => [
    ...kernel.memory.view(imageAddress, image!.code.length),
  ]);
}

describe.each(BACKENDS.map((backend) => [backend.arch, backend] as const))(
  "direct tail calls on %s",
  (_arch, backend) => {
    test("B-14 descriptor after patching: its index is the instruction's new one, and updates work", () => {
      const made = world(directEngine(backend));
      const plain = made.program("one", `${tailCall(0)}\n${tailCall(1)}\nr0 = 1\nexit`);
      const patched = patch(plain, [padTailCalls]);
      const [before, after] = [plain, patched].map((program) =>
        backend.compile(program, { layout: { directTailCalls: true } }),
      );
      const insns = (image: typeof before): number[] => image!.pokes.map(({ insn }) => insn);
      expect(insns(before).length).toBe(2);
      expect(insns(after)).toEqual(insns(before).map((insn, i) => insn + ADDED * (i + 1)));
      expect(insns(after).map((insn) => patched.program.insns.imm(insn))).toEqual([TAIL_CALL_HELPER, TAIL_CALL_HELPER]);
      const program = made.kernel.load(patched);
      const results = [result(program)];
      made.table.set(1, made.load("f", "r0 = 2\nexit"));
      results.push(result(program));
      made.table.set(0, made.load("g", "r0 = 3\nexit"));
      results.push(result(program));
      made.table.delete(0);
      results.push(result(program));
      expect(results).toEqual([1, 2, 3, 2]);
    });

    test("B-15 program release: an update touches nothing of a program that is gone", () => {
      const made = world(directEngine(backend));
      const [one, two] = [caller(made, "one"), caller(made, "two")];
      const f = made.load("f", "r0 = 5\nexit");
      const fresh = textOf(made, [one, two]);
      made.table.set(0, f);
      expect([result(one), result(two)]).toEqual([5, 5]);
      const filled = textOf(made, [two])[0];
      expect(filled).not.toEqual(fresh[1]);
      two.release();
      made.table.delete(0);
      expect(textOf(made, [one, two])).toEqual([fresh[0], filled]);
      expect(result(one)).toBe(1);
      one.release();
      made.table.set(0, f);
      expect(made.kernel.textSites.filter(({ owner }) => owner !== "f")).toEqual([]);
    });

    test("the code of a slot that was filled and emptied is byte for byte what it was", () => {
      const made = world(directEngine(backend));
      const one = caller(made, "one");
      const [f, g] = [made.load("f", "r0 = 5\nexit"), made.load("g", "r0 = 6\nexit")];
      const fresh = textOf(made, [one]);
      made.table.set(0, f);
      const filled = textOf(made, [one]);
      made.table.set(0, g);
      made.table.set(0, f);
      expect(textOf(made, [one])).toEqual(filled);
      made.table.delete(0);
      expect(textOf(made, [one])).toEqual(fresh);
      const late = caller(made, "late");
      made.table.set(1, f);
      expect(result(late)).toBe(1);
    });

    test("a step that fails leaves map and code as they were, whichever it is", () => {
      const made = world(directEngine(backend));
      const programs = [caller(made, "one"), caller(made, "two")];
      const members = [undefined, made.load("f", "r0 = 5\nexit"), made.load("g", "r0 = 6\nexit")];
      const expected = [1, 5, 6];
      let failures = 0;
      for (const from of [0, 1]) {
        for (const to of [0, 1, 2]) {
          for (let failing = 0; ; failing++) {
            for (const _ of made.table.changing(0, members[from]));
            const before = textOf(made, programs);
            const operation = made.table.changing(0, members[to]);
            let step = operation.next();
            for (let i = 0; i < failing && step.done !== true; i++) step = operation.next();
            if (step.done === true) break;
            failures++;
            let kept = to;
            try {
              for (step = operation.throw(new Error("no")); step.done !== true; ) step = operation.next();
            } catch {
              kept = from;
              expect(textOf(made, programs)).toEqual(before);
            }
            expect(made.table.get(0)).toBe(members[kept]);
            for (const program of programs) expect(result(program)).toBe(expected[kept]);
          }
        }
      }
      expect(failures).toBeGreaterThan(20);
    });

    const schemes = backend.capabilities.tailCallSchemes.filter((name) => !TAIL_CALL_SCHEMES[name].subprogs);
    test.runIf(schemes.length > 0)(
      "B-13 reachable flag: what a way of counting cannot do is rejected at load, and leaves nothing",
      () => {
        for (const tailCalls of schemes) {
          const made = world(jit(backend, { layout: { tailCalls } }));
          const before = made.kernel.memory.hash();
          expect(() => caller(made, "one")).toThrow(/tail call/);
          expect(made.kernel.memory.hash()).toBe(before);
          expect([made.table.owner, made.kernel.textSites]).toEqual([undefined, []]);
          expect(result(made.load("flat", `${tailCall(0)}\nr0 = 1\nexit`))).toBe(1);
        }
      },
    );

    test("what the interpreter says, direct and indirect code say, whatever is in the slots", () => {
      const compiled = [false, true].map((directTailCalls) => jit(backend, { layout: { directTailCalls } }));
      const engines = [interpreter, ...compiled];
      const seen = engines.map((engine) => {
        const made = world(engine);
        const one = caller(made, "one");
        const members = [5, 6, 7].map((value) => made.load(`f${value}`, `r0 = ${value}\nexit`));
        return [0, 1, 0, 1, 1, 0, 0].map((slot, i) => {
          const member = members[i % 4];
          if (member === undefined) made.table.delete(slot);
          else made.table.set(slot, member);
          return result(one);
        });
      });
      expect(seen[0]).toEqual([5, 5, 7, 7, 7, 6, 7]);
      expect(seen.slice(1)).toEqual([seen[0], seen[0]]);
    });
  },
);
