// Cases of branch distances: both sides of every range that an architecture has, forwards and backwards; and long programs.
import { calculate, type Operation } from "../arithmetic.ts";
import type { ConformanceCase } from "../case.ts";
import type { Group } from "../group.ts";
import { Random } from "../random.ts";
import { Code } from "./code.ts";

/** Families of cases, one per range. */
export function distanceCases(): readonly (readonly ConformanceCase[])[] {
  return [
    // ±127 bytes (x86-64 short), ±256 (compressed conditional): a step of every instruction.
    [everyDistance(), ...range("near", span(0, 70), SMALL)],
    // ±2 KiB (compressed jump), ±4 KiB (conditional), in steps of one instruction of 4 bytes; and of 2 where it can be compressed.
    range("2 KiB", [509, 510, 511, 512, 513, 514], WORD),
    range("4 KiB", span(1018, 1026), WORD),
    range("4 KiB in small steps", [2039, 2040, 2043, 2044, 2045, 2046, 2047, 2048, 2049, 2050], SMALL),
  ];
}

/** Families of cases that take longer: long ones. */
export function longCases(): readonly (readonly ConformanceCase[])[] {
  return [
    // ±32 KiB (test-bit branches), the 16 bits of BPF's own offset.
    range("32 KiB", [8188, 8189, 8190, 8191, 8192, 8193], WORD),
    range("16-bit offset", [32_760, 32_764], WORD),
    mebibyte(),
    far(),
    long(),
  ];
}

/** What lies between a jump and its target; it runs only where the jump is not taken. */
type Filler = (code: Code, count: number) => void;

/** Two to four bytes: no immediate, low registers. */
const SMALL: Filler = (code, count) => code.fill(count, "add64_reg", 3, 4);
/** Four bytes on every architecture. */
const WORD: Filler = (code, count) => code.fill(count, "mul64_reg", 3, 4);
/** 36 bytes an instruction, more than any other takes: 1,048,536 of them, and words. Only in programs with a packet. */
const ALMOST_MEBIBYTE: Filler = (code, count) => {
  code.fill(29_126, "ld_ind32", 0, 3, 0, 0x1234_5678);
  WORD(code, count);
};
/** 16 bytes an instruction, for jumps that BPF's 16 bits do not hold: 1,048,544 of them, and words. */
const ALMOST_MEBIBYTE_OF_STORES: Filler = (code, count) => {
  code.fill(65_534, "store64_imm", 9, 0, 32_767, 0x1234_5678);
  WORD(code, count);
};

/** ±1 MiB, where conditional branches of arm64 and jumps of riscv64 end: a word on both sides of it. */
function mebibyte(): readonly ConformanceCase[] {
  const [conditional] = JUMPS;
  return [7, 8, 9, 10].flatMap((count) => [
    forwards("1 MiB and", count, ALMOST_MEBIBYTE, [conditional!], "socket_filter"),
    backwards("1 MiB and", count, ALMOST_MEBIBYTE, ["jlt64_imm"], "socket_filter"),
    forwards("1 MiB and, gotol", count - 2, ALMOST_MEBIBYTE_OF_STORES, [[3, (code) => code.put("gotol")]]),
    backwards("1 MiB and, gotol", count - 2, ALMOST_MEBIBYTE_OF_STORES, ["gotol"]),
  ]);
}

const span = (from: number, to: number): readonly number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

function range(name: string, counts: readonly number[], filler: Filler): readonly ConformanceCase[] {
  return counts.flatMap((count) => [forwards(name, count, filler), backwards(name, count, filler)]);
}

function lazily(
  name: string,
  group: Group,
  value: bigint,
  budget: number,
  write: (code: Code) => void,
  type = "syscall",
): ConformanceCase {
  return {
    name,
    group,
    get program() {
      const code = new Code();
      write(code);
      return code.program(name, type);
    },
    runs: [{ expect: { kind: "result", value } }],
    budget,
  };
}

/** Above this, a case has one jump instead of all. */
const MANY = 3000;

type Jump = readonly [bit: number, put: (code: Code) => void];

const JUMPS: readonly Jump[] = [
  [0, (code) => code.put("jeq64_reg", 3, 4)],
  [1, (code) => code.put("jset32_imm", 3, 0, 0, 1)],
  [2, (code) => code.put("jsgt64_imm", 3, 0, 0, 1)], // the one that is not taken
  [3, (code) => code.put("ja")],
];

/** Jumps over 0 to 70 instructions, and back over as many, in one program. */
function everyDistance(): ConformanceCase {
  const counts = span(0, 70);
  return lazily(
    "near: jumps over up to 70 instructions, and back",
    "base64",
    BigInt(101 * counts.length),
    5000,
    (code) => {
      code.put("mov64_imm", 0, 0, 0, 0);
      code.put("mov64_imm", 3, 0, 0, 1);
      for (const count of counts) {
        const over = code.at;
        code.put(count % 2 === 0 ? "ja" : "jeq64_imm", count % 2 === 0 ? 0 : 3, 0, 0, count % 2);
        const back = code.at;
        code.put("add64_imm", 0, 0, 0, 100);
        const out = code.at;
        code.put("ja");
        SMALL(code, count);
        code.land(over);
        code.put("add64_imm", 0, 0, 0, 1);
        if (count % 3 === 0) code.put("ja", 0, 0, back - code.at - 1);
        else code.put("jeq64_imm", 3, 0, back - code.at - 1, 1);
        code.land(out);
      }
      code.put("exit");
    },
  );
}

/** r0 collects a bit for each jump that arrived; a jump that is not taken goes through the filler. */
function forwards(
  name: string,
  count: number,
  filler: Filler,
  jumps: readonly Jump[] = count > MANY ? [JUMPS[count % 2 === 0 ? 0 : 3]!] : JUMPS,
  type?: string,
): ConformanceCase {
  const value = jumps.reduce((sum, [bit]) => (bit === 2 ? sum : sum | (1n << BigInt(bit))), 0n);
  return lazily(
    `${name}: jumps over ${count} instructions`,
    "base64",
    value,
    60 * count + 1000,
    (code) => {
      code.put("mov64_imm", 0, 0, 0, 0);
      code.put("mov64_imm", 3, 0, 0, 1);
      code.put("mov64_imm", 4, 0, 0, 1);
      for (const [bit, put] of jumps) {
        const at = code.at;
        put(code);
        filler(code, count);
        if (bit === 2) code.put("ja", 0, 0, 1);
        code.land(at);
        code.put("or64_imm", 0, 0, 0, 1 << bit);
      }
      code.put("exit");
    },
    type,
  );
}

type Back = "jlt64_imm" | "jne32_imm" | "ja" | "gotol";
const BACK: readonly Back[] = ["jlt64_imm", "jne32_imm", "ja"];

/** Jumps back over the filler, once each; the first time, they are reached by a jump over it. */
function backwards(
  name: string,
  count: number,
  filler: Filler,
  ops: readonly Back[] = count > MANY ? [BACK[count % 3]!] : BACK,
  type?: string,
): ConformanceCase {
  const away = ops.includes("gotol") ? "gotol" : "ja";
  const value = (1n << BigInt(ops.length)) - 1n;
  return lazily(
    `${name}: jumps back over ${count} instructions`,
    "base64",
    value,
    1000,
    (code) => {
      code.put("mov64_imm", 0, 0, 0, 0);
      code.put("mov64_imm", 3, 0, 0, 1);
      code.put("mov64_imm", 4, 0, 0, 1);
      for (const [bit, op] of ops.entries()) {
        const over = code.at;
        code.put(away);
        const back = code.at;
        code.put("or64_imm", 0, 0, 0, 1 << bit);
        const out = code.at;
        code.put(away);
        filler(code, count);
        code.land(over);
        const at = code.at;
        if (op === "ja") code.put(op, 0, 0, back - at - 1);
        else if (op === "gotol") code.put(op, 0, 0, 0, back - at - 1);
        else code.put(op, 3, 0, back - at - 1, 5);
        code.land(out);
      }
      code.put("exit");
    },
    type,
  );
}

/** gotol over more than 16 bits of instructions, and over more than 1 MiB of code; a subprogram that far away. */
function far(): readonly ConformanceCase[] {
  const store: Filler = (code, count) => code.fill(count, "store64_imm", 10, 0, -200, 0x1234_5678);
  return [
    ...[32_767, 32_768, 70_000, 150_000].map((count) =>
      lazily(`gotol: over ${count} instructions and back`, "base32-v4", 7n, 1000, (code) => {
        code.put("mov64_imm", 0, 0, 0, 1);
        const over = code.at;
        code.put("gotol");
        const back = code.at;
        code.put("or64_imm", 0, 0, 0, 4);
        code.put("exit");
        store(code, count);
        code.land(over);
        code.put("or64_imm", 0, 0, 0, 2);
        code.put("gotol", 0, 0, 0, back - code.at - 1);
      }),
    ),
    lazily("call: over 120000 instructions", "base32", 45n, 1000, (code) => {
      code.put("mov64_imm", 6, 0, 0, 3);
      code.put("mov64_imm", 1, 0, 0, 42);
      const call = code.at;
      code.put("call_subprog");
      code.put("add64_reg", 0, 6);
      code.put("exit");
      store(code, 120_000);
      code.put("ja", 0, 0, -2);
      code.land(call);
      code.put("mov64_imm", 6, 0, 0, 9);
      code.put("mov64_reg", 0, 1);
      code.put("exit");
    }),
  ];
}

/** Programs of many instructions; what they give is calculated beside. Of the longest, most are jumped over. */
function long(): readonly ConformanceCase[] {
  return [
    [2_000, 2_000],
    [30_000, 30_000],
    [200_000, 10_000],
  ].map(([count, run]) => {
    const steps = run! / 2 - 2;
    const value = walk(count!, steps, () => {});
    return lazily(`${count} instructions, of which ${run} run`, "base64", value, 8 * run!, (code) => {
      code.put("mov64_imm", 0, 0, 0, 1);
      let left = steps >> 1;
      walk(count!, steps, (op, imm) => {
        code.put("mov64_imm", 1, 0, 0, imm);
        code.put(op, 0, 0, 0, imm);
        if (--left !== 0 || count === run) return;
        const over = code.at;
        code.put("gotol");
        code.fill(count! - run!, "or64_imm", 0, 0, 0, 0x1234_5678);
        code.land(over);
      });
      code.put("exit");
    });
  });
}

const LONG = ["add64_imm", "xor64_imm", "mul64_imm", "sub64_imm", "add32_imm", "arsh64_imm", "or64_imm"] as const;

/** r0 after `steps` operations on 1; `visit` gets each of them. */
function walk(seed: number, steps: number, visit: (op: (typeof LONG)[number], imm: number) => void): bigint {
  const random = new Random(seed);
  let value = 1n;
  for (let i = 0; i < steps; i++) {
    const op = random.pick(LONG);
    const imm = op === "arsh64_imm" ? random.below(64) : random.bits() | 0;
    const [, operation, bits] = /^([a-z]+)(64|32)/.exec(op)!;
    value = calculate(operation as Operation, bits === "32" ? 32 : 64, value, BigInt(imm));
    visit(op, imm);
  }
  return value;
}
