import { BpfError } from "@bpfkit/core";
import type { LoadedProgram, Operation, Step } from "@bpfkit/kernel";
import { describe, expect, test } from "vitest";
import { tailCall, type World, world } from "../support/tail-calls.ts";
import { LANDING, siteState, textEngine } from "../support/text-engine.ts";

const CALLEE = "r0 = 2\nexit";

/** Two programs with three direct tail calls through slot 0, and one through slot 1. */
function callers({ load }: World): LoadedProgram[] {
  return [
    load("one", `${tailCall(0)}\n${tailCall(1)}\nr0 = 1\nexit`),
    load("two", `call sub\nexit\nsub:\n${tailCall(0)}\n${tailCall(0)}\nr0 = 1\nexit`),
  ];
}

/** What code says of each slot: the entry that its direct tail calls lead to, in words, or how they contradict one another. */
function shown({ kernel }: World, program: LoadedProgram, key: number): string[] {
  const { image, imageAddress = 0n } = program.executable;
  return image!.pokes
    .filter((poke) => poke.key === key)
    .map(({ bypass, target }) => {
      const bytes = (offset: number, size: number): Uint8Array =>
        kernel.memory.view(imageAddress + BigInt(offset), size);
      const [from, to] = [bypass, target].map(({ offset, size }) => siteState(bytes(offset, size))) as [
        ReturnType<typeof siteState>,
        ReturnType<typeof siteState>,
      ];
      const behind = imageAddress + BigInt(target.offset + target.size);
      if (from.kind === "jump" && from.target === behind && to.kind === "nop") return "nothing";
      if (from.kind === "nop" && to.kind === "jump") return `0x${to.target.toString(16)}`;
      return `${from.kind} and ${to.kind}`;
    });
}

function entryOf(program: LoadedProgram | undefined): string {
  if (program === undefined) return "nothing";
  const { image, imageAddress = 0n } = program.executable;
  return `0x${(imageAddress + BigInt(image!.subprogs[0]!.start + LANDING)).toString(16)}`;
}

/** What map, guest memory, descriptors and table of sites tell, and what they should. */
function expectAgreement(made: World, programs: readonly LoadedProgram[]): void {
  const { kernel, table } = made;
  const { memory } = kernel;
  const found: unknown[] = [];
  const wanted: unknown[] = [];
  for (const slot of [0, 1]) {
    const program = table.get(slot);
    const object = memory.load(8, kernel.map("table").address + 0x130n + 8n * BigInt(slot));
    found.push(object === 0n ? undefined : memory.load(8, object + 0x48n));
    wanted.push(program?.executable.subprogAddress(0));
    for (const caller of programs) {
      const entries = shown(made, caller, slot);
      found.push(entries);
      wanted.push(entries.map(() => entryOf(program)));
    }
  }
  for (const { address, size, state } of kernel.textSites) {
    found.push(siteState(memory.view(address, size)));
    wanted.push(state);
  }
  expect(found).toEqual(wanted);
}

/** Steps in words. */
function words(operation: Operation<unknown>): string[] {
  const steps: string[] = [];
  for (const step of operation) steps.push(wordOf(step));
  return steps;
}

function wordOf(step: Step): string {
  return step.kind === "write" ? step.what : step.kind;
}

/** The steps without those inside the rewriting of one site. */
function outline(steps: readonly string[]): string[] {
  return steps.filter((step, i) => step !== "sync-cores" && step !== steps[i - 1] && step !== steps[i - 2]);
}

describe("updates of a prog array", () => {
  test("change all direct tail calls through the slot, of all programs, and no others", () => {
    const made = world(textEngine());
    const programs = callers(made);
    const [f, g] = [made.load("f", CALLEE), made.load("g", CALLEE)];
    expectAgreement(made, programs);
    for (const [slot, program] of [
      [0, f],
      [1, g],
      [0, g],
      [0, undefined],
      [1, f],
      [0, f],
      [1, undefined],
    ] as const) {
      if (program === undefined) made.table.delete(slot);
      else made.table.set(slot, program);
      expectAgreement(made, programs);
    }
  });

  test("go in the order in which nobody meets a tail call that leaves its frame for nowhere", () => {
    const made = world(textEngine());
    made.load("one", `${tailCall(0)}\nr0 = 1\nexit`);
    const [f, g] = [made.load("f", CALLEE), made.load("g", CALLEE)];
    const { table } = made;
    const slot = "slot 0 of 'table'";
    const [bypass, target] = ["bypass site of 'one'", "target site of 'one'"];
    expect(outline(words(table.changing(0, f)))).toEqual(["lock", slot, target, bypass, "unlock"]);
    expect(outline(words(table.changing(0, g)))).toEqual(["lock", slot, target, "unlock"]);
    expect(outline(words(table.changing(0)))).toEqual(["lock", slot, bypass, "wait-readers", target, "unlock"]);
  });

  test("from nothing to nothing, and from a program to itself, write nothing and wait for nothing", () => {
    const made = world(textEngine());
    callers(made);
    const f = made.load("f", CALLEE);
    const before = made.kernel.ledger;
    expect(words(made.table.changing(0))).toEqual(["lock", "unlock"]);
    expect(made.kernel.ledger).toEqual(before);
    made.table.set(0, f);
    const filled = made.kernel.ledger;
    expect(words(made.table.changing(0, f))).toEqual(["lock", "unlock"]);
    expect(made.kernel.ledger).toEqual(filled);
  });

  test("cost what the ledger says: each site once, and the syncs of one and one wait however many tail calls there are", () => {
    const made = world(textEngine());
    made.load("many", `${Array.from({ length: 100 }, () => tailCall(0)).join("\n")}\nr0 = 1\nexit`);
    made.table.set(0, made.load("f", CALLEE));
    expect(made.kernel.ledger).toMatchObject({ pokes: 200, writes: 600, bytes: 200 * 9, waits: 0 });
    made.table.delete(0);
    expect(made.kernel.ledger).toMatchObject({ pokes: 400, writes: 1200, bytes: 400 * 9, waits: 1 });
  });

  test("leave no trace, or are complete, whichever step fails", () => {
    let failures = 0;
    const made = world(textEngine());
    const programs = callers(made);
    const members = [undefined, made.load("f", CALLEE), made.load("g", CALLEE)];
    for (const from of members) {
      for (const to of members) {
        for (let failing = 0; ; failing++) {
          if (from === undefined) made.table.delete(0);
          else made.table.set(0, from);
          expectAgreement(made, programs);
          const operation = made.table.changing(0, to);
          const error = new Error(`step ${failing} fails`);
          let step = operation.next();
          for (let i = 0; i < failing && step.done !== true; i++) step = operation.next();
          if (step.done === true) break;
          const { kind } = step.value;
          const finish = (): void => {
            for (step = operation.throw(error); step.done !== true; ) step = operation.next();
          };
          if (kind === "unlock") finish();
          else expect(finish).toThrow(error);
          expect(made.table.get(0)).toBe(kind === "unlock" ? to : from);
          expectAgreement(made, programs);
          failures++;
        }
      }
    }
    expect(failures).toBeGreaterThan(100);
    // Nobody is held by what failed.
    made.table.delete(0);
    for (const member of members.slice(1)) {
      member!.release();
      expect(made.kernel.memory.allocationAt(member!.executable.imageAddress!)?.live).toBe(false);
    }
  });

  test("also when the steps that take back fail", () => {
    const made = world(textEngine());
    const programs = callers(made);
    const f = made.load("f", CALLEE);
    const operation = made.table.changing(0, f);
    for (let i = 0; i < 20; i++) operation.next();
    const fail = (): void => {
      for (let step = operation.throw(new Error("first")); step.done !== true; )
        step = operation.throw(new Error("again"));
    };
    expect(fail).toThrow("first");
    expect(made.table.get(0)).toBeUndefined();
    expectAgreement(made, programs);
  });

  test("refuse before anything is changed where somebody else wrote into the code", () => {
    const made = world(textEngine());
    const [one] = callers(made) as [LoadedProgram];
    const f = made.load("f", CALLEE);
    const { bypass } = one.executable.image!.pokes[0]!;
    const address = one.executable.imageAddress! + BigInt(bypass.offset);
    const [byte] = made.kernel.memory.view(address + 1n, 1);
    made.kernel.memory.write(address + 1n, Uint8Array.of(byte! ^ 1));
    const before = made.kernel.memory.view(one.executable.imageAddress!, one.executable.image!.code.length).slice();
    expect(() => made.table.set(0, f)).toThrow(/the bypass site of 'one' at 0x[0-9a-f]+ holds .* \(EBUSY\)/);
    expect(made.kernel.memory.view(one.executable.imageAddress!, before.length)).toEqual(before);
    expect([made.table.get(0), made.kernel.ledger.writes]).toEqual([undefined, 0]);
    made.kernel.memory.write(address + 1n, Uint8Array.of(byte!));
    made.table.set(0, f);
    expect(made.table.get(0)).toBe(f);
  });

  test("take out no program while runs may be in front of a target, unless they are driven step by step", () => {
    const made = world(textEngine());
    const [one] = callers(made) as [LoadedProgram];
    const [f, g] = [made.load("f", CALLEE), made.load("g", CALLEE)];
    made.table.set(0, f);
    using run = one.start();
    expect(() => made.table.delete(0)).toThrow("removal from slot 0 of prog array 'table' (EBUSY)");
    expect(made.table.get(0)).toBe(f);
    made.table.set(0, g); // waits for nobody
    expect(made.table.get(0)).toBe(g);
    expect(run.run(100)).toEqual({ kind: "returned", value: 2n });
    expect(made.table.delete(0)).toBe(true);
  });

  test("one at a time: a second one finds the mutex held", () => {
    const made = world(textEngine());
    callers(made);
    const [f, g] = [made.load("f", CALLEE), made.load("g", CALLEE)];
    const first = made.table.changing(0, f);
    first.next();
    first.next();
    expect(() => made.table.set(0, g)).toThrow("mutex of prog array 'table' is held (EBUSY)");
    for (const _ of first);
    made.table.set(0, g);
    expect(made.table.get(0)).toBe(g);
  });
});

describe("direct tail calls of a program that is loaded", () => {
  test("lead where the slots lead when the load ends", () => {
    const made = world(textEngine());
    const f = made.load("f", CALLEE);
    made.table.set(0, f);
    const programs = callers(made);
    expectAgreement(made, programs);
    made.table.set(1, f);
    expectAgreement(made, programs);
  });

  test("are left alone by updates until the load has put them right, then follow", () => {
    for (let between = 0; ; between++) {
      const made = world(textEngine());
      const [f, g] = [made.load("f", CALLEE), made.load("g", CALLEE)];
      made.table.set(0, f);
      const loading = made.kernel.loading(made.program("late", `${tailCall(0)}\n${tailCall(1)}\nr0 = 1\nexit`));
      let step = loading.next();
      for (let i = 0; i < between && step.done !== true; i++) step = loading.next();
      // While the load holds the mutex, an update would have to wait.
      let updated = false;
      try {
        made.table.set(0, g);
        updated = true;
      } catch (error) {
        expect(error).toBeInstanceOf(BpfError);
        expect(String(error)).toContain("is held (EBUSY)");
      }
      const wasLoaded = step.done === true;
      while (step.done !== true) step = loading.next();
      expect(made.table.get(0)).toBe(updated ? g : f);
      expectAgreement(made, [step.value]);
      if (wasLoaded) break;
    }
  });

  test("are all as before where a step of the load fails, and nothing is left of it", () => {
    for (let failing = 0; ; failing++) {
      const made = world(textEngine());
      const f = made.load("f", CALLEE);
      made.table.set(0, f);
      const [one] = callers(made) as [LoadedProgram];
      const sites = made.kernel.textSites.length;
      const loading = made.kernel.loading(made.program("late", `${tailCall(0)}\n${tailCall(1)}\nr0 = 1\nexit`));
      let step = loading.next();
      for (let i = 0; i < failing && step.done !== true; i++) step = loading.next();
      if (step.done === true) break;
      if (step.value.kind === "unlock") {
        for (step = loading.throw(new Error("ignored")); step.done !== true; ) step = loading.next();
        step.value.release();
      } else {
        const fail = (): void => {
          for (step = loading.throw(new Error("no")); step.done !== true; ) step = loading.next();
        };
        expect(fail).toThrow("no");
      }
      expect(made.kernel.textSites.length).toBe(sites);
      made.table.delete(0);
      made.table.set(1, f);
      expectAgreement(made, [one]);
    }
  });

  test("B-14 descriptor after patching: its index is the instruction's new one", () => {
    const made = world(textEngine());
    const padding = "r0 = 1\n".repeat(50);
    const program = made.load("one", `${padding}${tailCall(0)}\nr0 = 1\nexit`);
    expect(program.executable.image!.pokes.map(({ insn }) => insn)).toEqual([53]);
    made.table.set(0, made.load("f", CALLEE));
    expectAgreement(made, [program]);
  });

  test("B-15 program release: updates touch nothing of a program that is gone", () => {
    const made = world(textEngine());
    const { kernel, load, table } = made;
    const [one, two] = callers(made) as [LoadedProgram, LoadedProgram];
    const f = load("f", CALLEE);
    table.set(0, f);
    const { image, imageAddress = 0n } = two.executable;
    two.release();
    const [bytes, { pokes }] = [kernel.memory.view(imageAddress, image!.code.length).slice(), kernel.ledger];
    expect(kernel.textSites.some(({ owner }) => owner === "two")).toBe(false);
    table.delete(0);
    table.set(0, f);
    expect(kernel.ledger.pokes - pokes).toBe(4); // the two sites of the other program, twice
    expect(kernel.memory.view(imageAddress, bytes.length)).toEqual(bytes);
    expectAgreement(made, [one]);
    one.release();
    table.delete(0);
    expect(kernel.ledger.pokes - pokes).toBe(4);
    expect(kernel.textSites).toEqual([]);
  });
});
