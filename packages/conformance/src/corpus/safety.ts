// Cases of what may not happen: accesses outside of memory, which have to trap, and programs that have no shape to run.
import { INSNS, type InsnRow, Insns, type Op, type Program, packWord } from "@bpfkit/core";
import type { ConformanceCase } from "../case.ts";
import { textCase } from "./text.ts";

/** Families of cases, one per subject. */
export function safetyCases(): readonly (readonly ConformanceCase[])[] {
  return [outside(), wild(), rejects()];
}

const MEM = "01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10";
const SIZES = [
  ["u8", 1],
  ["u16", 2],
  ["u32", 4],
  ["u64", 8],
] as const;

/** The last byte inside, and the first outside, on both ends of memory. */
function outside(): readonly ConformanceCase[] {
  return SIZES.flatMap(([type, size]) => {
    const wide = size === 8 ? "r" : "w";
    const atomic = size >= 4 ? [[`lock *(${type} *)(r1 + OFF) += ${wide}2`, "access"] as const] : [];
    const forms = [
      [`r0 = *(${type} *)(r1 + OFF)`, "load"],
      ...(size < 8 ? [[`r0 = *(s${8 * size} *)(r1 + OFF)`, "load"] as const] : []),
      [`*(${type} *)(r1 + OFF) = r2`, "store"],
      [`*(${type} *)(r1 + OFF) = 5`, "store"],
      [`store_release((${type} *)(r1 + OFF), ${wide}2)`, "store"],
      [`${wide}0 = load_acquire((${type} *)(r1 + OFF))`, "load"],
      ...atomic,
    ] as const;
    return forms.flatMap(([form, cause]) => {
      const aligned = /lock|release|acquire/.test(form);
      const step = aligned ? size : 1;
      const at = (off: number): string =>
        `r2 = 0\n${form.replace("+ OFF", off < 0 ? `- ${-off}` : `+ ${off}`)}\nr0 = 0\nexit`;
      const name = form.replace("OFF", "off");
      return [
        textCase({
          name: `the last place: ${name}`,
          group: "safety",
          asm: at(16 - size),
          runs: [{ mem: MEM, r0: 0n }],
        }),
        textCase({
          name: `behind the end: ${name}`,
          group: "safety",
          asm: at(16 - size + step),
          runs: [{ mem: MEM, trap: cause }],
        }),
        textCase({
          name: `before the start: ${name}`,
          group: "safety",
          asm: at(-step),
          runs: [{ mem: MEM, trap: cause }],
        }),
      ];
    });
  });
}

/** Addresses that are nobody's. */
function wild(): readonly ConformanceCase[] {
  const addresses = [
    0n,
    8n,
    4096n,
    0xffff_ffffn,
    0x1_0000_0000n,
    0x7fff_ffff_ffff_fff8n,
    0x8000_0000_0000_0000n,
    -8n,
    -1n,
  ];
  return addresses.flatMap((address) => [
    textCase({
      name: `load from ${address}`,
      group: "safety",
      asm: `r1 = ${address} ll\nr0 = *(u64 *)(r1 + 0)\nexit`,
      runs: [{ trap: "load" }],
    }),
    textCase({
      name: `store to ${address}`,
      group: "safety",
      asm: `r1 = ${address} ll\n*(u64 *)(r1 + 0) = 5\nr0 = 0\nexit`,
      runs: [{ trap: "store" }],
    }),
  ]);
}

function raw(words: readonly number[]): Program {
  const insns = new Insns(Int32Array.from(words));
  return {
    name: "raw",
    type: "syscall",
    license: "GPL",
    insns,
    subprogs: [{ name: "main", start: 0 }],
    maps: [],
    kfuncs: [],
  };
}

type Insn = readonly [op: Op, dst?: number, src?: number, off?: number, imm?: number];

const word = ([op, dst = 0, src = 0, off = 0, imm = 0]: Insn): readonly number[] => {
  const row: InsnRow = INSNS[op];
  return [packWord(row.code, dst, row.src ?? src, row.off ?? off), row.imm ?? imm];
};

const END: readonly Insn[] = [["mov64_imm"], ["exit"]];

function rejects(): readonly ConformanceCase[] {
  const rejected = (name: string, words: readonly number[]): ConformanceCase => ({
    name: `refused: ${name}`,
    group: "safety",
    program: { ...raw(words), name: `refused: ${name}` },
    runs: [{ expect: { kind: "reject" } }],
  });
  const of = (...insns: readonly Insn[]): readonly number[] => insns.flatMap(word);
  const known = new Set(Object.values(INSNS).map(({ code }) => code as number));
  const unknown = Array.from({ length: 256 }, (_, code) => code).filter((code) => !known.has(code));
  return [
    rejected("no instructions", []),
    rejected("no end", of(["mov64_imm"])),
    rejected("a conditional jump as the last instruction", of(...END, ["jeq64_imm", 0, 0, -1])),
    rejected("a call as the last instruction", of(["mov64_imm"], ["call_helper", 0, 0, 0, 8])),
    rejected("a jump behind the end", of(["ja", 0, 0, 2], ...END)),
    rejected("a jump before the start", of(["ja", 0, 0, -2], ...END)),
    rejected("a conditional jump behind the end", of(["jne64_imm", 1, 0, 2, 5], ...END)),
    rejected("a far jump behind the end", of(["gotol", 0, 0, 0, 2], ...END)),
    rejected("a far jump before the start", of(["gotol", 0, 0, 0, -0x8000_0000], ...END)),
    rejected("a jump into a two-slot load", [...of(["ja", 0, 0, 1], ["lddw", 1]), 0, 0, ...of(...END)]),
    rejected("a may_goto behind the end", of(["may_goto", 0, 0, 2], ...END)),
    rejected("a call into a two-slot load", [
      ...of(["call_subprog", 0, 0, 0, 3], ...END, ["lddw", 1]),
      0,
      0,
      ...of(...END),
    ]),
    rejected("a call behind the end", of(["call_subprog", 0, 0, 0, 2], ...END)),
    rejected("a call before the start", of(["call_subprog", 0, 0, 0, -2], ...END)),
    rejected(
      "a jump into another subprogram",
      of(["call_subprog", 0, 0, 0, 2], ["jeq64_imm", 0, 0, 1], ["exit"], ["mov64_imm"], ["exit"]),
    ),
    rejected("half a two-slot load", of(["mov64_imm"], ["lddw", 1])),
    rejected("a two-slot load whose second half is another instruction", of(["lddw", 1], ...END)),
    rejected("a two-slot load with something in its second half", [
      ...of(["lddw", 1]),
      packWord(0, 1, 0, 0),
      0,
      ...of(...END),
    ]),
    ...(["mov64_imm", "add64_imm", "load64", "neg64", "le16", "movsx64_8", "lddw"] as const).map((op) =>
      rejected(`r10 written by ${op}`, [...of([op, 10, 1]), ...(op === "lddw" ? [0, 0] : []), ...of(...END)]),
    ),
    rejected("r10 written by atomic_fetch_add64", of(["atomic_fetch_add64", 1, 10], ...END)),
    ...[11, 12, 15].flatMap((register) => [
      rejected(`r${register} as a destination`, of(["mov64_imm", register], ...END)),
      rejected(`r${register} as a source`, of(["add64_reg", 1, register], ...END)),
    ]),
    rejected("a source register in an operation by an immediate", of(["add64_imm", 1, 2, 0, 5], ...END)),
    rejected("an immediate in an operation by a register", of(["add64_reg", 1, 2, 0, 5], ...END)),
    rejected("an offset in an addition", of(["add64_imm", 1, 0, 1, 5], ...END)),
    rejected("an offset of 2 in a division", [packWord(0x37, 1, 0, 2), 5, ...of(...END)]),
    rejected("a sign-extending move from 7 bits", [packWord(0xbf, 1, 2, 7), 0, ...of(...END)]),
    rejected("a sign-extending 32-bit move from 32 bits", [packWord(0xbc, 1, 2, 32), 0, ...of(...END)]),
    rejected("a byte swap of 24 bits", [packWord(0xd4, 1, 0, 0), 24, ...of(...END)]),
    rejected("an atomic operation that is none", [packWord(0xdb, 1, 2, 0), 0x20, ...of(...END)]),
    rejected("an atomic operation on 16 bits", [packWord(0xcb, 1, 2, 0), 0, ...of(...END)]),
    rejected("a destination in exit", of(["mov64_imm"], ["exit", 1])),
    rejected("an immediate in exit", of(["mov64_imm"], ["exit", 0, 0, 0, 1])),
    rejected("an immediate in a load", of(["load64", 0, 1, 0, 1], ["exit"])),
    rejected("a source register in a negation", of(["neg64", 1, 1], ...END)),
    rejected("a map that the program has none of", [...of(["lddw_map_idx", 1]), 0, 0, ...of(...END)]),
    rejected("a kernel function that the program names none of", of(["call_kfunc"], ...END)),
    ...unknown.map((code) =>
      rejected(`opcode 0x${code.toString(16).padStart(2, "0")}`, [packWord(code, 0, 0, 0), 0, ...of(...END)]),
    ),
  ];
}
