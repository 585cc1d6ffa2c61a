// What a second walk tells of a verification: the states at each instruction, and why paths went on where others had been.
import { expect, test } from "vitest";
import { assemble } from "../../src/asm/parse.ts";
import { MAP_TYPES } from "../../src/isa/maps.ts";
import { verify } from "../../src/verifier/verify.ts";

const LOOP = "r6 = 0\nr0 = 0\nloop:\nr0 += 2\nr6 += 1\nif r6 < 40 goto loop\nexit";

test("a result carries no notes, and copies of it make none", () => {
  const result = verify(assemble("r0 = 0\nexit", { type: "xdp" }));
  expect(Object.keys(result)).not.toContain("states");
  expect({ ...result }).not.toHaveProperty("states");
  expect(result.states).toBe(result.states);
  const rejected = verify(assemble("exit", { type: "xdp" }));
  if (rejected.ok) throw new Error("accepted");
  expect(Object.keys(rejected)).not.toContain("explanation");
  expect(rejected.explanation).toBe(rejected.explanation);
});

test("the states of an instruction stand in the order in which it was reached", () => {
  const { states, stats } = verify(assemble(LOOP, { type: "xdp" }));
  const at = states.at(3);
  expect(at.map(({ frames }) => frames[0]!.registers[6]?.signed64[0])).toEqual(
    Array.from({ length: 40 }, (_, i) => BigInt(i)),
  );
  expect(at.map(({ previous }) => previous)).toEqual(Array.from({ length: 40 }, () => 2));
  expect(at.every(({ step }, i) => i === 0 || step > at[i - 1]!.step)).toBe(true);
  expect([at.length, states.omitted(3)]).toEqual([stats.visits[3], 0]);
  expect([states.at(-1), states.at(99), states.omitted(99)]).toEqual([[], [], 0]);
});

test("as many states as are wanted are kept of each instruction, and the others counted", () => {
  const { states } = verify(assemble(LOOP, { type: "xdp" }), { stateLimit: 5 });
  expect([states.at(3).length, states.omitted(3)]).toEqual([5, 35]);
  expect([states.at(0).length, states.omitted(0)]).toEqual([1, 0]);
});

test("values are told with their bounds, pointers with what they lead to", () => {
  const text = `r6 = *(u32 *)(r1 + 0)
    r6 &= 6
    *(u32 *)(r10 - 4) = 0
    *(u64 *)(r10 - 16) = r6
    r2 = r10
    r2 += -4
    r1 = map[values]
    call 1
    if r0 == 0 goto out
    r0 += r6
    out:
    r0 = 0
    exit`;
  const maps = [{ name: "values", type: MAP_TYPES.hash, keySize: 4, valueSize: 8, maxEntries: 4, flags: 0 }];
  const { states } = verify(assemble(text, { type: "socket_filter", maps }));
  const [frame] = states.at(10)[0]!.frames;
  expect(frame!.registers[6]).toEqual({
    type: "scalar",
    text: "scalar(id=1,smin=smin32=0,smax=umax=smax32=umax32=6,var_off=(0x0; 0x6))",
    precise: false,
    id: 1,
    reference: 0,
    tnum: { value: 0n, mask: 6n },
    unsigned64: [0n, 6n],
    signed64: [0n, 6n],
    unsigned32: [0n, 6n],
    signed32: [0n, 6n],
  });
  expect(frame!.registers[0]).toMatchObject({ type: "map_value", map: "values", offset: 0n });
  expect(frame!.registers[10]).toMatchObject({ type: "fp", frame: 0, offset: 0n, text: "fp0" });
  expect(frame!.registers[1]).toBeUndefined();
  expect(frame!.stack.map(({ offset, bytes, text: told }) => [offset, bytes, told.slice(0, 16)])).toEqual([
    [-8, "????0000", "fp-8=0000????"],
    [-16, "rrrrrrrr", "fp-16=scalar(id="],
  ]);
});

test("frames, references and locks are told, of rejected programs too", () => {
  const text = `r1 = map[ring]
    r2 = 8
    r3 = 0
    call 131
    r1 = r10
    r1 += -8
    call f
    r0 = 0
    exit
    f:
    *(u64 *)(r1 + 0) = 7
    r0 = 7
    exit`;
  const maps = [{ name: "ring", type: MAP_TYPES.ringbuf, keySize: 0, valueSize: 0, maxEntries: 4096, flags: 0 }];
  const result = verify(assemble(text, { type: "xdp", maps }));
  expect(result).toMatchObject({ ok: false, insn: 9 });
  const [state] = result.states.at(10);
  expect(state!.references).toEqual([{ id: 2, insn: 4 }]);
  expect(state!.frames.map(({ subprog, callSite }) => [subprog, callSite])).toEqual([
    ["main", -1],
    ["f", 7],
  ]);
  expect(state!.frames.map(({ registers }) => [registers[1]?.text, registers[10]?.text])).toEqual([
    [undefined, "fp0"],
    ["fp[0]-8", "fp0"],
  ]);
  expect(result.states.at(9).length).toBe(1);
});

test("a program of a wrong shape has no states", () => {
  const result = verify(assemble("r0 = 0\nexit\nexit", { type: "xdp" }));
  expect([result.states.at(0), result.notPruned.all]).toEqual([[], []]);
});

test("a budget of time ends the second walk where it ended the first", () => {
  let now = 0;
  const long = assemble("r6 = 0\nloop:\nr6 += 1\nif r6 != 1000000 goto loop\nr0 = 0\nexit", { type: "xdp" });
  const result = verify(long, { budget: { milliseconds: 5 } });
  expect(result).toMatchObject({ ok: false, budget: "milliseconds" });
  if (result.ok) throw new Error("accepted");
  const { totalInsns, visits } = result.stats;
  now = result.states.at(1).length + result.states.omitted(1);
  expect(now).toBe(visits[1]);
  expect(result.explanation.fact).toBe(`${totalInsns} instructions have been processed, and no verdict is reached`);
});

test("why paths went on: a number that an access depends on differs", () => {
  const branches = [0, 1, 2, 3].map(
    (i) => `r8 = *(u32 *)(r1 + ${4 * i})\nif r8 > 5 goto l${i}\nr7 += ${1 << i}\nl${i}:\n`,
  );
  const text = `r7 = 0\n${branches.join("")}r2 = r10\nr2 += -32\nr2 += r7\n*(u8 *)(r2 + 0) = 0\nr0 = 0\nexit`;
  const { notPruned, stats } = verify(assemble(text, { type: "socket_filter" }));
  expect(stats.visits[17]).toBe(16);
  const [most] = notPruned.all;
  expect(most).toMatchInlineSnapshot(`
    {
      "causes": [
        {
          "count": 46,
          "current": "11",
          "place": "R7",
          "preciseSince": 15,
          "stored": "7",
          "what": "R7 is 11, not inside of 7, which counts: instruction 15 decided by it",
        },
      ],
      "hits": 0,
      "insn": 13,
      "misses": 46,
    }
  `);
  expect(notPruned.at(most!.insn)).toEqual(most);
  expect(notPruned.at(0)).toEqual({ insn: 0, misses: 0, hits: 0, causes: [] });
});

test("why paths went on: a loop that has not come to its end", () => {
  const { notPruned } = verify(assemble(LOOP, { type: "socket_filter" }));
  expect(notPruned.at(2)).toMatchInlineSnapshot(`
    {
      "causes": [
        {
          "count": 52,
          "current": "6",
          "place": "R0",
          "stored": "4",
          "what": "R0 was 4 when the path was here before, and is 6 now: the loop goes on",
        },
      ],
      "hits": 0,
      "insn": 2,
      "misses": 52,
    }
  `);
});
