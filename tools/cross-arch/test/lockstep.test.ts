// Compiled code against the interpreter, instruction by instruction: generated programs, and hand-written ones with maps and packets.
import { arm64 } from "@bpfkit/arm64";
import { generateProgram, Random } from "@bpfkit/conformance";
import { assemble, type Backend, formatProgram, jit, type MapSpec, type Program, trust } from "@bpfkit/core";
import { Lockstep, type RunOptions } from "@bpfkit/kernel";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";

const BACKENDS: readonly Backend[] = [x86_64, arm64, riscv64];
/** Programs per backend; BPFKIT_PROGRAMS asks for more. */
const PROGRAMS = Number(process.env.BPFKIT_PROGRAMS ?? 300);

const MAPS: readonly MapSpec[] = [
  { name: "sources", type: 9, keySize: 4, valueSize: 16, maxEntries: 32, flags: 0 },
  { name: "verdicts", type: 6, keySize: 4, valueSize: 8, maxEntries: 5, flags: 0 },
  { name: "total", type: 2, keySize: 4, valueSize: 8, maxEntries: 1, flags: 0 },
];

/** Counts packets by their first bytes, sums up their contents in a loop with a callback, and drops some. */
const FILTER = `
    r6 = r1
    r7 = *(u32 *)(r6 + 0)
    r8 = *(u32 *)(r6 + 4)
    r0 = 0
    r1 = r7
    r1 += 18
    if r1 > r8 goto count
    *(u64 *)(r10 - 16) = r7
    *(u64 *)(r10 - 24) = 0
    r1 = r8
    r1 -= r7
    r2 = subprog[add]
    r3 = r10
    r3 += -24
    r4 = 0
    call loop
    r1 = *(u32 *)(r7 + 0)
    *(u32 *)(r10 - 28) = r1
    r1 = r10
    r1 += -28
    r2 = *(u64 *)(r10 - 24)
    call record
    r1 = map[total][0]+0
    r2 = *(u64 *)(r10 - 24)
    lock *(u64 *)(r1 + 0) += r2
    r0 = 2
    r1 = *(u8 *)(r7 + 5)
    if r1 != 0 goto count
    r1 = r6
    r2 = -4
    call xdp_adjust_head
    r0 = 1
count:
    *(u32 *)(r10 - 4) = r0
    r9 = r0
    r1 = map[verdicts]
    r2 = r10
    r2 += -4
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = *(u64 *)(r0 + 0)
    r1 += 1
    *(u64 *)(r0 + 0) = r1
out:
    r0 = r9
    exit
add:
    r1 &= 0xfff
    r3 = *(u64 *)(r2 + 8)
    r3 += r1
    r4 = *(u8 *)(r3 + 0)
    r5 = *(u64 *)(r2 + 0)
    r5 += r4
    *(u64 *)(r2 + 0) = r5
    r0 = 0
    exit
record:
    r6 = r1
    r7 = r2
    r2 = r6
    r1 = map[sources]
    call map_lookup_elem
    if r0 != 0 goto known
    *(u64 *)(r10 - 16) = 1
    *(u64 *)(r10 - 8) = r7
    r1 = map[sources]
    r2 = r6
    r3 = r10
    r3 += -16
    r4 = 0
    call map_update_elem
    r0 = 0
    exit
known:
    r1 = *(u64 *)(r0 + 0)
    r1 += 1
    *(u64 *)(r0 + 0) = r1
    if r1 != 3 goto quiet
    w1 = 0x000a6425
    *(u32 *)(r10 - 4) = r1
    r1 = r10
    r1 += -4
    r2 = 4
    r3 = *(u64 *)(r0 + 0)
    call trace_printk
quiet:
    r0 = 1
    exit
`;

const TRAPS: readonly string[] = [
  "r1 = 64\nr0 = *(u32 *)(r1 + 4)\nexit",
  "r0 = *(u64 *)(r1 + 4)\nexit",
  "*(u16 *)(r1 - 1) = 5\nr0 = 0\nexit",
  "r2 = 1\nr3 = 0x100000000 ll\nlock *(u64 *)(r3 + 0) += r2\nr0 = 0\nexit",
  "r1 = 0\nr2 = 8\nr3 = r10\ncall probe_read_kernel\nexit",
  "r1 = r10\ncall callee\nexit\ncallee:\nr2 = *(u64 *)(r1 + 64)\nr0 = 0\nexit",
];

const SMALL = { sizes: { text: 64 << 10, data: 64 << 10 } };

function contextOf(seed: number): Uint8Array {
  const random = new Random(seed);
  return Uint8Array.from({ length: 64 }, () => random.below(256));
}

describe.each(BACKENDS.map((backend) => [backend.arch, backend] as const))("%s", (_arch, backend) => {
  const engine = jit(backend);

  /** The report of the first difference, or nothing. */
  function differ(lockstep: Lockstep, program: Program, options: RunOptions): string | undefined {
    const loaded = lockstep.load(trust(program));
    try {
      const { difference, undefinedUse, programFault } = loaded.run({ budget: 100_000, ...options });
      if (programFault !== undefined) return `${programFault.detail} at ${programFault.at}\n${formatProgram(program)}`;
      if (undefinedUse !== undefined)
        return `an undefined value decides at ${undefinedUse.at}\n${formatProgram(program)}`;
      return difference && `${difference.listing}\n\n${formatProgram(program)}`;
    } finally {
      loaded.release();
    }
  }

  test("runs generated programs as the interpreter does, at every boundary", () => {
    const lockstep = new Lockstep({ engine, disassemble: backend.disassemble });
    for (let seed = 1; seed <= PROGRAMS; seed++) {
      const program = generateProgram(seed, { size: 10 + (seed % 60), verifiable: seed % 2 === 0 });
      const difference = differ(lockstep, program, { context: contextOf(seed) });
      if (difference !== undefined) expect.fail(`seed ${seed}: ${difference}`);
    }
    const { boundaries, instructions } = lockstep.counts;
    expect(boundaries).toBeGreaterThan(10 * PROGRAMS);
    expect(boundaries / instructions).toBeGreaterThan(0.95);
  });

  test("runs a packet filter with maps, subprograms and callbacks as the interpreter does", () => {
    const maps = MAPS.map((spec) => ({ ...spec }));
    const lockstep = new Lockstep({ engine, cpus: 2, seed: 3, disassemble: backend.disassemble });
    const program = lockstep.load(trust(assemble(FILTER, { type: "xdp", maps })));
    const random = new Random(9);
    const verdicts = [0, 0, 0, 0, 0];
    for (let i = 0; i < 200; i++) {
      const data = Uint8Array.from({ length: 14 + random.below(100) }, () => random.below(4));
      const { difference, undefinedUse, subject } = program.run({ data, cpu: i % 2 });
      if (difference !== undefined) expect.fail(difference.listing);
      expect(undefinedUse).toBeUndefined();
      verdicts[subject.returnValue!]!++;
    }
    expect(lockstep.compareMaps()).toBeUndefined();
    expect(verdicts.every((count, verdict) => verdict === 3 || verdict === 4 || count > 0)).toBe(true);
    expect(lockstep.subject.trace.length).toBeGreaterThan(0);
  });

  test("is caught when one bit of its code is wrong, if that bit matters", () => {
    const random = new Random(17);
    let caught = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const broken = jit({
        ...backend,
        link: (image, address, resolve) => {
          const code = backend.link(image, address, resolve);
          code[random.below(code.length)]! ^= 1 << random.below(8);
          return code;
        },
      });
      const lockstep = new Lockstep({ engine: broken, disassemble: backend.disassemble, memory: SMALL });
      if (
        differ(lockstep, generateProgram(seed, { size: 12, subprogs: 0 }), { context: contextOf(seed) }) !== undefined
      )
        caught++;
    }
    expect(caught).toBeGreaterThan(30);
  });

  test("traps where the interpreter traps", () => {
    const lockstep = new Lockstep({ engine, disassemble: backend.disassemble });
    for (const text of TRAPS) {
      const { difference, subject } = lockstep.load(trust(assemble(text))).run({ context: new Uint8Array(8) });
      if (difference !== undefined) expect.fail(difference.listing);
      expect(subject.stop.kind, text).toBe("trap");
    }
  });
});
