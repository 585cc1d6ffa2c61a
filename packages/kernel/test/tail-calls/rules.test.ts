import { interpreter, type Program } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { le32 } from "../support/scripted.ts";
import { tailCall, type World, world } from "../support/tail-calls.ts";
import { textEngine } from "../support/text-engine.ts";

const RETURN = "r0 = 1\nexit";
/** A program with a subprogram that another one can replace. */
const WITH_SUB = `call sub\nexit\nsub:\nr0 = 1\nexit`;

function extension(
  { load }: World,
  name: string,
  target: ReturnType<World["load"]>,
  text = RETURN,
): ReturnType<World["load"]> {
  return load(name, text, { type: "ext" }, { target });
}

/** What an error says, hint included. */
function refusal(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    return String(error);
  }
  return "accepted";
}

describe("members of a prog array", () => {
  const others: readonly (readonly [string, Partial<Program>])[] = [
    ["program type", { type: "sched_cls" }],
    ["expected attach type", { attachType: "xdp_devmap" }],
    ["sleepable flag", { sleepable: true }],
    ["support for packets in fragments", { frags: true }],
  ];
  test.each(others)("B-11 callee compatibility: another %s is refused, with both programs named", (_what, rest) => {
    const { load, table } = world(interpreter);
    load("caller", `${tailCall(0)}\n${RETURN}`);
    const other = { ...rest, maps: [] };
    const callee = load("callee", RETURN, other);
    expect(() => table.set(0, callee)).toThrowErrorMatchingSnapshot();
    expect([table.get(0), table.size, table.owner?.program]).toEqual([undefined, 0, "caller"]);
  });

  test.each(others)(
    "B-11 callee compatibility: a caller with another %s is not loaded, and leaves nothing",
    (_what, rest) => {
      const { kernel, load, table } = world(interpreter);
      const member = load("member", RETURN, { maps: [] });
      table.set(0, member);
      const maps = kernel.maps.length;
      const spec = { ...kernel.map("counts").spec, name: "new" };
      expect(() => load("caller", RETURN, { ...rest, maps: [table.spec, spec] })).toThrow("(EINVAL)");
      expect(kernel.maps.length).toBe(maps);
      expect(table.owner?.program).toBe("member");
      expect(member.id + 1).toBe(load("next", RETURN).id);
    },
  );

  test("B-11 callee compatibility: the first program decides, by using the array or by joining it", () => {
    const { load, table } = world(interpreter);
    expect(table.owner).toBeUndefined();
    const sleepy = { maps: [], type: "syscall", sleepable: true };
    table.set(0, load("first", RETURN, sleepy));
    expect(table.owner).toEqual({
      program: "first",
      type: "syscall",
      jited: false,
      attachType: undefined,
      sleepable: true,
      frags: false,
    });
    table.set(1, load("second", RETURN, sleepy));
    expect(() => table.set(2, load("third", RETURN, { maps: [], type: "syscall" }))).toThrow("it may not sleep");
  });

  test("B-11 callee compatibility: a program that was refused does not decide", () => {
    const { kernel, load, table } = world(interpreter);
    const target = load("target", WITH_SUB, { maps: [] });
    kernel.extend(load("ext", RETURN, { type: "ext", maps: [] }, { target }), "sub");
    expect(() => table.set(0, target)).toThrow("EBUSY");
    expect(() => table.set(9, load("late", RETURN, { maps: [] }))).toThrow("E2BIG");
    expect([table.owner, table.size]).toEqual([undefined, 0]);
    table.set(0, load("other", RETURN, { maps: [], type: "sched_cls" }));
    expect(table.owner?.type).toBe("sched_cls");
  });

  test("B-9 extension as callee: refused", () => {
    const made = world(interpreter);
    const target = made.load("target", WITH_SUB);
    const ext = extension(made, "ext", target);
    expect(() => made.table.set(0, ext)).toThrowErrorMatchingSnapshot();
    made.kernel.extend(ext, "sub");
    expect(() => made.table.set(0, ext)).toThrow("(EINVAL)");
    expect(made.table.size).toBe(0);
  });

  test("B-9 extension: uses prog arrays as a program of the type that it extends", () => {
    const made = world(interpreter);
    const target = made.load("target", WITH_SUB, { type: "sched_cls" });
    expect(made.table.owner?.type).toBe("sched_cls");
    extension(made, "ext", target, `${tailCall(0)}\n${RETURN}`);
    const { load, table } = made;
    table.set(0, load("callee", RETURN, { type: "sched_cls" }));
    const other = load("other", WITH_SUB, { maps: [] });
    expect(() => extension(made, "wrong", other)).toThrow("it is of type xdp");
    const address = other.executable.subprogAddress(0);
    other.release();
    expect(made.kernel.memory.allocationAt(address)?.live).toBe(false);
  });
});

describe("extensions and prog arrays exclude each other", () => {
  test("B-8 extension loop: the second step is refused whichever comes first, and the cycle is printed", () => {
    const [first, second] = [world(interpreter), world(interpreter)].map((made) => {
      const entry = made.load("entry", WITH_SUB);
      const ext = extension(made, "ext", entry, `${tailCall(2)}\n${RETURN}`);
      return { ...made, entry, ext };
    }) as [
      World & Record<"entry" | "ext", ReturnType<World["load"]>>,
      World & Record<"entry" | "ext", ReturnType<World["load"]>>,
    ];
    first.kernel.extend(first.ext, "sub");
    expect(refusal(() => first.table.set(2, first.entry))).toMatchInlineSnapshot(`
      "BpfError: program 'entry' for table[2] (EBUSY): 'ext' replaces its subprogram sub

      the two exclude each other, because the count of tail calls would begin anew in each round of
        entry → sub → (freplace ext) → tail call table[2] → entry"
    `);
    expect([first.table.size, first.kernel.map("table").lookup(le32(2))]).toEqual([0, undefined]);
    second.table.set(2, second.entry);
    expect(refusal(() => second.kernel.extend(second.ext, "sub"))).toMatchInlineSnapshot(`
      "BpfError: 'ext' for sub of 'entry' (EBUSY): the program is in 1 slot of prog arrays

      the two exclude each other, because the count of tail calls would begin anew in each round of
        entry → sub → (freplace ext) → tail call table[2] → entry"
    `);
    expect(second.table.get(2)).toBe(second.entry);
  });

  test("B-8 extension loop: detaching, or leaving the array, lets the other in", () => {
    const made = world(interpreter);
    const entry = made.load("entry", WITH_SUB);
    const ext = extension(made, "ext", entry);
    const link = made.kernel.extend(ext, "sub");
    expect(link).toMatchObject({ program: "entry", subprog: "sub", extension: "ext", isAttached: true });
    link.detach();
    link.detach();
    expect(link.isAttached).toBe(false);
    made.table.set(0, entry);
    expect(() => made.kernel.extend(ext, "sub")).toThrow("EBUSY");
    made.table.delete(0);
    made.kernel.extend(ext, "sub");
    expect(() => made.table.set(0, entry)).toThrow("EBUSY");
  });

  test("B-8 extension loop: a program that is on its way into a slot cannot be extended, and cannot go", () => {
    const made = world(interpreter);
    const { kernel, load, table } = made;
    const entry = load("entry", WITH_SUB, { maps: [] });
    const ext = load("ext", RETURN, { type: "ext", maps: [] }, { target: entry });
    const others = [load("other", RETURN, { maps: [] }), load("third", RETURN, { maps: [] })];
    const [entering, failing] = [table.changing(0, entry), table.changing(1, others[0])];
    failing.next();
    entering.next();
    expect(refusal(() => kernel.extend(ext, "sub"))).toContain("tail call table[0] → entry");
    entry.release();
    expect(() => failing.throw(new Error("no"))).toThrow("no");
    expect(table.owner?.program).toBe("other"); // the other one is about to be a member, and fits
    for (const _ of entering);
    expect(table.get(0)).toBe(entry);
    const again = table.changing(0);
    again.next();
    expect(() => again.throw(new Error("no"))).toThrow("no");
    expect(table.owner?.program).toBe("other");
  });

  test("B-10 membership count: a program in two tables is a member until it is in none", () => {
    const made = world(interpreter);
    const { kernel, load, table } = made;
    const spec = { ...table.spec, name: "other" };
    kernel.createMap(spec);
    const other = kernel.progArray("other");
    const entry = load("entry", WITH_SUB);
    const ext = extension(made, "ext", entry);
    table.set(0, entry);
    table.set(0, entry);
    other.set(3, entry);
    other.set(2, entry);
    const tries: string[] = [];
    const attempt = (): void => void tries.push(refusal(() => kernel.extend(ext, "sub").detach()).split("\n")[0]!);
    attempt();
    table.delete(0);
    attempt();
    other.set(3, load("replacement", RETURN));
    attempt();
    other.delete(2);
    attempt();
    expect(tries).toEqual([
      "BpfError: 'ext' for sub of 'entry' (EBUSY): the program is in 3 slots of prog arrays",
      "BpfError: 'ext' for sub of 'entry' (EBUSY): the program is in 2 slots of prog arrays",
      "BpfError: 'ext' for sub of 'entry' (EBUSY): the program is in 1 slot of prog arrays",
      "accepted",
    ]);
  });

  test("one extension at a time replaces a subprogram, and only of its target", () => {
    const made = world(interpreter);
    const { kernel, load } = made;
    const entry = load("entry", WITH_SUB);
    const [one, two] = [extension(made, "one", entry), extension(made, "two", entry)];
    expect(() => kernel.extend(one, "nowhere")).toThrow(
      "subprogram 'nowhere' of 'entry' (EINVAL), expected entry, sub",
    );
    kernel.extend(one, 1);
    expect(() => kernel.extend(two, "sub")).toThrow("'two' for sub of 'entry' (EBUSY): 'one' replaces sub");
    expect(() => kernel.extend(entry, "sub")).toThrow("(EINVAL), expected a program of type ext");
    expect(() => kernel.extend(world(interpreter).load("far", RETURN))).toThrow("a live program of this kernel");
    kernel.extend(two, "entry");
  });

  test("an extension needs a target to be loaded, keeps it, and does not run by itself", () => {
    const made = world(interpreter);
    const { kernel, load } = made;
    const entry = load("entry", WITH_SUB);
    expect(() => load("ext", RETURN, { type: "ext" })).toThrow("without a target (EINVAL)");
    expect(() => load("plain", RETURN, {}, { target: entry })).toThrow("with a target (EINVAL)");
    const ext = extension(made, "ext", entry);
    expect(() => extension(made, "second", ext)).toThrow("no extension itself");
    expect(() => ext.run()).toThrow("a run of extension 'ext' (ENOTSUPP)");
    const address = entry.executable.subprogAddress(0);
    const isLive = (): boolean => kernel.memory.allocationAt(address)?.live === true;
    const link = kernel.extend(ext, "sub");
    entry.release();
    ext.release();
    expect(isLive()).toBe(true);
    link.detach();
    expect(isLive()).toBe(false);
  });
});

describe("loading programs with tail calls", () => {
  test("B-12 stack bound: 256 bytes of frames above a tail call are refused, 240 are not", () => {
    const { kernel, load } = world(interpreter);
    const text = (depth: number): string =>
      `*(u64 *)(r10 - ${depth}) = 0\ncall sub\nexit\nsub:\n${tailCall(0)}\nr0 = 1\nexit`;
    expect(load("fits", text(240)).run().returnValue).toBe(1);
    const before = kernel.memory.hash();
    expect(() => load("deep", text(248))).toThrowErrorMatchingSnapshot();
    expect(kernel.memory.hash()).toBe(before);
  });

  test("B-13 reachable flag: a program whose code cannot be made is rejected, and leaves nothing", () => {
    const engine = textEngine((name) => {
      if (name === "broken") throw new Error("no code");
    });
    const { kernel, load, table } = world(engine);
    const spec = { ...table.spec, name: "own" };
    const text = `call sub\nexit\nsub:\n${tailCall(0)}\nr0 = 1\nexit`;
    const before = kernel.memory.hash();
    const [maps, ledger] = [kernel.maps, kernel.ledger];
    expect(() => load("broken", text, { maps: [table.spec] })).toThrow("no code");
    expect(kernel.memory.hash()).toBe(before);
    expect(() => load("broken", text, { maps: [spec] })).toThrow("no code");
    expect(kernel.maps).toEqual(maps);
    expect([table.owner, kernel.textSites, kernel.ledger]).toEqual([undefined, [], ledger]);
    load("works", text);
    table.set(0, load("callee", "r0 = 2\nexit"));
    expect(kernel.ledger.pokes).toBe(2);
  });

  test("tail calls below a callback are refused by every engine", () => {
    const { load } = world(interpreter);
    const text = `r1 = 1\nr2 = subprog[cb]\nr3 = 0\nr4 = 0\ncall loop\nr0 = 0\nexit\ncb:\n${tailCall(0)}\nr0 = 0\nexit`;
    expect(() => load("main", text)).toThrow("a tail call within callback cb of 'main'");
  });
});
