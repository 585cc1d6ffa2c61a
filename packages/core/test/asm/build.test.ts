import { describe, expect, test } from "vitest";
import * as bpf from "../../src/index.ts";
import {
  assemble,
  BpfError,
  type BuiltInsn,
  build,
  type Item,
  label,
  OPS,
  opAt,
  printInsn,
  r0,
  r1,
  r2,
  r3,
  r10,
  subprog,
} from "../../src/index.ts";

const maps = [{ name: "counts", type: 1, keySize: 4, valueSize: 8, maxEntries: 1, flags: 0 }];
const options = { maps, kfuncs: ["bpf_rcu_read_lock"] };

/** The text of what was built, an instruction a line. */
function textOf(...items: Item[]): string[] {
  const { insns } = build(items, options);
  const texts: string[] = [];
  for (let i = 0; i < insns.length; i += insns.width(i)) texts.push(printInsn(insns, i));
  return texts;
}

const ALU = [
  "add",
  "sub",
  "mul",
  "or",
  "and",
  "xor",
  "div",
  "sdiv",
  "mod",
  "smod",
  "lsh",
  "rsh",
  "arsh",
  "mov",
] as const;
const JUMPS = ["jeq", "jne", "jgt", "jge", "jlt", "jle", "jsgt", "jsge", "jslt", "jsle", "jset"] as const;
const ATOMICS = [
  bpf.atomicAdd,
  bpf.atomicOr,
  bpf.atomicAnd,
  bpf.atomicXor,
  bpf.fetchAdd,
  bpf.fetchOr,
  bpf.fetchAnd,
  bpf.fetchXor,
  bpf.xchg,
  bpf.cmpxchg,
];
const named = { ...bpf };
const EVERYTHING: BuiltInsn[] = [
  ...ALU.flatMap((name) => [
    named[`${name}64`](r1, 5),
    named[`${name}64`](r1, r2),
    named[`${name}32`](r1, 5),
    named[`${name}32`](r1, r2),
  ]),
  ...JUMPS.flatMap((name) => [
    named[name](r1, 5, 1),
    named[name](r1, r2, 1),
    named[`${name}32`](r1, 5, 1),
    named[`${name}32`](r1, r2, 1),
  ]),
  ...ATOMICS.flatMap((atomic) => [atomic("u32", r1, 0, r2), atomic("u64", r1, 0, r2)]),
  ...([8, 16, 32] as const).map((bits) => bpf.movsx64(r1, r2, bits)),
  ...([8, 16] as const).map((bits) => bpf.movsx32(r1, r2, bits)),
  ...[
    bpf.neg64,
    bpf.neg32,
    bpf.le16,
    bpf.le32,
    bpf.le64,
    bpf.be16,
    bpf.be32,
    bpf.be64,
    bpf.bswap16,
    bpf.bswap32,
    bpf.bswap64,
  ].map((unary) => unary(r1)),
  ...(["u8", "u16", "u32", "u64", "s8", "s16", "s32"] as const).map((size) => bpf.load(size, r1, r2, 4)),
  ...(["u8", "u16", "u32", "u64"] as const).flatMap((size) => [
    bpf.store(size, r1, 4, r2),
    bpf.store(size, r1, 4, 5),
    bpf.loadAcquire(size, r1, r2, 4),
    bpf.storeRelease(size, r1, 4, r2),
  ]),
  ...(["u8", "u16", "u32"] as const).flatMap((size) => [bpf.ldAbs(size, 4), bpf.ldInd(size, r1, 4)]),
  bpf.addrSpaceCast(r1, r2, 0, 1),
  bpf.lddw(r1, 5n),
  bpf.loadMapFd(r1, 3),
  bpf.loadMapFd(r1, 3, 8),
  bpf.loadBtfId(r1, 7),
  bpf.loadSubprog(r1, 0),
  bpf.loadMap(r1, 0),
  bpf.loadMapValue(r1, 0, 8),
  bpf.ja(0),
  bpf.gotol(0),
  bpf.mayGoto(0),
  bpf.gotox(r1),
  bpf.call(1),
  bpf.tailCall(),
  bpf.callSubprog(0),
  bpf.callKfunc(0),
  bpf.callx(r1),
  bpf.exit(),
];

test("there is a function for every instruction, and it builds that one", () => {
  expect(new Set(EVERYTHING.map(({ op }) => op))).toEqual(new Set(OPS));
  for (const insn of EVERYTHING) {
    const { insns } = build([insn]);
    expect(OPS[opAt(insns, 0)]).toBe(insn.op);
  }
});

test("a program reads like its text", () => {
  const out = label("out");
  const built = build([bpf.load("u32", r0, r1, 0), bpf.jle(r0, 255, out), bpf.mov64(r0, 255), out, bpf.exit()]);
  expect(built).toEqual(assemble("r0 = *(u32 *)(r1 + 0)\n if r0 <= 255 goto out\n r0 = 255\n out: exit"));
});

test("operands reach their fields", () => {
  expect(
    textOf(
      bpf.mov64(r1, -5),
      bpf.mov32(r1, 0xffff_ffff),
      bpf.sub64(r1, r2),
      bpf.store("u16", r10, -2, 7),
      bpf.cmpxchg("u64", r10, -8, r3),
      bpf.lddw(r1, -1),
      bpf.lddw(r1, 0x1122_3344_5566_7788n),
      bpf.loadMapValue(r2, "counts", 16),
      bpf.callKfunc("bpf_rcu_read_lock"),
      bpf.call("map_lookup_elem"),
      bpf.call("bpf_tail_call"),
      bpf.ldInd("u16", bpf.r7, 14),
      bpf.jsgt32(r1, r2, -3),
      bpf.addrSpaceCast(r1, r2, 1, 2),
    ),
  ).toMatchInlineSnapshot(`
    [
      "r1 = -5",
      "w1 = -1",
      "r1 -= r2",
      "*(u16 *)(r10 - 2) = 7",
      "r0 = cmpxchg_64(r10 - 8, r0, r3)",
      "r1 = 0xffffffffffffffff ll",
      "r1 = 0x1122334455667788 ll",
      "r2 = map[idx:0][0]+16",
      "call kfunc[0]",
      "call bpf_map_lookup_elem",
      "call bpf_tail_call",
      "r0 = *(u16 *)skb[r7 + 14]",
      "if w1 s> w2 goto -3",
      "r1 = addr_space_cast(r2, 1, 2)",
    ]
  `);
});

test("labels are values or names, lists nest, subprograms are called by either", () => {
  const loop = label();
  const twice = subprog("twice");
  const body: Item[] = [bpf.add64(r0, 1), bpf.jlt(r0, 10, loop)];
  const program = build([
    bpf.mov64(r0, 0),
    loop,
    body,
    bpf.call(twice),
    bpf.call("thrice"),
    bpf.ja("end"),
    label("end"),
    bpf.exit(),
    twice,
    bpf.exit(),
    label("thrice"),
    bpf.exit(),
  ]);
  expect(program.subprogs.map(({ name, start }) => `${start} ${name}`)).toEqual(["0 main", "7 twice", "8 thrice"]);
  expect([program.insns.off(2), program.insns.imm(3), program.insns.imm(4), program.insns.off(5)]).toEqual([
    -2, 3, 3, 0,
  ]);
});

describe("refusals", () => {
  const refusal = (make: () => unknown): string => {
    try {
      make();
    } catch (error) {
      if (error instanceof BpfError) return `${error.code}: ${error.message}`;
      throw error;
    }
    return "none";
  };
  test.each<[string, () => unknown]>([
    ["immediate", () => bpf.mov64(r1, 0xffff_ffff)],
    ["wide store", () => bpf.store("u64", r1, 0, 0xffff_ffff)],
    ["offset", () => bpf.load("u8", r1, r2, 40_000)],
    ["fraction", () => bpf.mov64(r1, 1.5)],
    ["register", () => bpf.mov64("r11" as "r1", 1)],
    ["register number", () => bpf.register(11)],
    ["64 bits", () => bpf.lddw(r1, 1n << 64n)],
    ["label", () => build([bpf.ja("nowhere")])],
    ["label twice", () => build([label("a"), label("a")])],
    ["map", () => build([bpf.loadMap(r1, "absent")], options)],
    ["kfunc", () => build([bpf.callKfunc("absent")])],
    ["far", () => build([bpf.ja("far"), Array.from({ length: 40_000 }, () => bpf.exit()), label("far")])],
  ])("%s", (_, make) => {
    expect(refusal(make)).toMatchSnapshot();
  });
});
