// What is told of instructions: by example, and held against runs of random programs.
import { describe, expect, test } from "vitest";
import { Fact, type InsnFacts, PointerKind } from "../../src/analysis/facts.ts";
import { inferFacts } from "../../src/analysis/infer-facts.ts";
import { assemble } from "../../src/asm/parse.ts";
import { interpreter } from "../../src/machine/interpreter.ts";
import type { MapSpec } from "../../src/program.ts";
import { trust } from "../../src/trust.ts";
import { seeded } from "../patch/histories.ts";
import { Surroundings } from "../support/programs.ts";

const COUNTS: MapSpec = { name: "counts", type: 2, keySize: 4, valueSize: 16, maxEntries: 4, flags: 0 };

function factsOf(text: string, type = "syscall"): InsnFacts {
  return inferFacts(trust(assemble(text, { type, maps: [COUNTS] })));
}

function has(facts: InsnFacts, at: number, flag: number): boolean {
  return (facts.flags[at]! & flag) !== 0;
}

describe("pointers", () => {
  test("an access to the context knows its offset, through copies, sums and subprograms", () => {
    const facts = factsOf(`
      r6 = r1
      r6 += 8
      r0 = *(u32 *)(r6 + 4)
      r1 = r6
      call sub
      exit
    sub:
      r0 = *(u64 *)(r1 + 16)
      exit
    `);
    expect([facts.pointer[2], facts.offset[2]]).toEqual([PointerKind.CONTEXT, 12]);
    expect([facts.pointer[6], facts.offset[6]]).toEqual([PointerKind.CONTEXT, 24]);
    expect(has(facts, 2, Fact.OFFSET_KNOWN) && has(facts, 6, Fact.OFFSET_KNOWN)).toBe(true);
  });

  test("a spilled pointer is known again, until something may have written over it", () => {
    const facts = factsOf(`
      *(u64 *)(r10 - 8) = r1
      r2 = *(u64 *)(r10 - 8)
      r0 = *(u32 *)(r2 + 0)
      *(u8 *)(r10 - 3) = 1
      r2 = *(u64 *)(r10 - 8)
      r0 = *(u32 *)(r2 + 0)
      exit
    `);
    expect(facts.pointer[2]).toBe(PointerKind.CONTEXT);
    expect(facts.pointer[5]).toBe(PointerKind.UNKNOWN);
  });

  test("two pointers that meet are neither", () => {
    const facts = factsOf("if w1 == 0 goto +1\nr1 = r10\nr0 = *(u32 *)(r1 - 4)\nexit");
    expect(facts.pointer[2]).toBe(PointerKind.UNKNOWN);
  });

  test("a lookup tells map and constant key, and its value after the null check", () => {
    const facts = factsOf(`
      r6 = 3
      *(u32 *)(r10 - 4) = r6
      r1 = map[counts]
      r2 = r10
      r2 += -4
      call map_lookup_elem
      if r0 == 0 goto out
      r1 = *(u64 *)(r0 + 8)
    out:
      r0 = 0
      exit
    `);
    expect([facts.map[6], facts.index[6]]).toEqual([1, 3]);
    expect(has(facts, 6, Fact.INDEX_KNOWN)).toBe(true);
    expect([facts.pointer[8], facts.map[8], facts.offset[8]]).toEqual([PointerKind.MAP_VALUE, 1, 8]);
  });

  test("packet pointers come from the context of packet programs", () => {
    expect(factsOf("r2 = *(u32 *)(r1 + 0)\nr0 = *(u8 *)(r2 + 12)\nexit", "xdp").pointer[1]).toBe(PointerKind.PACKET);
    expect(factsOf("r2 = *(u32 *)(r1 + 0)\nr0 = *(u8 *)(r2 + 12)\nexit").pointer[1]).toBe(PointerKind.UNKNOWN);
  });
});

describe("numbers", () => {
  test("a divisor is not 0 after a check of its width, or by its bounds", () => {
    const facts = factsOf(`
      r2 = *(u32 *)(r1 + 0)
      r3 = *(u64 *)(r1 + 8)
      r0 = 9
      r0 /= r2
      if w2 == 0 goto out
      r0 /= r2
      if r3 == 0 goto out
      r0 /= r3
      w0 /= w3
      r4 = *(u8 *)(r1 + 1)
      r4 += 1
      r0 %= r4
      r0 /= 7
    out:
      exit
    `);
    expect([3, 5, 7, 8, 11, 12].map((at) => has(facts, at, Fact.DIVISOR_NONZERO))).toEqual([
      false,
      true,
      true,
      false,
      true,
      true,
    ]);
  });

  test("branches that constants decide are dead ends, and what only they reach never runs", () => {
    const facts = factsOf(`
      r2 = 5
      if r2 > 7 goto dead
      if r2 s< 6 goto live
    dead:
      r0 = 1
      exit
    live:
      r0 = 2
      exit
    `);
    expect(has(facts, 1, Fact.NEVER_TAKEN)).toBe(true);
    expect(has(facts, 2, Fact.ALWAYS_TAKEN)).toBe(true);
    expect([3, 4, 5, 6].map((at) => has(facts, at, Fact.UNREACHABLE))).toEqual([true, true, false, false]);
  });

  test("a count that a loop changes is not a constant", () => {
    const facts = factsOf("r2 = 0\nagain:\nr2 += 1\nif r2 != 10 goto again\nr0 = r2\nexit");
    expect(has(facts, 2, Fact.ALWAYS_TAKEN) || has(facts, 2, Fact.NEVER_TAKEN)).toBe(false);
    expect(has(facts, 4, Fact.UNREACHABLE)).toBe(false);
  });
});

describe("upper halves", () => {
  test("a 32-bit write needs its zeroes only where 64 bits are read", () => {
    const facts = factsOf(`
      w2 = 1
      w2 += 5
      w3 = w2
      r0 = r3
      exit
    `);
    expect([0, 1, 2].map((at) => has(facts, at, Fact.UPPER_UNUSED))).toEqual([true, true, false]);
  });
});

const OPERATIONS = ["+=", "-=", "*=", "|=", "&=", "^=", "<<=", ">>=", "s>>=", "/=", "%="];
const COMPARISONS = ["==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&"];
const NUMBERS = [0, 1, 2, 3, 7, 8, 31, 255, -1, -2, 65_536, 0x7fff_ffff, -0x8000_0000];

/** A program of small numbers, branches and stack slots that runs to its end. */
function randomText(random: (n: number) => number): string {
  const lines = ["r0 = 1", "r2 = *(u32 *)(r1 + 0)", "r3 = *(u8 *)(r1 + 4)", "r4 = 5", "r5 = *(u64 *)(r1 + 8)"];
  for (let slot = 1; slot <= 2; slot++) lines.push(`*(u64 *)(r10 - ${8 * slot}) = r${slot + 1}`);
  const count = 8 + random(25);
  for (let i = 0; i < count; i++) {
    const w = random(2) === 0 ? "w" : "r";
    const [dst, src] = [[0, 2, 3, 4, 5][random(5)]!, [0, 2, 3, 4, 5][random(5)]!];
    const operand = random(2) === 0 ? `${w}${src}` : `${NUMBERS[random(NUMBERS.length)]!}`;
    const kind = random(10);
    if (kind < 4) {
      const operation = OPERATIONS[random(OPERATIONS.length)]!;
      const shift = operation.includes("<<") || operation.includes(">>");
      lines.push(`${w}${dst} ${operation} ${shift && !operand.startsWith(w) ? random(32) : operand}`);
    } else if (kind === 4) lines.push(`${w}${dst} = ${operand}`);
    else if (kind === 5) lines.push(`*(u${random(2) === 0 ? 32 : 64} *)(r10 - ${8 + 8 * random(2)}) = r${src}`);
    else if (kind === 6) lines.push(`r${dst} = *(u${random(2) === 0 ? 32 : 64} *)(r10 - ${8 + 8 * random(2)})`);
    else {
      const left = Math.min(count - i - 1, 6);
      lines.push(`if ${w}${dst} ${COMPARISONS[random(COMPARISONS.length)]!} ${operand} goto +${random(left + 1)}`);
    }
  }
  return `${lines.join("\n")}\nexit\n`;
}

describe("facts hold", () => {
  test("in every step of 500 random programs with random contexts", () => {
    const random = seeded(7);
    let claims = 0;
    for (let round = 0; round < 500; round++) {
      const text = randomText(random);
      const program = trust(assemble(text));
      const facts = inferFacts(program);
      const { insns } = program.program;
      for (let run = 0; run < 3; run++) {
        const host = new Surroundings();
        const context = host.memory.allocate("data", 16, "context");
        const bytes = Uint8Array.from({ length: 16 }, () => (random(4) === 0 ? 0 : random(256)));
        host.memory.write(context.address, bytes);
        const execution = host.start(interpreter, program, { args: [context.address] });
        let before = -1;
        while (execution.step(1) === undefined) {
          const { at } = execution;
          const state = (): string => `${text}\nat ${at}, round ${round}`;
          const flags = facts.flags[at]!;
          if ((flags & Fact.UNREACHABLE) !== 0) expect.fail(`never runs\n${state()}`);
          if (before >= 0 && before < at + 1) {
            const jumped = at !== before + 1;
            const last = facts.flags[before]!;
            if (insns.off(before) !== 0 && (last & Fact.ALWAYS_TAKEN) !== 0 && !jumped)
              expect.fail(`always taken\n${state()}`);
            if ((last & Fact.NEVER_TAKEN) !== 0 && jumped) expect.fail(`never taken\n${state()}`);
          }
          const wide = (insns.code(at) & 7) === 7;
          const operand = execution.register(insns.src(at));
          const value = wide ? operand : BigInt.asUintN(32, operand);
          const byRegister = (insns.code(at) & 8) !== 0;
          if ((flags & Fact.DIVISOR_NONZERO) !== 0 && byRegister) {
            claims++;
            if (value === 0n) expect.fail(`divisor\n${state()}`);
          }
          if ((flags & Fact.SHIFT_IN_RANGE) !== 0 && byRegister) {
            claims++;
            if (value >= (wide ? 64n : 32n)) expect.fail(`shift\n${state()}`);
          }
          before = at;
        }
      }
    }
    expect(claims).toBeGreaterThan(500);
  });
});
