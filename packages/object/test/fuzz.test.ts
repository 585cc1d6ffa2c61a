// Mutants of the committed objects: each ends in a result or a BpfError, within its budget. BPFKIT_FUZZ gives their number.
import { BpfError, tryTrust } from "@bpfkit/core";
import { expect, test } from "vitest";
import { formatType } from "../src/format-type.ts";
import { functionModels } from "../src/function-models.ts";
import { readObject } from "../src/load.ts";
import { Budget } from "../src/reader.ts";
import { bytesOf, OBJECT_NAMES } from "./objects.ts";

const MUTANTS = Number(process.env.BPFKIT_FUZZ ?? 10_000);
const SEED = Number(process.env.BPFKIT_FUZZ_SEED ?? 1);
const BUDGET = 4 << 20;
/** Milliseconds for one mutant on a busy machine; thousands of times what one takes. */
const PATIENCE = 3_000;

const NUMBERS = [
  0, 1, 2, 3, 4, 7, 8, 16, 24, 64, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffff8,
  0xffffffff,
];

/** Numbers from 0 to `below - 1`; the same for the same seed (mulberry32). */
type Random = (below: number) => number;

function random(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const objects: readonly Uint8Array[] = OBJECT_NAMES.map(bytesOf);

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Where section `index` lies, or the whole file where the headers say nonsense by now. */
function sectionRange(bytes: Uint8Array, index: number): [number, number] {
  const header = headerOf(bytes, index);
  if (header === undefined) return [0, bytes.length];
  const [offset, size] = [view(bytes).getUint32(header + 24, true), view(bytes).getUint32(header + 32, true)];
  return offset + size <= bytes.length && size > 0 ? [offset, offset + size] : [0, bytes.length];
}

function headerOf(bytes: Uint8Array, index: number): number | undefined {
  if (bytes.length < 64) return undefined;
  const at = view(bytes).getUint32(40, true) + 64 * index;
  return at + 64 <= bytes.length ? at : undefined;
}

const sectionCount = (bytes: Uint8Array): number =>
  bytes.length < 64 ? 1 : Math.max(view(bytes).getUint16(60, true), 1);

const MUTATIONS: Readonly<Record<string, (bytes: Uint8Array, rnd: Random) => Uint8Array>> = {
  "bit flips": (bytes, rnd) => {
    for (let i = rnd(8); i >= 0; i--) bytes[rnd(bytes.length)]! ^= 1 << rnd(8);
    return bytes;
  },
  bytes: (bytes, rnd) => {
    for (let i = rnd(8); i >= 0; i--) bytes[rnd(bytes.length)] = rnd(2) === 0 ? rnd(256) : NUMBERS[rnd(12)]!;
    return bytes;
  },
  numbers: (bytes, rnd) => {
    if (bytes.length >= 8) view(bytes).setUint32(4 * rnd((bytes.length >> 2) - 1), NUMBERS[rnd(NUMBERS.length)]!, true);
    return bytes;
  },
  "numbers within a section": (bytes, rnd) => {
    const [from, to] = sectionRange(bytes, rnd(sectionCount(bytes)));
    for (let i = rnd(4); i >= 0 && to - from >= 4; i--) {
      const at = from + 4 * rnd((to - from) >> 2);
      const value =
        rnd(3) === 0
          ? view(bytes).getUint32(at, true) + rnd(17) - 8
          : rnd(2) === 0
            ? rnd(64)
            : NUMBERS[rnd(NUMBERS.length)]!;
      view(bytes).setUint32(at, value, true);
    }
    return bytes;
  },
  "section headers": (bytes, rnd) => {
    const header = headerOf(bytes, rnd(sectionCount(bytes)));
    if (header === undefined) return bytes;
    const value =
      rnd(2) === 0 ? rnd(sectionCount(bytes) + 2) : rnd(2) === 0 ? rnd(bytes.length) : NUMBERS[rnd(NUMBERS.length)]!;
    view(bytes).setUint32(header + 4 * rnd(16), value, true);
    return bytes;
  },
  "two headers exchanged": (bytes, rnd) => {
    const [a, b] = [headerOf(bytes, rnd(sectionCount(bytes))), headerOf(bytes, rnd(sectionCount(bytes)))];
    if (a === undefined || b === undefined) return bytes;
    const [first, second] = [bytes.slice(a, a + 64), bytes.slice(b, b + 64)];
    bytes.set(second, a);
    bytes.set(first, b);
    return bytes;
  },
  truncation: (bytes, rnd) => bytes.slice(0, rnd(bytes.length + 1)),
  "bytes removed": (bytes, rnd) => {
    const at = rnd(bytes.length);
    const end = Math.min(bytes.length, at + 1 + rnd(64));
    const result = new Uint8Array(bytes.length - (end - at));
    result.set(bytes.subarray(0, at));
    result.set(bytes.subarray(end), at);
    return result;
  },
  "bytes inserted": (bytes, rnd) => {
    const at = rnd(bytes.length);
    const result = new Uint8Array(bytes.length + 1 + rnd(64)).fill(rnd(256));
    result.set(bytes.subarray(0, at));
    result.set(bytes.subarray(at), result.length - (bytes.length - at));
    return result;
  },
  "a splice of another object": (bytes, rnd) => {
    const other = objects[rnd(objects.length)]!;
    const from = rnd(other.length);
    const piece = other.subarray(from, Math.min(other.length, from + 1 + rnd(256)));
    bytes.set(piece.subarray(0, Math.max(0, bytes.length)), rnd(Math.max(1, bytes.length - piece.length)));
    return bytes;
  },
  "a section over another": (bytes, rnd) => {
    const [from, to] = sectionRange(bytes, rnd(sectionCount(bytes)));
    const [at] = sectionRange(bytes, rnd(sectionCount(bytes)));
    bytes.copyWithin(at, from, to);
    return bytes;
  },
};
const NAMES = Object.keys(MUTATIONS);

interface Mutant {
  readonly what: string;
  readonly bytes: Uint8Array;
}

function mutant(seed: number): Mutant {
  const rnd = random(seed);
  const index = rnd(objects.length);
  let bytes: Uint8Array = objects[index]!.slice();
  const applied: string[] = [];
  for (let i = rnd(3); i >= 0 && bytes.length > 0; i--) {
    const name = NAMES[rnd(NAMES.length)]!;
    bytes = MUTATIONS[name]!(bytes, rnd);
    applied.push(name);
  }
  return { what: `seed ${seed}: ${OBJECT_NAMES[index]}.o with ${applied.join(", ")}`, bytes };
}

/** Loads, and uses what was loaded; the code of the error that ends it, or `loaded`. */
function outcome(bytes: Uint8Array, budget: Budget): string {
  try {
    const { programs, btf } = readObject(bytes, "fuzz", budget);
    for (const program of programs) {
      expect(program.subprogs[0]!.start).toBe(0);
      tryTrust(program);
    }
    for (let id = 0; btf !== undefined && id < Math.min(btf.count, 8); id++) formatType(btf, id);
    if (btf !== undefined) functionModels(btf);
    return "loaded";
  } catch (error) {
    if (error instanceof BpfError && error.code !== "internal") return error.code;
    throw error;
  }
}

test("mutants of objects load or are refused, within their budget and in time", {
  timeout: 60_000 + 20 * MUTANTS,
}, () => {
  const outcomes: Record<string, number> = {};
  for (let i = 0; i < MUTANTS; i++) {
    const { what, bytes } = mutant(SEED * 1_000_003 + i);
    const budget = new Budget(BUDGET);
    const started = performance.now();
    try {
      const end = outcome(bytes, budget);
      outcomes[end] = (outcomes[end] ?? 0) + 1;
    } catch (error) {
      throw new Error(what, { cause: error });
    }
    if (performance.now() - started > PATIENCE)
      throw new Error(`${what}: took ${Math.round(performance.now() - started)} ms`);
    if (budget.used > BUDGET) throw new Error(`${what}: counted ${budget.used} bytes`);
  }
  expect(Object.values(outcomes).reduce((sum, count) => sum + count, 0)).toBe(MUTANTS);
  expect(Object.keys(outcomes)).toEqual(expect.arrayContaining(["loaded", "malformed", "unsupported"]));
  if (process.env.BPFKIT_FUZZ !== undefined) console.log(outcomes);
});
