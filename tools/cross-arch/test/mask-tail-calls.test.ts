// Masked tail calls run: the same results as without the mask, and an index that stays in its array even where the comparison is skipped.
import { arm64 } from "@bpfkit/arm64";
import {
  assemble,
  type Engine,
  Insns,
  interpreter,
  jit,
  MAP_TYPES,
  type MapSpec,
  maskTailCalls,
  PROG_ARRAY,
  patch,
  trust,
} from "@bpfkit/core";
import { Kernel, type LoadedProgram } from "@bpfkit/kernel";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";

const ENGINES: readonly (readonly [string, Engine])[] = [
  ["interpreter", interpreter],
  ...[x86_64, arm64, riscv64].map((backend): [string, Engine] => [backend.arch, jit(backend)]),
];
const SIZES = [1, 2, 3, 4, 5, 7, 8, 9];
const [JGE32, AND32, LOAD64] = [0x36, 0x54, 0x79];
/** What programs return when no tail call happened. */
const STAYED = 99;
/** What stands where an index is to be stored. */
const NOTHING = 0xaaaa_aaaa_aaaa_aaaan;

/** Index and result of a program, which lie in a map value one after the other. */
const WORDS: MapSpec = {
  name: "words", type: MAP_TYPES.array, keySize: 4, valueSize: 16, maxEntries: 1, flags: 0,
}; // biome-ignore format: a row
const tableOf = (maxEntries: number): MapSpec => ({
  name: "table", type: MAP_TYPES.prog_array, keySize: 4, valueSize: 4, maxEntries, flags: 0,
}); // biome-ignore format: a row

/** Indexes around every limit: of the array, of its mask, of 32 bits and their sign, of 64. */
function indexesFor(entries: number): bigint[] {
  const room = 2 ** Math.ceil(Math.log2(entries));
  const near = [0, 1, entries, room, 2 * room, 0x8000_0000, 0x1_0000_0000].flatMap((at) =>
    [-1, 0, 1].map((d) => at + d),
  );
  const indexes = near.map((at) => BigInt.asUintN(64, BigInt(at)));
  return [...new Set([...indexes, ...indexes.map((at) => BigInt.asUintN(64, at + (1n << 32n))), 1n << 63n])];
}

function worldOf(engine: Engine, entries: number): { kernel: Kernel; table: MapSpec; setIndex(index: bigint): void } {
  const kernel = new Kernel({ engine, memory: { sizes: { text: 1 << 20, data: 1 << 20 } } });
  const table = tableOf(entries);
  kernel.createMap(table);
  const words = kernel.createMap(WORDS);
  return {
    kernel,
    table,
    setIndex(index) {
      const value = new Uint8Array(16);
      const view = new DataView(value.buffer);
      view.setBigUint64(0, index, true);
      view.setBigUint64(8, NOTHING, true);
      words.update(new Uint8Array(4), value);
    },
  };
}

const GET_INDEX = "r2 = map[idx:1][0]+0\nr3 = *(u64 *)(r2 + 0)";
const calling = (getIndex: string): string => `${getIndex}\nr2 = map[idx:0]\ncall tail_call\nr0 = ${STAYED}\nexit`;

function programOf(text: string, table: MapSpec): ReturnType<typeof trust> {
  return trust(assemble(text, { name: "caller", type: "xdp", maps: [table, WORDS] }));
}

function result(program: LoadedProgram): number | undefined {
  return program.run({ budget: 10_000 }).returnValue;
}

function stored(kernel: Kernel): bigint {
  return new DataView(kernel.map(WORDS).lookup(new Uint8Array(4))!.buffer).getBigUint64(8, true);
}

/** Fills every slot but the second. */
function fill(kernel: Kernel, table: MapSpec): void {
  for (let slot = 0; slot < table.maxEntries; slot++) {
    if (slot === 1) continue;
    kernel.progArray(table).set(slot, kernel.load(programOf(`r0 = ${slot}\nexit`, table)));
  }
}

describe.each(ENGINES)("mask-tail-calls on %s", (_name, engine) => {
  test("an index that is not known calls what it calls without the mask", () => {
    for (const entries of SIZES) {
      const { kernel, table, setIndex } = worldOf(engine, entries);
      fill(kernel, table);
      const plain = programOf(calling(GET_INDEX), table);
      const masked = patch(plain, [maskTailCalls]);
      expect(masked.program.insns.length).toBe(plain.program.insns.length + 2);
      const programs = [kernel.load(plain), kernel.load(masked)];
      for (const index of indexesFor(entries)) {
        setIndex(index);
        const slot = Number(BigInt.asUintN(32, index));
        const expected = slot < entries && slot !== 1 ? slot : STAYED;
        expect(programs.map(result), `index ${index} of ${entries}`).toEqual([expected, expected]);
      }
    }
  });

  test("an index that is known does, too; in range it takes no mask", () => {
    const entries = 5;
    const { kernel, table } = worldOf(engine, entries);
    fill(kernel, table);
    for (const index of indexesFor(entries)) {
      const plain = programOf(calling(`r3 = ${index} ll`), table);
      const masked = patch(plain, [maskTailCalls]);
      const slot = Number(BigInt.asUintN(32, index));
      if (index < entries) expect(masked.program.insns.length).toBe(plain.program.insns.length);
      const expected = slot < entries && slot !== 1 ? slot : STAYED;
      expect(
        [plain, masked].map((each) => result(kernel.load(each))),
        `index ${index}`,
      ).toEqual([expected, expected]);
    }
  });

  test("the mask alone keeps any index in the array's memory; with the comparison it is never reached out of range", () => {
    for (const entries of SIZES) {
      const { kernel, table, setIndex } = worldOf(engine, entries);
      const { program } = patch(programOf(calling(GET_INDEX), table), [maskTailCalls]);
      const codes = Array.from({ length: program.insns.length }, (_, slot) => program.insns.code(slot));
      const comparison = codes.indexOf(JGE32);
      expect(codes[comparison + 1]).toBe(AND32);
      /** A program that stores the index behind these instructions. Where the comparison jumps, it passes over that. */
      const storing = (from: number, to: number): LoadedProgram => {
        const words = [
          ...program.insns.words.subarray(0, 2 * codes.indexOf(LOAD64) + 2),
          ...program.insns.words.subarray(2 * from, 2 * to),
          ...assemble("*(u64 *)(r2 + 8) = r3\nr0 = 0\nexit").insns.words,
        ];
        return kernel.load(trust({ ...program, insns: new Insns(Int32Array.from(words)) }));
      };
      const both = storing(comparison, comparison + 2);
      const maskOnly = storing(comparison + 1, comparison + 2);
      const { size } = kernel.memory.allocationAt(kernel.map(table).address)!.allocation;
      for (const index of indexesFor(entries)) {
        const [checked, masked] = [both, maskOnly].map((each) => {
          setIndex(index);
          expect(result(each)).toBe(0);
          return stored(kernel);
        });
        const slot = BigInt.asUintN(32, index);
        expect(checked, `index ${index} of ${entries}`).toBe(slot < entries ? slot : NOTHING);
        if (slot < entries) expect(masked).toBe(slot);
        expect(PROG_ARRAY.programs + 8 * Number(masked) + 8, `index ${index} of ${entries}`).toBeLessThanOrEqual(size);
      }
    }
  });
});
