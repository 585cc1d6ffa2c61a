// Known traps of the field: what merged fixes to kernel JITs were about, in cases of their own. Facts from the list in the README of
// github.com/uw-unsat/jitterbug; the cases are ours.
import type { ConformanceCase } from "../case.ts";
import { textCase } from "./text.ts";

const two = (a: string, b: string): string => `${a} ${b}`;
const ONES = "ff ff ff ff ff ff ff ff";
const HIGH = "00 00 00 00 01 00 00 00";
const ZERO = "00 00 00 00 00 00 00 00";
const FIVE = "05 00 00 00 00 00 00 00";
const LOAD = "r6 = *(u64 *)(r1 + 0)\nr7 = *(u64 *)(r1 + 8)\n";

/** Families of cases, one per trap. */
export function fieldCases(): readonly (readonly ConformanceCase[])[] {
  return [shifts(), upperHalves(), jset(), byteStores(), logicalImmediates(), clobbers(), frames(), farJumps()];
}

/** Shifts by 0 must change nothing, by the width and more only by what is left of the count. */
function shifts(): readonly ConformanceCase[] {
  return ["<<=", ">>=", "s>>="].flatMap((shift) => [
    textCase({
      name: `field: 64-bit ${shift} by an immediate 0`,
      group: "base64",
      asm: `${LOAD}r6 ${shift} 0\nr0 = r6\nexit`,
      runs: [{ mem: two("ef cd ab 89 67 45 23 f1", ZERO), r0: 0xf123_4567_89ab_cdefn }],
    }),
    textCase({
      name: `field: 64-bit ${shift} by a register that holds 0`,
      group: "base64",
      asm: `${LOAD}r6 ${shift} r7\nr0 = r6\nexit`,
      runs: [
        { mem: two("ef cd ab 89 67 45 23 f1", ZERO), r0: 0xf123_4567_89ab_cdefn },
        { mem: two("ef cd ab 89 67 45 23 f1", "40 00 00 00 00 00 00 00"), r0: 0xf123_4567_89ab_cdefn },
        { mem: two("ef cd ab 89 67 45 23 f1", HIGH), r0: 0xf123_4567_89ab_cdefn },
      ],
    }),
    textCase({
      name: `field: 32-bit ${shift} by a register that holds 0 or 32`,
      group: "base32",
      asm: `${LOAD}w6 ${shift} w7\nr0 = r6\nexit`,
      runs: [
        { mem: two("ef cd ab 89 67 45 23 f1", ZERO), r0: 0x89ab_cdefn },
        { mem: two("ef cd ab 89 67 45 23 f1", "20 00 00 00 00 00 00 00"), r0: 0x89ab_cdefn },
      ],
    }),
  ]);
}

/** Every 32-bit operation and every load clears the upper half, also where the operation changes nothing. */
function upperHalves(): readonly ConformanceCase[] {
  const rows = [
    ["add", "w6 += w7", 4n], ["add an immediate 0", "w6 += 0", 0xffff_ffffn], ["sub", "w6 -= w7", 0xffff_fffan], ["neg", "w6 = -w6", 1n],
    ["mul", "w6 *= w7", 0xffff_fffbn], ["or an immediate 0", "w6 |= 0", 0xffff_ffffn], ["and an immediate -1", "w6 &= -1", 0xffff_ffffn],
    ["xor an immediate 0", "w6 ^= 0", 0xffff_ffffn], ["lsh", "w6 <<= w7", 0xffff_ffe0n], ["lsh by 0", "w6 <<= 0", 0xffff_ffffn],
    ["rsh", "w6 >>= w7", 0x7ff_ffffn], ["rsh by 0", "w6 >>= 0", 0xffff_ffffn], ["arsh", "w6 s>>= w7", 0xffff_ffffn],
    ["arsh by 0", "w6 s>>= 0", 0xffff_ffffn], ["a move to itself", "w6 = w6", 0xffff_ffffn], ["a move of -1", "w6 = -1", 0xffff_ffffn],
    ["mod by 0", "w8 = 0\nw6 %= w8", 0xffff_ffffn], ["le32", "r6 = le32 r6", 0xffff_ffffn], ["be32", "r6 = be32 r6", 0xffff_ffffn],
  ] as const; // biome-ignore format: one row per operation
  const loads = [["u8", 0xffn], ["u16", 0xffffn], ["u32", 0xffff_ffffn]] as const; // biome-ignore format: one row
  return [
    ...rows.map(([name, asm, r0]) =>
      textCase({
        name: `field: the upper half after 32-bit ${name}`,
        group: "base32",
        asm: `${LOAD}${asm}\nr0 = r6\nexit`,
        runs: [{ mem: two(ONES, FIVE), r0 }],
      }),
    ),
    ...loads.map(([size, r0]) =>
      textCase({
        name: `field: the upper half after a load of ${size}`,
        group: "base32",
        asm: `r0 = -1\nr0 = *(${size} *)(r1 + 0)\nexit`,
        runs: [{ mem: ONES, r0 }],
      }),
    ),
  ];
}

/** A far jump whose distance a short one could hold. */
function farJumps(): readonly ConformanceCase[] {
  return [
    textCase({
      name: "field: gotol over little, forwards, back and nowhere",
      group: "base32-v4",
      asm: "r0 = 1\ngotol over\nback:\nr0 += 20\ngotol +0\nexit\nover:\nr0 += 300\ngotol back",
      runs: [{ r0: 321n }],
    }),
  ];
}

/** A 32-bit jump looks at no upper half; a test of bits leaves its operands alone. */
function jset(): readonly ConformanceCase[] {
  const taken = (condition: string): string => `${LOAD}r0 = 1\nif ${condition} goto +1\nr0 = 0\nr0 *= 2\nexit`;
  return [
    textCase({
      name: "field: 32-bit jset by a register, upper halves set",
      group: "base32",
      asm: taken("w6 & w7"),
      runs: [
        { mem: two(HIGH, HIGH), r0: 0n },
        { mem: two(HIGH, ONES), r0: 0n },
        { mem: two(ONES, FIVE), r0: 2n },
      ],
    }),
    textCase({
      name: "field: 32-bit jset by a negative immediate, upper half set",
      group: "base32",
      asm: taken("w6 & -1"),
      runs: [
        { mem: two(HIGH, ZERO), r0: 0n },
        { mem: two(ONES, ZERO), r0: 2n },
      ],
    }),
    textCase({
      name: "field: 64-bit jset by a negative immediate reaches the upper half",
      group: "base64",
      asm: taken("r6 & -2147483648"),
      runs: [
        { mem: two(HIGH, ZERO), r0: 2n },
        { mem: two(FIVE, ZERO), r0: 0n },
      ],
    }),
    ...["w6 & w7", "r6 & r7", "w6 == w7", "r6 s> r7", "r6 > 2147483647", "w6 s<= -5", "r6 & 1431655765"].map(
      (condition) =>
        textCase({
          name: `field: if ${condition} leaves its operands alone`,
          group: condition.startsWith("w") ? "base32" : "base64",
          asm: `${LOAD}if ${condition} goto +0\nif ${condition} goto +1\nr0 = r6\nr0 = r6\nr0 -= r7\nexit`,
          runs: [
            { mem: two(ONES, FIVE), r0: -6n },
            { mem: two(HIGH, ZERO), r0: 0x1_0000_0000n },
          ],
        }),
    ),
  ];
}

/** The low byte of every register, r10 among them: x86-64 needs a prefix for some, or stores another one's second byte. */
function byteStores(): readonly ConformanceCase[] {
  return [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((register) => {
    const base = register === 1 ? 2 : 1;
    const value = register === 10 ? "" : `r${register} = 0x1122334455667788 ll\n`;
    const check =
      register === 10 ? `r0 = *(u8 *)(r${base} + 0)\nr3 = r10\nr3 &= 255\nr0 ^= r3` : `r0 = *(u64 *)(r${base} + 0)`;
    return textCase({
      name: `field: a byte stored from r${register}`,
      group: "base32",
      asm: `r2 = r1\n${value}*(u8 *)(r${base} + 0) = r${register}\n${check}\nexit`,
      runs: [{ mem: ONES, r0: register === 10 ? 0n : 0xffff_ffff_ffff_ff88n }],
    });
  });
}

/** Masks that arm64 can and cannot write into an instruction, in both widths. */
function logicalImmediates(): readonly ConformanceCase[] {
  const masks = [
    0, -1, 1, -2, 0x7fff_ffff, -0x8000_0000, 0x5555_5555, -0x5555_5556, 0x0f0f_0f0f, 0x00ff_00ff, 0x3333_3333, -0x1000_0000, 0x3fc0, 0x1234_5678,
    0x7fff_fffe, 0x0001_0001, -0x7fff_ffff, 0xff00, 0x5555, 0x8000, 0x6000_0006,
  ]; // biome-ignore format: values
  const operations = {
    "&=": (a: bigint, b: bigint) => a & b,
    "|=": (a: bigint, b: bigint) => a | b,
    "^=": (a: bigint, b: bigint) => a ^ b,
  };
  const value = 0xfedc_ba98_7654_3210n;
  return masks.flatMap((mask) =>
    Object.entries(operations).flatMap(([operation, result]) => [
      textCase({
        name: `field: 64-bit ${operation} ${mask}`,
        group: "base64",
        asm: `r0 = ${value} ll\nr0 ${operation} ${mask}\nexit`,
        runs: [{ r0: result(value, BigInt.asUintN(64, BigInt(mask))) }],
      }),
      textCase({
        name: `field: 32-bit ${operation} ${mask}`,
        group: "base32",
        asm: `r0 = ${value} ll\nw0 ${operation} ${mask}\nexit`,
        runs: [{ r0: BigInt.asUintN(32, result(value, BigInt.asUintN(64, BigInt(mask)))) }],
      }),
    ]),
  );
}

/** Registers that a lowering needs for itself must not be those of the program. */
function clobbers(): readonly ConformanceCase[] {
  const all = [0, 2, 3, 4, 5, 6, 7, 8, 9];
  const rows = [
    ["a division", "r6 /= r7"], ["a 32-bit signed remainder", "w6 s%= w7"], ["a division by a constant", "r6 /= 10"],
    ["a shift by a register", "r6 <<= r7"], ["a 32-bit shift by a register", "w6 s>>= w7"], ["a multiplication by a constant", "r6 *= 1000003"],
    ["a wide constant", "r6 += 305419896"], ["a comparison with a wide constant", "if r6 s> 305419896 goto +0"],
    ["a store of a constant", "*(u64 *)(r10 - 8) = -5"], ["a far load", "r6 = *(u64 *)(r10 - 504)"],
    ["a compare and exchange that fails", "r0 = cmpxchg_64(r10 - 504, r0, r7)"], ["an exchange", "r7 = xchg_64(r10 - 504, r7)"],
    ["a fetching or", "r7 = atomic_fetch_or((u64 *)(r10 - 504), r7)"], ["a fetching 32-bit exclusive or", "w7 = atomic_fetch_xor((u32 *)(r10 - 504), w7)"],
    ["a byte swap", "r6 = bswap64 r6"],
  ] as const; // biome-ignore format: one row per operation
  return rows.map(([name, asm]) => {
    const touched = new Set([...asm.matchAll(/[rw](\d+)/g)].map(([, register]) => Number(register)));
    const kept = all.filter((register) => !touched.has(register));
    const value = (register: number): number => (register === 7 ? 3 : 1000 + register);
    return textCase({
      name: `field: ${name} keeps the other registers`,
      group: /bswap|s%/.test(asm) ? "base64-v4" : "base64",
      asm: [
        "*(u64 *)(r10 - 504) = 77",
        ...all.map((register) => `r${register} = ${value(register)}`),
        asm,
        "r1 = 0",
        ...kept.map((register) => `r1 *= 3\nr1 += r${register}`),
        "r0 = r1",
        "exit",
      ].join("\n"),
      runs: [{ r0: kept.reduce((sum, register) => 3n * sum + BigInt(value(register)), 0n) }],
    });
  });
}

/** Offsets of frames: a stack that fills all 512 bytes, and one that is not a multiple of 16. */
function frames(): readonly ConformanceCase[] {
  return [8, 16, 24, 40, 64, 120, 128, 136, 248, 256, 264, 504, 512].map((depth) =>
    textCase({
      name: `field: a stack of ${depth} bytes beside saved registers`,
      group: "base64",
      asm: `
        r6 = 6
        r7 = 7
        r9 = 9
        *(u64 *)(r10 - ${depth}) = 5
        *(u64 *)(r10 - 8) = 11
        call f
        r1 = *(u64 *)(r10 - ${depth})
        r0 += r1
        r1 = *(u64 *)(r10 - 8)
        r0 += r1
        r0 += r6
        r0 += r7
        r0 += r9
        exit
      f:
        r6 = 100
        r8 = 1000
        *(u64 *)(r10 - ${depth}) = -1
        *(u32 *)(r10 - 4) = -1
        r0 = r6
        r0 += r8
        exit`,
      runs: [{ r0: BigInt(1100 + (depth === 8 ? 22 : 16) + 22) }],
    }),
  );
}
