// The scenarios of instruction patching: inserting, replacing and deleting, and everything that has to follow.
import { describe, expect, test } from "vitest";
import { Fact, noFacts } from "../../src/analysis/facts.ts";
import { formatProgram } from "../../src/asm/listing.ts";
import { assemble } from "../../src/asm/parse.ts";
import { BpfError } from "../../src/errors.ts";
import { Insns, packWord } from "../../src/isa/insns.ts";
import { interpreter } from "../../src/machine/interpreter.ts";
import { type Linearized, type LinearizeOptions, linearize } from "../../src/patch/linearize.ts";
import { PatchList } from "../../src/patch/list.ts";
import type { Metadata } from "../../src/patch/metadata.ts";
import { type Pass, patch } from "../../src/patch/patch.ts";
import type { LineInfo, Program } from "../../src/program.ts";
import { trust } from "../../src/trust.ts";
import { Surroundings } from "../support/programs.ts";
import { linearized, randomHistory } from "./histories.ts";
import { Naive } from "./naive.ts";

/** Words of some instructions, from text. */
function words(text: string): number[] {
  return Array.from(assemble(text).insns.words);
}

const TWO = words("r8 = 1\nr9 = 2");
const THREE = words("r7 = 1\nr8 = 2\nr9 = 3");

/** A program's listing without slots. */
function listing(program: Program): string[] {
  return formatProgram(program)
    .split("\n")
    .map((line) => line.replace(/^\s*\d+:\s*/, "").trim())
    .filter((line) => line !== "" && !line.endsWith(":") && !line.startsWith("."));
}

function edited(text: string, edit: (list: PatchList) => void, options?: LinearizeOptions): Linearized {
  const list = new PatchList(assemble(text));
  edit(list);
  return linearize(list, options);
}

/** r0 of a run in the interpreter, and the instructions it took. */
function runs(program: Program, ...args: bigint[]): { value: bigint; executed: number } {
  const execution = new Surroundings().start(interpreter, trust(program), { args });
  const stop = execution.run(1_000_000);
  if (stop.kind !== "returned") throw new Error(`${stop.kind}\n${formatProgram(program).slice(0, 2000)}`);
  return { value: stop.value, executed: execution.executed };
}

/** Lines that begin at these slots, numbered 1, 2, … in this order. */
function linesAt(...insn: number[]): LineInfo {
  const numbers = Uint32Array.from(insn, (_, index) => index + 1);
  const text = insn.map((_, index) => `line ${index + 1}`);
  return {
    insn: Uint32Array.from(insn),
    file: numbers.map(() => 0),
    line: numbers,
    column: numbers,
    text,
    files: ["a.c"],
  };
}

/** Lines as [slot, line]. */
function linesOf({ program }: Linearized): number[][] {
  return Array.from(program.lines!.insn, (insn, index) => [insn, program.lines!.line[index]!]);
}

function starts({ program }: Linearized): [string, number][] {
  return program.subprogs.map(({ name, start }) => [name, start]);
}

describe("inserting and replacing", () => {
  test("D-1 identity: no patch gives equal bytes and equal tables", () => {
    const program = {
      ...assemble("r1 = 5 ll\nif r1 == 0 goto out\ncall f\nout: exit\nf: exit"),
      lines: linesAt(0, 2, 4),
    };
    const metadata: Metadata = {
      aux: [{ name: "a", inserted: "zero", values: Int32Array.from([1, 2, 3, 4, 5, 6]) }],
      funcs: [{ name: "type", values: Uint32Array.from([7, 8]) }],
      tables: [{ name: "poke", onDelete: "drop", insn: Int32Array.from([3, 5]) }],
    };
    const result = linearize(new PatchList(program), { metadata, provenance: true });
    expect(result.program).toEqual(program);
    expect(result.metadata).toEqual({
      ...metadata,
      tables: [{ ...metadata.tables![0], entry: Uint32Array.from([0, 1]) }],
    });
    expect(Array.from(result.provenance!.origin)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(result.program.insns.words).not.toBe(program.insns.words);
  });

  test("D-2 jump to a patched instruction, forward, backward and to itself: lands on the first of the patch", () => {
    const forward = edited("if r1 == 0 goto to\nr2 = 1\nto: r3 = 1\nexit", (list) => list.replace(2, TWO));
    expect(listing(forward.program)[0]).toBe("if r1 == 0 goto +1");
    const backward = edited("r0 = 0\nto: r3 = 1\nr2 = 1\nif r1 == 0 goto to\nexit", (list) => list.replace(1, TWO));
    expect(listing(backward.program)[4]).toBe("if r1 == 0 goto -4");
    const self = edited("r2 = 1\nto: if r1 == 0 goto to\nexit", (list) => {
      const first = list.replace(1, [...TWO, ...list.words(1)]);
      list.aim(first + 2, list.target(1)!);
    });
    expect(listing(self.program)).toEqual(["r2 = 1", "r8 = 1", "r9 = 2", "if r1 == 0 goto -3", "exit"]);
  });

  test("D-3 jump across patches: the offset grows by the sum of both", () => {
    const { program } = edited(
      "r0 = 0\na: if r1 == 0 goto b\nr2 = 1\nr3 = 1\nr4 = 1\nif r1 == 1 goto a\nb: exit",
      (list) => {
        list.replace(2, THREE);
        list.prepend(4, TWO);
      },
    );
    expect(listing(program)[1]).toBe("if r1 == 0 goto +8");
    expect(listing(program).at(-2)).toBe("if r1 == 1 goto -9");
  });

  test("D-4 prepend at 0: the prologue runs once, a loop goes back to the old first instruction", () => {
    const text = "r1 += -1\nif r1 != 0 goto -2\nr0 = r6\nexit";
    const { program } = edited(text, (list) => list.prepend(0, words("r6 = 0\nr6 += 1")));
    expect(listing(program)[3]).toBe("if r1 != 0 goto -2");
    expect(runs(program, 5n)).toEqual({ value: 1n, executed: 2 + 2 * 5 + 2 });
  });

  test("D-4 prepend at a subprogram: calls run the prologue, jumps do not", () => {
    const { program } = edited("call f\nexit\nf:\nr1 += -1\nif r1 != 0 goto -2\nr0 = r6\nexit", (list) =>
      list.prepend(2, words("r6 = 7")),
    );
    expect(program.subprogs[1]!.start).toBe(2);
    expect(runs(program, 3n)).toEqual({ value: 7n, executed: 1 + 1 + 6 + 2 + 1 });
  });

  test("D-5 replace, the last inherits the target: a conditional jump becomes three instructions with the jump last", () => {
    const { program } = edited("r0 = 1\nif r1 == 77 goto out\nr2 = 1\nr0 = 2\nout: exit", (list) => {
      const first = list.replace(1, words("r9 = 70\nr9 += 7\nif r1 == r9 goto +0"));
      list.aim(first + 2, list.target(1)!);
      list.replace(2, THREE);
    });
    expect(listing(program)[3]).toBe("if r1 == r9 goto +4");
    expect([runs(program, 77n).value, runs(program, 7n).value]).toEqual([1n, 2n]);
  });

  test("D-6 patch-internal jump and jump out of the patch: both are right", () => {
    const { program } = edited("r0 = 0\nr0 += 1\nr0 += 2\nr0 += 4\nexit", (list) => {
      const first = list.replace(1, words("if r1 == 0 goto +2\nif r1 == 1 goto +0\nr0 += 8\nr0 += 16"));
      list.aim(first + 1, 3);
      list.replace(2, [...list.words(2), ...TWO]);
    });
    expect(runs(program, 0n).value).toBe(16n + 2n + 4n);
    expect(runs(program, 1n).value).toBe(4n);
    expect(runs(program, 2n).value).toBe(8n + 16n + 2n + 4n);
  });

  test("D-6 a jump that leaves its patch unaimed is refused by name, and nothing has changed", () => {
    const list = new PatchList(assemble("r0 = 0\nr0 += 1\nexit"));
    const first = list.replace(1, words("if r1 == 0 goto +7\nr0 = 2"));
    expect(() => linearize(list)).toThrow(/a patch at instruction 1, leaves its patch without an aim/);
    list.aim(first, 2);
    expect(listing(linearize(list).program)[1]).toBe("if r1 == 0 goto +1");
  });

  test("D-7 two passes on one list: the second patches what the first put there, equal to one edit after the other", () => {
    const program = assemble("a: r2 = 5\nif r1 == 0 goto a\nif r2 == 1 goto b\nr3 = 5\nb: exit");
    const list = new PatchList(program);
    const naive = new Naive(program);
    list.beginPass("first");
    const first = list.replace(0, THREE);
    naive.replace(0, THREE);
    list.beginPass("second");
    list.replace(first, TWO);
    naive.replace(0, TWO);
    list.prepend(first + 1, TWO);
    naive.prepend(2, TWO);
    list.delete(first + 2);
    naive.delete(5);
    const { program: result } = linearize(list);
    expect(formatProgram(result)).toBe(formatProgram(naive.result().program));
    expect(listing(result)).toHaveLength(2 + 2 + 1 + 4);
    expect([...list].map((node) => list.patchOf(node)?.pass)).toEqual([
      1,
      1,
      1,
      1,
      0,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  test("D-8 aux data: replaced ones have derived facts only, prepended-to ones keep theirs, new ones are zero", () => {
    const program = assemble("r1 = 1\nr2 = 2\nexit");
    const column = (base: number): Int32Array => Int32Array.from([base, base + 1, base + 2]);
    const metadata: Metadata = {
      aux: [
        { name: "state", inserted: "zero", values: column(10) },
        { name: "seen", inserted: "origin", values: column(20) },
        { name: "zext", inserted: "upper-half", values: column(0) },
      ],
    };
    const half = words("w8 = 1\nr8 = *(u32 *)(r10 - 4)\nr9 = 2");
    const list = new PatchList(program);
    list.replace(0, half);
    list.prepend(1, half);
    const result = linearize(list, { metadata }).metadata.aux!.map(({ values }) => Array.from(values));
    expect(result).toEqual([
      [0, 0, 0, 0, 0, 0, 11, 12],
      [20, 20, 20, 21, 21, 21, 21, 22],
      [1, 1, 0, 1, 1, 0, 1, 2],
    ]);
    const linux = new Naive(program, metadata, "linux");
    linux.replace(0, half);
    const last = linux.result().metadata.aux!.map(({ values }) => values[2]);
    expect(last, "Linux leaves the old data with the last of the patch").toEqual([10, 20, 0]);
  });

  test("D-8 aux data and facts follow where an instruction of the patch does the old one's work", () => {
    const program = assemble("r1 = 1\nr2 /= r3\nexit");
    const facts = noFacts(3);
    facts.flags[1] = Fact.DIVISOR_NONZERO;
    facts.offset[1] = 9;
    const list = new PatchList(program, facts);
    const first = list.replace(1, [...TWO, ...list.words(1)]);
    list.inherit(first + 2, 1);
    list.record(first, Fact.UPPER_UNUSED);
    const aux = [{ name: "state", inserted: "zero", values: Int32Array.from([1, 2, 3]) }] as const;
    const result = linearize(list, { facts: true, metadata: { aux } });
    expect(Array.from(result.facts!.flags)).toEqual([0, Fact.UPPER_UNUSED, 0, Fact.DIVISOR_NONZERO, 0]);
    expect(Array.from(result.facts!.offset)).toEqual([0, 0, 0, 9, 0]);
    expect(Array.from(result.metadata.aux![0]!.values)).toEqual([1, 0, 0, 2, 3]);
    expect(list.flags(first + 2)).toBe(Fact.DIVISOR_NONZERO);
  });

  describe("16-bit overflow", () => {
    const many = Array.from({ length: 40_000 }, () => words("r9 = 0")).flat();
    const text = `
      r0 = 0
      goto +1
    back: exit
      if r1 == 1 goto out
      if r1 & 2 goto out
      may_goto out
      r0 += 1
      r2 = 1
      if r1 > 7 goto back
    out:
      r0 += 8
      exit`;

    test("D-9 an error with the original instruction and nothing changed, where the instruction set has no long form", () => {
      const program = assemble(text);
      const before = program.insns.words.slice();
      const list = new PatchList(program);
      list.replace(7, many);
      try {
        linearize(list, { isa: 3 });
        expect.fail("it fits");
      } catch (error) {
        expect(error).toBeInstanceOf(BpfError);
        expect((error as BpfError).code).toBe("out-of-range");
        expect((error as BpfError).details.insn).toBe(3);
      }
      expect(program.insns.words).toEqual(before);
      expect(linearize(list).program.insns.length).toBeGreaterThan(40_000);
      expect(() => new Naive(program).replace(7, many), "as in Linux").toThrow(
        /instruction 3 cannot be patched due to 16-bit range/,
      );
    });

    test("D-9 the long form otherwise: inverted condition and gotol, and for what has no inverse a jump over a jump", () => {
      const { program, provenance, metadata } = edited(text, (list) => list.replace(7, many), {
        provenance: true,
        metadata: { aux: [{ name: "a", inserted: "zero", values: Int32Array.from({ length: 11 }, (_, i) => i + 1) }] },
      });
      const lines = listing(program);
      expect(lines.slice(3, 11).map((line) => line.replace(/\+\d{4,}/, "+far"))).toEqual([
        "if r1 != 1 goto +1",
        "gotol +far",
        "if r1 & 2 goto +1",
        "goto +1",
        "gotol +far",
        "may_goto +1",
        "goto +1",
        "gotol +far",
      ]);
      expect(lines.slice(-4).map((line) => line.replace(/-\d{4,}/, "-far"))).toEqual([
        "if r1 <= 7 goto +1",
        "gotol -far",
        "r0 += 8",
        "exit",
      ]);
      for (const [arg, value] of [
        [1n, 8n],
        [2n, 8n],
        [4n, 9n],
        [8n, 1n],
      ] as const)
        expect(runs(program, arg).value).toBe(value);
      expect(Array.from(provenance!.origin.subarray(3, 11))).toEqual([3, 3, 4, 4, 4, 5, 5, 5]);
      expect(Array.from(metadata.aux![0]!.values.subarray(3, 11))).toEqual([4, 0, 5, 0, 0, 6, 0, 0]);
      expect(provenance!.entry[9]).toBe(program.insns.length - 2);
    });

    test("D-9 what is known of a jump's outcome holds for its long form, and stands once", () => {
      const program = assemble(text);
      const facts = noFacts(program.insns.length);
      const { ALWAYS_TAKEN, NEVER_TAKEN } = Fact;
      facts.flags.set([ALWAYS_TAKEN, ALWAYS_TAKEN], 3);
      const list = new PatchList(program, facts);
      list.replace(7, many);
      const copy = list.replace(8, list.words(8));
      list.aim(copy, list.target(8)!);
      list.record(copy, NEVER_TAKEN);
      const { flags } = linearize(list, { facts: true }).facts!;
      expect(Array.from(flags.subarray(3, 8))).toEqual([NEVER_TAKEN, 0, ALWAYS_TAKEN, 0, 0]);
      expect(Array.from(flags.subarray(-4))).toEqual([ALWAYS_TAKEN, 0, 0, 0]);
    });

    test("D-9 a goto becomes a gotol in place, a jump that only reaches until others grow is taken along", () => {
      const filler = Array.from({ length: 32_766 }, () => words("r9 = 0")).flat();
      const source =
        "if r1 == 1 goto out\nif r1 == 2 goto far\nr2 = 1\nout: r0 = 5\nr0 += 1\nfar: if r1 == 0 goto +1\ngoto -5\nexit";
      const { program } = edited(source, (list) => list.replace(2, filler));
      expect(listing(program).slice(0, 4)).toEqual([
        "if r1 != 1 goto +1",
        "gotol +32768",
        "if r1 != 2 goto +1",
        "gotol +32768",
      ]);
      expect(listing(program).at(-2)).toBe("gotol -32770");
      expect(runs(program, 0n).value).toBe(6n);
    });
  });

  test("D-10 two-slot load: patched before, on and after, deleted, and never split", () => {
    const text = "r1 = 1\nr2 = 0x1122334455667788 ll\nr3 = 3\nif r1 == 0 goto -4\nexit";
    const { program } = edited(text, (list) => {
      list.replace(0, TWO);
      list.prepend(1, TWO);
      list.replace(3, THREE);
    });
    expect(listing(program).slice(4, 5)).toEqual(["r2 = 0x1122334455667788 ll"]);
    expect(listing(program).at(-2)).toBe("if r1 == 0 goto -6");
    const replaced = edited(text, (list) => list.replace(1, words("r2 = 5 ll\nr4 = 6 ll"))).program;
    expect(listing(replaced)).toEqual(["r1 = 1", "r2 = 0x5 ll", "r4 = 0x6 ll", "r3 = 3", "if r1 == 0 goto -6", "exit"]);
    const deleted = edited(text, (list) => list.delete(1)).program;
    expect(listing(deleted)).toEqual(["r1 = 1", "r3 = 3", "if r1 == 0 goto -2", "exit"]);
    const list = new PatchList(assemble(text));
    expect(() => list.delete(2)).toThrow(/second half of a two-slot load/);
    expect(() => list.replace(1, words("r2 = 5 ll").slice(0, 2))).toThrow(/half a two-slot load/);
    expect([...list]).toEqual([0, 1, 3, 4, 5]);
  });

  test("D-11 subprogram start at the patch point stays, starts above move", () => {
    const result = edited("call f\ncall g\nexit\nf: r0 = 1\nexit\ng: r0 = 2\nexit", (list) =>
      list.replace(3, [...TWO, ...words("r0 = 1")]),
    );
    expect(starts(result)).toEqual([
      ["main", 0],
      ["f", 3],
      ["g", 7],
    ]);
    expect(listing(result.program).slice(0, 2)).toEqual(["call f", "call g"]);
  });
});

describe("deleting", () => {
  const functions = "if r1 == 0 goto +2\ncall f\nexit\ncall g\nexit\nf: r0 = 1\nr0 += 1\nexit\ng: r0 = 2\nexit";

  /** The program with lines and function numbers, and some slots deleted. */
  function without(slots: readonly number[], lines: LineInfo, text: string = functions): Linearized {
    const program = { ...assemble(text), lines };
    const list = new PatchList(program);
    for (const slot of slots) list.delete(slot);
    const values = Uint32Array.from(program.subprogs, (_, index) => 100 + index);
    const result = linearize(list, { metadata: { funcs: [{ name: "type", values }] } });
    const naive = new Naive(program, { funcs: [{ name: "type", values }] });
    for (const slot of slots) naive.delete(naive.indexOf(slot));
    expect(result.program).toEqual(naive.result().program);
    expect(result.metadata).toEqual(naive.result().metadata);
    return result;
  }

  test("D-12 delete whole subprogram: it, its function record and its lines are gone, calls are right", () => {
    const result = without([0, 1, 2, 5, 6, 7], linesAt(0, 3, 5, 6, 8));
    expect(starts(result)).toEqual([
      ["main", 0],
      ["g", 2],
    ]);
    expect(Array.from(result.metadata.funcs![0]!.values)).toEqual([100, 102]);
    expect(linesOf(result)).toEqual([
      [0, 2],
      [2, 5],
    ]);
    expect(runs(result.program).value).toBe(2n);
  });

  test("D-13 delete front of subprogram: it starts at the surviving instruction and keeps its record", () => {
    const result = without([5], linesAt(0, 5, 6));
    expect(starts(result)).toEqual([
      ["main", 0],
      ["f", 5],
      ["g", 7],
    ]);
    expect(Array.from(result.metadata.funcs![0]!.values)).toEqual([100, 101, 102]);
    expect(linesOf(result)).toEqual([
      [0, 1],
      [5, 3],
    ]);
  });

  test("D-14 delete middle of a line: the next live instruction without record inherits the last removed one", () => {
    expect(linesOf(without([1, 2], linesAt(0, 1, 2, 4), "r1 = 1\nr2 = 2\nr3 = 3\nr4 = 4\nexit"))).toEqual([
      [0, 1],
      [1, 3],
      [2, 4],
    ]);
  });

  test("D-15 delete, next live has a record: the removed ones vanish without heir", () => {
    expect(linesOf(without([1, 2], linesAt(0, 1, 2, 3), "r1 = 1\nr2 = 2\nr3 = 3\nr4 = 4\nexit"))).toEqual([
      [0, 1],
      [1, 4],
    ]);
  });

  test("D-16 delete program tail: no record beyond the end, none inherited", () => {
    const result = without([5, 6, 7, 8, 9], linesAt(0, 3, 5, 6, 8));
    expect(starts(result)).toEqual([["main", 0]]);
    expect(linesOf(result)).toEqual([
      [0, 1],
      [3, 2],
    ]);
  });

  test("D-17 nop removal cascade: jumps to the next instruction go until none is left", () => {
    const list = new PatchList(assemble("r0 = 1\ngoto a\ngoto b\na: goto b\nb: goto c\nc: if r1 == 0 goto -2\nexit"));
    const landing = (node: number): number => (list.isLive(node) ? node : list.next(node));
    const isNop = (at: number): boolean => list.code(at) === 0x05 && landing(list.target(at)!) === list.next(at);
    for (let found = true; found; ) {
      found = false;
      for (const at of list) {
        if (!isNop(at)) continue;
        list.delete(at);
        found = true;
      }
    }
    expect(listing(linearize(list).program)).toEqual(["r0 = 1", "if r1 == 0 goto -1", "exit"]);
  });

  test("D-18 poke index on insert and delete: it follows its instruction and goes with it", () => {
    const program = assemble("r1 = 1\nr2 = 2\nr3 = 3\nr4 = 4\nexit");
    const metadata: Metadata = {
      tables: [
        { name: "poke", onDelete: "drop", insn: Int32Array.from([1, 2, 3]) },
        { name: "jumps", onDelete: "mark", insn: Int32Array.from([3, 1, 1, 2]) },
      ],
    };
    const list = new PatchList(program);
    list.replace(0, TWO);
    list.delete(1);
    list.prepend(2, TWO);
    list.replace(3, TWO);
    const [poke, jumps] = linearize(list, { metadata }).metadata.tables!;
    expect([Array.from(poke!.insn), Array.from(poke!.entry!)]).toEqual([
      [4, 5],
      [1, 2],
    ]);
    expect(Array.from(jumps!.insn)).toEqual([5, -1, -1, 4]);
    const linux = new Naive(program, metadata, "linux");
    linux.delete(1);
    expect(Array.from(linux.result().metadata.tables![0]!.insn), "Linux moves none of them on delete").toEqual([
      1, 2, 3,
    ]);
  });

  describe("a jump to what was deleted", () => {
    const loop = "again: r2 = 1\nr3 = 1\nif r1 == 0 goto again\nexit";

    test("goes to the next one left, past what was prepended to that, before or after", () => {
      const before = edited(loop, (list) => {
        list.prepend(1, TWO);
        list.delete(0);
      });
      const after = edited(loop, (list) => {
        list.delete(0);
        list.prepend(1, TWO);
      });
      expect(listing(before.program)).toEqual(["r8 = 1", "r9 = 2", "r3 = 1", "if r1 == 0 goto -2", "exit"]);
      expect(listing(after.program)).toEqual(listing(before.program));
    });

    test("goes on behind a replacement of which nothing is left", () => {
      const { program } = edited(loop, (list) => {
        list.delete(list.replace(0, words("r2 = 2")));
        list.prepend(1, TWO);
      });
      expect(listing(program).at(-2)).toBe("if r1 == 0 goto -2");
    });

    test("within what was prepended, goes no farther than to its end", () => {
      const { program } = edited(loop, (list) => {
        const first = list.prepend(1, words("if r1 == 1 goto +0\nr4 = 1"));
        list.aim(first, first + 1);
        list.delete(first + 1);
        list.prepend(1, TWO);
      });
      expect(listing(program).slice(1, 4)).toEqual(["if r1 == 1 goto +0", "r8 = 1", "r9 = 2"]);
    });

    test("`landing` says so before", () => {
      let deleted = 0;
      for (let seed = 1; seed <= 300; seed++) {
        const history = randomHistory(seed);
        const { list } = history;
        const { place, node } = linearized(history).provenance!;
        const originals = Array.from({ length: list.originals }, (_, at) => at).filter((at) => list.code(at) !== 0);
        const landings = originals.map((at) => list.landing(at));
        expect(
          originals.map((at) => node[place[at]!] ?? -1),
          `seed ${seed}`,
        ).toEqual(landings);
        deleted += originals.filter((at) => list.standing(at) < 0).length;
      }
      expect(deleted).toBeGreaterThan(100);
    });
  });

  test("nothing left is refused", () => {
    expect(() => edited("exit", (list) => list.delete(0))).toThrow(/nothing is left/);
  });
});

/** A program of movs with a jump at every eighth slot, and a list in which every mov becomes three instructions. */
function scaled(sites: number): PatchList {
  const slots = Math.ceil((sites * 8) / 7) + 1;
  const insns = new Int32Array(2 * slots);
  for (let i = 0; i < slots - 1; i++) {
    const isJump = i % 8 === 7;
    insns[2 * i] = isJump ? packWord(0x55, 1, 0, i + 12 < slots ? 10 : -8) : packWord(0xb7, i % 8, 0, 0);
    insns[2 * i + 1] = i;
  }
  insns[2 * slots - 2] = 0x95;
  const program = {
    name: "big",
    type: "xdp",
    license: "GPL",
    insns: new Insns(insns),
    subprogs: [{ name: "main", start: 0 }],
    maps: [],
    kfuncs: [],
  };
  const list = new PatchList(program);
  const three = Int32Array.from(THREE);
  for (let i = 0; i < slots - 1; i++) if (i % 8 !== 7) list.replace(i, three);
  return list;
}

describe("at scale and by the ledger", () => {
  test("D-20 scale: a million patches cost a million times what one costs", () => {
    const [small, large] = [linearize(scaled(10_000)), linearize(scaled(1_000_000))];
    expect(large.program.insns.length).toBeGreaterThan(3_000_000);
    const perSlot = ({ work, program }: Linearized): number => work / program.insns.length;
    expect(perSlot(large)).toBeCloseTo(perSlot(small), 2);
    expect(perSlot(large)).toBeLessThan(2);
  });

  test("D-21 provenance: every new index maps to its original and patch, and back", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const history = randomHistory(seed);
      const { provenance, program } = linearized(history);
      const { origin, patch: patches, node, entry } = provenance!;
      for (let at = 0; at < program.insns.length; at++) {
        const from = origin[at]!;
        expect(at >= entry[from]! && at < entry[from + 1]!, `slot ${at}, seed ${seed}`).toBe(true);
        if (patches[at] === 0) {
          expect(node[at]).toBe(from);
          continue;
        }
        const { first, slots } = history.list.patch(patches[at]!);
        expect(node[at]! >= first && node[at]! < first + slots).toBe(true);
        expect(history.list.origin(node[at]!)).toBe(from);
      }
    }
  });

  test("D-22 failure in the middle of linearize: the original and the list are as before, wherever it fails", () => {
    const history = randomHistory(17);
    const before = history.subject.program.insns.words.slice();
    const expected = linearized(history);
    const store = history.list.store();
    const { Int32Array: Real } = globalThis;
    let left = 0;
    class Failing extends Real {
      constructor(...args: ConstructorParameters<typeof Real>) {
        super(...args);
        if (--left === 0) throw new RangeError("out of memory");
      }
    }
    let failures = 0;
    for (let at = 1; ; at++) {
      left = at;
      try {
        globalThis.Int32Array = Failing as unknown as Int32ArrayConstructor;
        linearized(history);
        break;
      } catch (error) {
        expect((error as Error).message).toBe("out of memory");
        failures++;
      } finally {
        globalThis.Int32Array = Real;
      }
      expect(history.subject.program.insns.words).toEqual(before);
      expect(history.list.store()).toEqual(store);
      expect(linearized(history)).toEqual(expected);
    }
    expect(failures).toBeGreaterThan(8);
  });
});

describe("patch, the door", () => {
  const double: Pass = {
    name: "double",
    run(list) {
      for (const at of list) if (list.code(at) === 0xb7) list.replace(at, [...list.words(at), ...list.words(at)]);
    },
  };

  test("passes run in order on one list, the program says which", () => {
    const verified = trust(assemble("r0 = 3\nexit"));
    const once = patch(verified, [double, double]);
    expect(once.program.insns.length).toBe(5);
    expect(once.passes).toEqual(["double", "double"]);
    expect(once.basis).toEqual({ kind: "trusted" });
    expect(patch(once, [double]).passes).toEqual(["double", "double", "double"]);
    expect(verified.program.insns.length).toBe(2);
    expect(once.structure.marks.length).toBe(5);
  });

  test("facts reach the patched program where instructions stand as they did", () => {
    const verified = trust(assemble("r0 = 3\nr0 /= 7\nexit"));
    expect(Array.from(patch(verified, [double]).facts.flags, (flags) => flags & Fact.DIVISOR_NONZERO)).toEqual([
      0,
      0,
      Fact.DIVISOR_NONZERO,
      0,
    ]);
  });
});

describe("the list", () => {
  test("edits of what is gone are refused by name", () => {
    const list = new PatchList(assemble("r1 = 1\nr2 = 2\nexit"));
    const first = list.replace(0, TWO);
    list.delete(1);
    expect(() => list.prepend(0, TWO)).toThrow(`node 0 was replaced by ${first}`);
    expect(() => list.delete(1)).toThrow(/node 1 was deleted/);
    expect(() => list.replace(99, TWO)).toThrow(/there is no node 99/);
    expect(() => list.replace(2, [])).toThrow(/a patch of 0 slots/);
    expect(() => list.aim(2, 0)).toThrow(/does not point at code/);
    expect([list.standing(0), list.standing(1), list.standing(2)]).toEqual([first, -1, 2]);
  });

  test("a walk passes over what it inserts and goes on behind it", () => {
    const list = new PatchList(assemble("r1 = 1\nr2 = 2\nexit"));
    const seen: number[] = [];
    for (const at of list) {
      seen.push(at);
      if (list.code(at) === 0xb7) list.replace(at, TWO);
    }
    expect(seen).toEqual([0, 1, 2]);
    expect([...list]).toHaveLength(5);
  });
});
