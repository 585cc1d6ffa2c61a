// What constant blinding is for: no number of a program's choice stands in its machine code, whole or in pieces.
import { arm64 } from "@bpfkit/arm64";
import { Random } from "@bpfkit/conformance";
import { assemble, type Backend, blindConstants, patch, trust, type VerifiedProgram } from "@bpfkit/core";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";

const PROGRAMS = 40;
const NUMBERS = 60;
const SEED = 7;

/** Instructions that hold the number K; each destination is a register of the program's. */
const TEMPLATES: readonly string[] = [
  "rD += K", "wD += K", "rD -= K", "rD *= K", "wD |= K", "rD &= K", "wD ^= K", "rD /= K", "wD %= K", "rD s/= K", "rD = K", "wD = K",
  "if rD > K goto out", "if wD s< K goto out", "if rD & K goto out", "if wD == K goto out",
  "*(u64 *)(r10 - 8) = K", "*(u32 *)(r10 - 8) = K", "rD = KK ll",
]; // biome-ignore format: a list

interface Sample {
  readonly program: VerifiedProgram;
  /** The numbers in it, 32 bits each. */
  readonly numbers: readonly number[];
}

/** How many random bits the numbers of a program have. Long ones have no short pieces by accident; short ones fit a short field whole. */
type Length = 32 | 12;

/** A program of random numbers that are all different. */
function sampleOf(seed: number, length: Length): Sample {
  const random = new Random(seed);
  const numbers: number[] = [];
  const draw = (): number => {
    for (;;) {
      const number = random.below(2 ** length);
      if (numbers.includes(number)) continue;
      numbers.push(number);
      return number;
    }
  };
  const text = Array.from({ length: NUMBERS }, () =>
    random
      .pick(TEMPLATES)
      .replace("D", String(random.below(10)))
      .replace("KK", () => `0x${((BigInt(draw()) << 32n) | BigInt(draw())).toString(16)}`)
      .replace("K", () => String(draw() | 0)),
  );
  return { program: trust(assemble(`${text.join("\n")}\nout:\nr0 = 0\nexit`)), numbers };
}

function blinded(sample: Sample, seed: number): VerifiedProgram {
  const random = new Random(seed);
  return patch(sample.program, [blindConstants(() => random.below(2 ** 32))]);
}

/** How often a number's 32 bits stand in the code, at any byte. */
function whole(code: Uint8Array, numbers: readonly number[]): number {
  const view = new DataView(code.buffer, code.byteOffset, code.length);
  const wanted = new Set(numbers);
  let found = 0;
  for (let at = 0; at + 4 <= code.length; at++) if (wanted.has(view.getUint32(at, true))) found++;
  return found;
}

/** A field of an instruction word that can hold a number. */
interface Field {
  readonly bits: 12 | 16 | 20;
  /** The numbers that would be seen in it. */
  readonly numbers: Length;
  /** The field's value in a word that has one. */
  readonly of: (word: number) => number | undefined;
}

/** The fields in which machine code holds numbers, by the opcodes of the instructions that have them. */
const FIELDS: Readonly<Record<string, readonly Field[]>> = {
  // movz, movn, movk; add, sub with 12 bits, which have a number whole or not at all
  arm64: [
    { bits: 16, numbers: 32, of: (word) => (((word >>> 23) & 0x3f) === 0x25 ? (word >>> 5) & 0xffff : undefined) },
    { bits: 12, numbers: 12, of: (word) => (((word >>> 23) & 0x3f) === 0x22 ? (word >>> 10) & 0xfff : undefined) },
  ],
  // lui, auipc; addi, addiw, xori, ori, andi
  riscv64: [
    {
      bits: 20,
      numbers: 32,
      of: (word) => ((word & 0x7f) === 0x37 || (word & 0x7f) === 0x17 ? word >>> 12 : undefined),
    },
    {
      bits: 12,
      numbers: 32,
      of: (word) => ((word & 0x7f) === 0x13 || (word & 0x7f) === 0x1b ? word >>> 20 : undefined),
    },
  ],
  "x86-64": [],
};

/** Every piece that a field could take from a number: a short one whole, of long ones arm64's halves, riscv64's upper 20 and lower 12 bits with or without the carry. */
function piecesOf(number: number, { bits, numbers }: Field): readonly number[] {
  if (numbers === bits) return [number];
  if (bits === 16) return [number & 0xffff, number >>> 16, ~number & 0xffff, (~number >>> 16) & 0xffff];
  if (bits === 12) return [number & 0xfff, (number >>> 12) & 0xfff];
  return [number >>> 12, ((number + 0x800) >>> 12) & 0xf_ffff];
}

interface Pieces {
  /** Fields that hold a piece of a number of their program. */
  readonly hits: number;
  /** How many would if what they hold had nothing to do with the numbers. */
  readonly chance: number;
}

function pieces(backend: Backend, image: Uint8Array, numbers: readonly number[], field: Field): Pieces {
  const { bits, of } = field;
  const wanted = new Set(numbers.flatMap((number) => piecesOf(number, field)));
  let [hits, fields] = [0, 0];
  for (const { bytes } of backend.disassemble(image)) {
    if (bytes.length !== 4) continue;
    const value = of(new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true));
    if (value === undefined) continue;
    fields++;
    if (wanted.has(value)) hits++;
  }
  return { hits, chance: (fields * wanted.size) / 2 ** bits };
}

/** Five standard deviations above the mean of a count. */
const limit = (chance: number): number => chance + 5 * Math.sqrt(chance) + 1;

const SAMPLES: Readonly<Record<Length, readonly Sample[]>> = {
  32: Array.from({ length: PROGRAMS }, (_, i) => sampleOf(SEED + i, 32)),
  12: Array.from({ length: PROGRAMS }, (_, i) => sampleOf(SEED + i, 12)),
};

/** Makes each value when it is first asked for. */
function once<K, V>(make: (key: K) => V): (key: K) => V {
  const made = new Map<K, V>();
  return (key) => {
    const value = made.get(key) ?? make(key);
    made.set(key, value);
    return value;
  };
}

describe.each([x86_64, arm64, riscv64].map((backend): [string, Backend] => [backend.arch, backend]))(
  "on %s",
  (arch, backend) => {
    const compiled = (programs: readonly VerifiedProgram[]): readonly Uint8Array[] =>
      programs.map((program) => backend.compile(program).code);
    const blindedCode = once((length: Length) =>
      compiled(SAMPLES[length].map((sample, i) => blinded(sample, 1000 + i))),
    );
    const plainCode = once((length: Length) => compiled(SAMPLES[length].map(({ program }) => program)));

    const wholes = (images: readonly Uint8Array[]): readonly number[] =>
      images.map((image, i) => whole(image, SAMPLES[32][i]!.numbers));
    const count = (images: readonly Uint8Array[], field: Field): Pieces => {
      const each = images.map((image, i) => pieces(backend, image, SAMPLES[field.numbers][i]!.numbers, field));
      return {
        hits: each.reduce((sum, { hits }) => sum + hits, 0),
        chance: each.reduce((sum, { chance }) => sum + chance, 0),
      };
    };

    test("no number stands whole", () => {
      expect(wholes(blindedCode(32)).filter((found) => found > 0)).toEqual([]);
    });

    test.each(FIELDS[arch]!.map((field) => [field.bits, field] as const))(
      "a piece of %i bits stands no more often than chance, and without blinding does",
      (_bits, field) => {
        const { hits, chance } = count(blindedCode(field.numbers), field);
        expect(hits).toBeLessThanOrEqual(limit(chance));
        expect(count(plainCode(field.numbers), field).hits).toBeGreaterThan(4 * limit(chance));
      },
    );

    // Where code is made of words, no field has 32 bits.
    test.runIf(arch === "x86-64")("without blinding numbers stand whole", () => {
      expect(wholes(plainCode(32)).reduce((sum, found) => sum + found, 0)).toBeGreaterThan(1000);
    });
  },
);
