import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  assemble,
  DIALECTS,
  type Dialect,
  formatProgram,
  Insns,
  OPS,
  opAt,
  type Program,
  printInsn,
  printWidth,
} from "../../src/index.ts";
import { anyInsn } from "../support/arbitrary-insns.ts";

/** Texts that say less than the instruction: llvm's calls all read `call N`. */
const SILENT: Readonly<Record<Dialect, readonly string[]>> = {
  bpfkit: [],
  kernel: [],
  llvm: ["call_subprog", "call_kfunc"],
};

function programOf(insns: Insns, kfuncs: readonly string[] = []): Program {
  const map = (name: string): Program["maps"][number] => ({
    name,
    type: 1,
    keySize: 4,
    valueSize: 4,
    maxEntries: 1,
    flags: 0,
  });
  const maps = ["counts", ".rodata", "idx", "counts", "with space"].map(map);
  return { name: "test", type: "xdp", license: "GPL", insns, subprogs: [{ name: "test", start: 0 }], maps, kfuncs };
}

describe.each(DIALECTS)("in the %s dialect", (dialect) => {
  test.each(OPS.filter((op) => !SILENT[dialect].includes(op)))("%s reads back to the same bytes", (op) => {
    fc.assert(
      fc.property(anyInsn(op), fc.boolean(), (words, hex) => {
        const insns = new Insns(Int32Array.from(words));
        const text = printInsn(insns, 0, { dialect, hex });
        return !text.includes(".8byte") && String(assemble(text).insns.words) === String(insns.words);
      }),
      { numRuns: 25 },
    );
  });

  test("any slots at all read back to the same bytes", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer(), fc.integer()), { maxLength: 20 }), (slots) => {
        const insns = new Insns(Int32Array.from(slots.flat()));
        const lines: string[] = [];
        for (let i = 0; i < insns.length; i += printWidth(insns, i)) {
          const op = opAt(insns, i);
          const silent = op >= 0 && SILENT[dialect].includes(OPS[op]!);
          lines.push(printInsn(insns, i, { dialect: silent ? "bpfkit" : dialect }));
        }
        expect(assemble(lines.join("\n")).insns.words).toEqual(insns.words);
      }),
    );
  });
});

const anyOp = fc.constantFrom(...OPS);
const anyCode = fc
  .array(anyOp.chain(anyInsn), { minLength: 1, maxLength: 30 })
  .map((words) => new Insns(Int32Array.from(words.flat())));

describe("a listing", () => {
  test.each([{}, { labels: true }, { raw: true }, { slots: false }, { dialect: "kernel" }] as const)(
    "reads back to the same program: %j",
    (options) => {
      fc.assert(
        fc.property(anyCode, (insns) => {
          // What the assembler derives from jumps is normal form: subprograms of one reading are those of the next.
          const first = assemble(
            formatProgram(programOf(insns, ["some_kfunc", "other"]), options),
            programOf(insns, ["some_kfunc", "other"]),
          );
          expect(first.insns.words).toEqual(insns.words);
          const second = assemble(formatProgram(first, options), first);
          expect(second).toEqual(first);
        }),
      );
    },
  );

  test("keeps names of subprograms, even of one that nothing calls", () => {
    const program = assemble("entry:\n r0 = 0\n exit\n.subprog unused\n r0 = 1\n exit\n");
    expect(program.subprogs).toEqual([
      { name: "entry", start: 0 },
      { name: "unused", start: 2 },
    ]);
    expect(assemble(formatProgram(program))).toEqual(program);
  });

  test("gives names that the assembler would misread a safe form", () => {
    const program = assemble("main:\n call a\n exit\na:\n call b\n exit\nb:\n exit\n");
    const names = ["r1", "bpf_loop", "two words"];
    const hostile = { ...program, subprogs: program.subprogs.map(({ start }, i) => ({ name: names[i]!, start })) };
    const again = assemble(formatProgram(hostile));
    expect(again.insns).toEqual(program.insns);
    expect(again.subprogs.map(({ name }) => name)).toEqual(["sub_0", "sub_2", "sub_4"]);
  });
});
