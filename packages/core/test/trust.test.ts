import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { assemble, BpfError, Insns, OPS, type Program, packWord, trust, tryTrust } from "../src/index.ts";
import { anyInsn } from "./support/arbitrary-insns.ts";

const map = { name: "m", type: 1, keySize: 4, valueSize: 4, maxEntries: 1, flags: 0 };

function refusal(program: Program): string {
  const result = tryTrust(program);
  return result.ok ? "accepted" : `${result.error.code}: ${result.error.message}`;
}

function raw(...words: number[]): Program {
  return { ...assemble("exit"), insns: new Insns(Int32Array.from([...words, 0x95, 0])) };
}

describe("a program that engines can run", () => {
  test("is trusted, and says that nobody proved anything", () => {
    const program = assemble("r0 = 0\n exit");
    const trusted = trust(program);
    expect(trusted.program).toBe(program);
    expect(trusted).toMatchObject({
      basis: { kind: "trusted" },
      passes: [],
      structure: { subprogs: [{ name: "main", start: 0, end: 2 }] },
    });
  });

  test("gets the subprograms that its calls imply", () => {
    const program = { ...assemble("call pc+1\n exit\n r0 = 1\n exit"), subprogs: [{ name: "entry", start: 0 }] };
    expect(trust(program).program.subprogs).toEqual([
      { name: "entry", start: 0 },
      { name: "sub_2", start: 2 },
    ]);
  });

  test.each([
    ["recursion", "call pc-1\n exit"],
    ["a loop without end", "goto -1"],
    ["code that nothing reaches", "exit\n r0 = 1\n exit"],
    ["division by a constant zero", "r0 /= 0\n exit"],
    ["a shift by more than the width", "w0 <<= 99\n exit"],
    ["a map by index and by descriptor", "r1 = map[m]\n r1 = map[fd:0]\n r1 = map[idx:0][0]+400\n exit"],
    ["a kernel variable", "r1 = btf[id:77]\n exit"],
    ["a call through a register", "callx r1\n gotox r1"],
    ["32-bit jumps forwards and backwards", "gotol +1\n exit\n gotol -2"],
    ["atomic exchange with r10, which is only read", "r0 = cmpxchg_64(r10 - 8, r0, r10)\n exit"],
  ])("%s", (_, text) => {
    expect(refusal(assemble(text, { maps: [map] }))).toBe("accepted");
  });
});

describe("refusals", () => {
  test.each<[string, Program]>([
    ["an empty program", assemble("")],
    ["no end", assemble("r0 = 0")],
    ["a conditional end", assemble("r0 = 0\n if r0 == 0 goto -2")],
    ["a call at the end", assemble("call pc-1")],
    ["a subprogram that runs into the next", assemble("call b\n exit\n a: r0 = 1\n b: exit\n call a\n exit")],
    ["a jump behind the end", assemble("if r1 > 5 goto +1\n exit")],
    ["a jump before the beginning", assemble("goto -2\n exit")],
    ["a long jump to nowhere", assemble("gotol +2000000000\n exit")],
    ["may_goto to nowhere", assemble("may_goto +7\n exit")],
    ["a jump into a two-slot load", assemble("goto +1\n r1 = 5 ll\n exit")],
    ["a jump into another subprogram", assemble("call b\n goto +1\n b: exit\n exit")],
    ["a call to nowhere", assemble("call pc+9\n exit")],
    ["a call into a two-slot load", assemble("call pc+1\n r1 = 5 ll\n exit")],
    ["the address of nowhere", assemble("r1 = subprog[-5]\n exit")],
    ["an unknown opcode", raw(0xff, 1)],
    ["half a two-slot load", { ...assemble("exit"), insns: new Insns(Int32Array.of(0x118, 5)) }],
    ["a two-slot load without its second half", raw(0x118, 5)],
    ["an unknown atomic", raw(packWord(0xdb, 10, 1, -8), 0x33)],
    ["a register that does not exist", raw(packWord(0xbf, 1, 12, 0), 0)],
    ["the kernel's scratch register", raw(packWord(0xb7, 11, 0, 0), 0)],
    ["a write to r10", assemble("r10 += -8\n exit")],
    ["a load into r10", assemble("r10 = *(u64 *)(r1 + 0)\n exit")],
    ["a fetch into r10", assemble("r10 = atomic_fetch_add((u64 *)(r1 + 0), r10)\n exit")],
    ["a reserved offset", raw(packWord(0x07, 1, 0, 3), 5)],
    ["a reserved source", raw(packWord(0x07, 1, 2, 0), 5)],
    ["a reserved immediate", raw(packWord(0x0f, 1, 2, 0), 5)],
    ["a reserved destination", raw(packWord(0x05, 1, 0, 0), 0)],
    ["a used second slot", raw(packWord(0x18, 1, 5, 0), 0, 0, 9)],
    ["a map that is not there", raw(packWord(0x18, 1, 5, 0), 0, 0, 0)],
    ["one map too far", { ...assemble("r1 = map[idx:1]\n exit"), maps: [map] }],
    ["a kfunc that is not there", assemble("call kfunc[3]\n exit", { kfuncs: ["a", "b"] })],
    ["no subprogram at 0", { ...assemble("exit\n exit"), subprogs: [{ name: "late", start: 1 }] }],
    [
      "subprograms out of order",
      {
        ...assemble("exit\n exit"),
        subprogs: [
          { name: "a", start: 0 },
          { name: "b", start: 0 },
        ],
      },
    ],
    [
      "a subprogram inside a two-slot load",
      {
        ...assemble("r1 = 5 ll\n exit"),
        subprogs: [
          { name: "a", start: 0 },
          { name: "b", start: 1 },
        ],
      },
    ],
  ])("%s", (_, program) => {
    expect(refusal(program)).toMatchSnapshot();
  });

  test("say which instruction", () => {
    const result = tryTrust(assemble("r0 = 0\n goto +9\n exit"));
    expect(!result.ok && result.error.details).toMatchObject({ insn: 1 });
    expect(() => trust(assemble(""))).toThrow(BpfError);
  });
});

test("any slots at all are trusted or refused as a structure, with an instruction", () => {
  const anyWords = fc.array(fc.oneof(fc.constantFrom(...OPS).chain(anyInsn), fc.tuple(fc.integer(), fc.integer())), {
    minLength: 1,
    maxLength: 12,
  });
  fc.assert(
    fc.property(anyWords, (words) => {
      // Short distances, so that some programs hold together.
      const list = Int32Array.from([...words.flat(), 0x95, 0]);
      for (let i = 0; i < list.length; i += 2) list[i] = (list[i]! & 0xffff) | (((list[i]! >> 16) % 4) << 16);
      const result = tryTrust({ ...assemble("exit"), insns: new Insns(list), maps: [map], kfuncs: ["k"] });
      if (result.ok) expect(result.program.structure.subprogs.at(-1)!.end).toBe(list.length / 2);
      else expect(result.error).toMatchObject({ code: "structure", details: { listing: expect.stringMatching(/\^/) } });
    }),
    { numRuns: 700 },
  );
});
