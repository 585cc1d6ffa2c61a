// What a verification finds of instructions makes images smaller, and they still do what the interpreter does.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { arm64 } from "@bpfkit/arm64";
import { generateProgram, Random } from "@bpfkit/conformance";
import {
  assemble,
  type Backend,
  Fact,
  jit,
  MAP_TYPES,
  type MapSpec,
  type Program,
  patch,
  removeDeadCode,
  type Verified,
  type VerifiedProgram,
  verify,
} from "@bpfkit/core";
import { Lockstep } from "@bpfkit/kernel";
import { loadObject } from "@bpfkit/object";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";

const BACKENDS: readonly Backend[] = [x86_64, arm64, riscv64];
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** Programs per backend; BPFKIT_PROGRAMS asks for more. */
const PROGRAMS = Number(process.env.BPFKIT_PROGRAMS ?? 40);

function accepted(program: Program): Verified {
  const result = verify(program);
  if (!result.ok) throw new Error(`${program.name}: ${result.reason}`);
  return result;
}

/** The same with nothing known of it. */
function bare({ facts: _, ...rest }: VerifiedProgram): VerifiedProgram {
  return rest;
}

const withoutDeadCode = (program: VerifiedProgram): VerifiedProgram => patch(program, [removeDeadCode]);

/** The machine code of an instruction. */
function codeOf(backend: Backend, program: VerifiedProgram, slot: number, layout = {}): readonly string[] {
  const { code, boundaries, ends } = backend.compile(program, { layout });
  return Array.from(backend.disassemble(code))
    .filter(({ offset }) => offset >= boundaries[slot]! && offset < ends[slot]!)
    .map(({ text }) => text);
}

describe.each(BACKENDS.map((backend) => [backend.arch, backend] as const))("%s", (_, backend) => {
  test.each([
    ["all features", {}],
    ["none", Object.fromEntries(Object.keys(backend.capabilities.features).map((name) => [name, false]))],
  ])("runs generated programs that were verified as the interpreter does (%s)", (_features, features) => {
    const lockstep = new Lockstep({ engine: jit(backend, { features }), disassemble: backend.disassemble });
    let tops = 0;
    for (let seed = 1; seed <= PROGRAMS; seed++) {
      const result = accepted({ ...generateProgram(seed, { size: 10 + (seed % 60) }), sleepable: true });
      const random = new Random(seed);
      const context = Uint8Array.from({ length: 64 }, () => random.below(256));
      tops += result.facts.flags.filter((flags) => (flags & Fact.TOP_CLEAR) !== 0).length;
      for (const program of [result.program, withoutDeadCode(result.program)]) {
        const loaded = lockstep.load(program);
        const { difference, undefinedUse, programFault } = loaded.run({ budget: 100_000, context });
        loaded.release();
        if (difference !== undefined) expect.fail(`seed ${seed}: ${difference.listing}`);
        expect({ undefinedUse, programFault }, `seed ${seed}`).toEqual({});
      }
    }
    expect(tops).toBeGreaterThan(PROGRAMS / 4);
  });

  test("looks for no index beyond an array where there is none", () => {
    const table: MapSpec = {
      name: "table",
      type: MAP_TYPES.prog_array,
      keySize: 4,
      valueSize: 4,
      maxEntries: 8,
      flags: 0,
    };
    const text = (mask: number) =>
      `r3 = *(u32 *)(r1 + 16)\nr3 &= ${mask}\nr2 = map[table]\ncall bpf_tail_call\nr0 = 2\nexit`;
    const program = (mask: number) => accepted(assemble(text(mask), { type: "xdp", maps: [table] })).program;
    const [inside, outside] = [7, 15].map((mask) => codeOf(backend, program(mask), 4));
    expect(outside).toEqual(codeOf(backend, bare(program(7)), 4));
    expect(outside!.length - inside!.length).toBe(backend.arch === "arm64" ? 5 : 3);
  });
});

test("a sum that fits 31 bits is one instruction on riscv64, whatever is above its operands", () => {
  const sum = (most: number) =>
    `r6 = *(u8 *)(r1 + 0)\nr7 = *(u32 *)(r1 + 4)\nif r7 > ${most} goto out\nw6 += w7\nr0 = r6\nexit\nout:\nr0 = 0\nexit`;
  const program = (most: number) => accepted(assemble(sum(most), { type: "socket_filter" })).program;
  expect(codeOf(riscv64, program(1000), 3)).toHaveLength(1);
  expect(codeOf(riscv64, program(0x7fff_ffff), 3)).toHaveLength(2);
  expect(codeOf(riscv64, bare(program(1000)), 3)).toHaveLength(2);
});

/** Rows of bytes: with nothing known, verified, and without dead code. */
function sizes(): string {
  const objects = readdirSync(join(ROOT, "examples"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".bpf.o"))
    .sort();
  const programs = objects.flatMap(
    (file) => loadObject(new Uint8Array(readFileSync(join(ROOT, "examples", file)))).programs,
  );
  const rows = programs.map((program) => {
    const known = accepted(program).program;
    return [program.name, ...BACKENDS.flatMap((backend) => bytesOf(backend, known))];
  });
  const total = ["all", ...rows[0]!.slice(1).map((_, i) => rows.reduce((sum, row) => sum + Number(row[i + 1]), 0))];
  const line = (row: readonly (string | number)[]): string => {
    const cells = [0, 1, 2].map((i) => row.slice(1 + 3 * i, 4 + 3 * i).join(" → "));
    return `| ${[row[0], ...cells].join(" | ")} |`;
  };
  return [
    `| program | ${BACKENDS.map(({ arch }) => arch).join(" | ")} |`,
    "|---|---|---|---|",
    ...[...rows, total].map(line),
  ].join("\n");
}

function bytesOf(backend: Backend, known: VerifiedProgram): readonly number[] {
  return [bare(known), known, withoutDeadCode(known)].map((program) => backend.compile(program).code.length);
}

test("the sizes of the examples' images are those of the page", () => {
  const page = readFileSync(join(ROOT, "docs", "verifier.md"), "utf8");
  const table = /^\| program \|.*\n(\|.*\n)+/m.exec(page)![0];
  expect(table).toBe(`${sizes()}\n`);
});
