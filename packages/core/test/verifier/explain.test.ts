// Explanations of rejections that people meet: what is known, what is asked for, and the steps that matter, in words.
import { expect, test } from "vitest";
import { assemble } from "../../src/asm/parse.ts";
import { MAP_TYPES } from "../../src/isa/maps.ts";
import type { MapSpec, Program } from "../../src/program.ts";
import type { Explanation } from "../../src/verifier/explanation.ts";
import { verify } from "../../src/verifier/verify.ts";

const map = (name: string, type: number, keySize: number, valueSize: number): MapSpec => ({
  ...{ name, type, keySize, valueSize },
  maxEntries: 16,
  flags: 0,
});
const MAPS: readonly MapSpec[] = [
  map("array", MAP_TYPES.array, 4, 16),
  map("hash", MAP_TYPES.hash, 4, 8),
  map("ring", MAP_TYPES.ringbuf, 0, 0),
  { ...map("locked", MAP_TYPES.hash, 4, 16), fields: { spin_lock: 0 } },
];

/** A program as text, its instructions separated by semicolons or lines. */
function programOf(text: string, type: string): Program {
  const named = MAPS.filter(({ name }) => text.includes(`map[${name}]`));
  return assemble(text.replaceAll(/;\s*/g, "\n"), { type, license: "GPL", maps: named });
}

function explained(text: string, type: string = "socket_filter"): Explanation {
  const result = verify(programOf(text, type), { budget: { insns: 10_000 } });
  if (result.ok) throw new Error("accepted");
  return result.explanation;
}

/** An explanation in a few lines: kind, fact, requirement, and each step as `insn what`. */
function told(text: string, type?: string): string {
  const { kind, fact, requirement, path, at } = explained(text, type);
  const steps = path.map(
    ({ insn, what, repeats }) => `${insn}: ${what}${repeats === undefined ? "" : ` (${repeats} more)`}`,
  );
  return [`${kind} at ${at?.insn}`, `known: ${fact}`, `asked: ${requirement}`, ...steps].join("\n");
}

const KEY = "*(u32 *)(r10 - 4) = 0; r2 = r10; r2 += -4";

test("packet: nothing was compared with the packet's end", () => {
  expect(told("r2 = *(u32 *)(r1 + 0); r0 = *(u8 *)(r2 + 13); exit", "xdp")).toMatchInlineSnapshot(`
    "outside-packet at 1
    known: R2 is a pointer to the packet, of which 0 bytes are checked
    asked: offset 13 + size 1 ≤ 0, the bytes that were compared with the packet's end
    0: R2 becomes a pointer to the packet"
  `);
});

test("packet: one byte more than was compared", () => {
  const text = `r2 = *(u32 *)(r1 + 0); r3 = *(u32 *)(r1 + 4); r4 = r2; r4 += 14; r0 = 0
    if r4 > r3 goto out; r0 = *(u8 *)(r2 + 14)
    out:; exit`;
  expect(told(text, "xdp")).toMatchInlineSnapshot(`
    "outside-packet at 6
    known: R2 is a pointer to the packet, of which 14 bytes are checked
    asked: offset 14 + size 1 ≤ 14, the bytes that were compared with the packet's end
    0: R2 becomes a pointer to the packet
    1: R3 becomes the end of the packet
    2: R4 becomes a copy of R2: a pointer to the packet
    3: R4 is moved on by 14
    5: branch not taken, R4 > R3 is false: 14 bytes of the packet are checked"
  `);
});

test("packet: the comparison is the wrong way round", () => {
  const text = `r2 = *(u32 *)(r1 + 0); r3 = *(u32 *)(r1 + 4); r4 = r2; r4 += 14; r0 = 0
    if r3 > r4 goto out; r0 = *(u8 *)(r2 + 1)
    out:; exit`;
  expect(told(text, "xdp")).toMatchInlineSnapshot(`
    "outside-packet at 6
    known: R2 is a pointer to the packet, of which 0 bytes are checked
    asked: offset 1 + size 1 ≤ 0, the bytes that were compared with the packet's end
    0: R2 becomes a pointer to the packet
    1: R3 becomes the end of the packet
    2: R4 becomes a copy of R2: a pointer to the packet
    3: R4 is moved on by 14
    5: branch not taken, R3 > R4 is false: nothing of the packet is checked on this side"
  `);
});

test("packet: moved by an unknown number after the comparison", () => {
  const text = `r2 = *(u32 *)(r1 + 0); r3 = *(u32 *)(r1 + 4); r5 = *(u32 *)(r1 + 12); r5 &= 7; r4 = r2; r4 += 14; r0 = 0
    if r4 > r3 goto out; r2 += r5; r0 = *(u8 *)(r2 + 1)
    out:; exit`;
  expect(told(text, "xdp")).toMatchInlineSnapshot(`
    "outside-packet at 9
    known: R2 is a pointer to the packet at an offset from 0 to 7, of which 0 bytes are checked
    asked: offset 1 + size 1 ≤ 0, the bytes that were compared with the packet's end
    0: R2 becomes a pointer to the packet
    1: R3 becomes the end of the packet
    2: R5 is loaded from the context: a number from 0 to 0xffffffff
    3: R5 becomes a number from 0 to 7
    4: R4 becomes a copy of R2: a pointer to the packet
    5: R4 is moved on by 14
    7: branch not taken, R4 > R3 is false: 14 bytes of the packet are checked
    8: R2 is moved on by a number from 0 to 7"
  `);
});

test("packet: a spilled pointer is worthless once a helper may have moved the packet", () => {
  const text = `r2 = *(u32 *)(r1 + 0); r3 = *(u32 *)(r1 + 4); *(u64 *)(r10 - 8) = r2; r4 = r2; r4 += 14; r6 = r1; r0 = 0
    if r4 > r3 goto out; r1 = r6; r2 = 0; call 44; r2 = *(u64 *)(r10 - 8); r0 = *(u8 *)(r2 + 1)
    out:; r0 = 0; exit`;
  expect(told(text, "xdp")).toMatchInlineSnapshot(`
    "number-as-pointer at 12
    known: R2 is any number
    asked: R2 is a pointer to memory that may be accessed
    0: R2 becomes a pointer to the packet
    1: R3 becomes the end of the packet
    2: fp-8 takes R2: a pointer to the packet
    3: R4 becomes a copy of R2: a pointer to the packet
    4: R4 is moved on by 14
    7: branch not taken, R4 > R3 is false: 14 bytes of the packet are checked
    10: fp-8 points into the packet no more: bpf_xdp_adjust_head may move it
    11: R2 is loaded from fp-8: any number"
  `);
});

test("map value: not compared with null", () => {
  expect(told(`${KEY}; r1 = map[hash]; call 1; r0 = *(u64 *)(r0 + 0); exit`)).toMatchInlineSnapshot(`
    "null-dereference at 6
    known: R0 is a pointer to a value of map "hash", or null
    asked: R0 has been compared with 0, and this is the side where it is not null
    5: R0 is what bpf_map_lookup_elem returns: a pointer to a value of map "hash", or null"
  `);
});

test("map value: compared with null, and used on the wrong side", () => {
  const text = `${KEY}; r1 = map[hash]; call 1
    if r0 != 0 goto out; r0 = *(u64 *)(r0 + 0)
    out:; r0 = 0; exit`;
  expect(told(text)).toMatchInlineSnapshot(`
    "number-as-pointer at 7
    known: R0 is the number 0
    asked: R0 is a pointer to memory that may be accessed
    5: R0 is what bpf_map_lookup_elem returns: a pointer to a value of map "hash", or null
    6: branch not taken, R0 != 0 is false: R0 is null, the number 0"
  `);
});

test("map value: an index that is too large", () => {
  const text = `r6 = *(u32 *)(r1 + 0); ${KEY}; r1 = map[hash]; call 1
    if r0 == 0 goto out; r6 &= 15; r0 += r6; r0 = *(u64 *)(r0 + 0)
    out:; r0 = 0; exit`;
  expect(told(text)).toMatchInlineSnapshot(`
    "outside-map-value at 10
    known: R0 is a pointer to a value of map "hash" at an offset from 0 to 15; the access begins at offset 15 and takes 8 bytes
    asked: 0 ≤ offset and offset + size ≤ 8, for every value that the offset can have
    0: R6 is loaded from the context: a number from 0 to 0xffffffff
    6: R0 is what bpf_map_lookup_elem returns: a pointer to a value of map "hash", or null
    7: branch not taken, R0 == 0 is false: R0 is not null
    8: R6 becomes a number from 0 to 15
    9: R0 is moved on by a number from 0 to 15"
  `);
});

test("map value: an index that may be negative", () => {
  const text = `r6 = *(u32 *)(r1 + 0); r6 <<= 32; r6 s>>= 32; ${KEY}; r1 = map[hash]; call 1
    if r0 == 0 goto out
    if r6 s> 4 goto out; r0 += r6; r0 = *(u8 *)(r0 + 0)
    out:; r0 = 0; exit`;
  expect(told(text)).toMatchInlineSnapshot(`
    "pointer-offset at 11
    known: R0 is a pointer to a value of map "hash"; R6 is a number from -0x80000000 to 4
    asked: pointers are moved by less than 2²⁹ bytes, either way
    0: R6 is loaded from the context: a number from 0 to 0xffffffff
    1: R6 becomes a number from 0 to 0xffffffff00000000
    2: R6 becomes a number from -0x80000000 to 0x7fffffff
    8: R0 is what bpf_map_lookup_elem returns: a pointer to a value of map "hash", or null
    9: branch not taken, R0 == 0 is false: R0 is not null
    10: branch not taken, R6 s> 4 is false: R6 is a number from -0x80000000 to 4"
  `);
});

test("a number of any size is added to a pointer", () => {
  const text = `${KEY}; r6 = *(u64 *)(r10 - 16); r1 = map[array]; call 1
    if r0 == 0 goto out; r0 += r6
    out:; r0 = 0; exit`;
  expect(told(text)).toMatchInlineSnapshot(`
    "pointer-unbounded-math at 8
    known: R0 is a pointer to a value of map "array"; R6 is any number
    asked: a number that is added to a pointer has bounds, below and above
    0: fp-16 holds nothing when main begins
    3: R6 is loaded from fp-16: any number
    6: R0 is what bpf_map_lookup_elem returns: a pointer to a value of map "array""
  `);
});

test("a register that was never written", () => {
  expect(told("r0 = r3; exit")).toMatchInlineSnapshot(`
    "uninitialised-register at 0
    known: nothing was written to R3 on this path
    asked: R3 is written on every path that leads here
    0: R3 holds nothing when main begins"
  `);
});

test("a register that is written on one path only", () => {
  const text = `r2 = *(u32 *)(r1 + 0)
    if r2 > 5 goto a; r7 = 1
    a:; r0 = r7; exit`;
  expect(told(text)).toMatchInlineSnapshot(`
    "uninitialised-register at 3
    known: nothing was written to R7 on this path
    asked: R7 is written on every path that leads here
    0: R7 holds nothing when main begins
    1: branch taken, R2 > 5: what writes R7 is passed over"
  `);
});

test("a register that a call has overwritten", () => {
  expect(told("r6 = r1; call 7; r0 = *(u32 *)(r1 + 0); exit")).toMatchInlineSnapshot(`
    "uninitialised-register at 2
    known: R1 holds nothing since the call of bpf_get_prandom_u32 at 1, which leaves R1 to R5 unreadable
    asked: R1 is written on every path that leads here
    1: R1 is overwritten by the call, which leaves nothing in R1 to R5"
  `);
});

test("a subprogram that reads a register of its caller", () => {
  const text = `r6 = 7; r1 = 1; call f; exit
    f:; r0 = r6; exit`;
  expect(told(text)).toMatchInlineSnapshot(`
    "uninitialised-register at 4
    known: nothing was written to R6 in f on this path
    asked: R6 is written on every path that leads here
    2: R6 of f holds nothing when f begins"
  `);
});

test("a number that comes in as an argument and is followed", () => {
  const text = `r6 = r1; r1 = 7; call f; r0 = 0; exit
    f:; r2 = r1; r2 += 3; r0 = *(u8 *)(r2 + 0); exit`;
  expect(told(text)).toMatchInlineSnapshot(`
    "number-as-pointer at 7
    known: R2 is the number 10
    asked: R2 is a pointer to memory that may be accessed
    1: R1 becomes the number 7
    2: R1 of f is R1, passed as an argument: the number 7
    5: R2 of f becomes a copy of R1 of f: the number 7
    6: R2 of f becomes the number 10"
  `);
});

test("a number that a subprogram returns and its caller follows", () => {
  const text = `r1 = 7; call f; r0 = *(u8 *)(r0 + 0); exit
    f:; r0 = r1; exit`;
  expect(told(text)).toMatchInlineSnapshot(`
    "number-as-pointer at 2
    known: R0 is the number 7
    asked: R0 is a pointer to memory that may be accessed
    0: R1 becomes the number 7
    1: R1 of f is R1, passed as an argument: the number 7
    4: R0 of f becomes a copy of R1 of f: the number 7
    5: R0 is what f returns: the number 7"
  `);
});

test("a pointer that was stored in part is a number", () => {
  const text = "*(u64 *)(r10 - 8) = r1; *(u8 *)(r10 - 8) = 0; r2 = *(u64 *)(r10 - 8); r0 = *(u32 *)(r2 + 0); exit";
  expect(told(text)).toMatchInlineSnapshot(`
    "number-as-pointer at 3
    known: R2 is any number
    asked: R2 is a pointer to memory that may be accessed
    0: R1 is the context when main begins
    0: fp-8 takes R1: the context
    1: fp-8 becomes the number 0
    2: R2 is loaded from fp-8: any number"
  `);
});

test("a reference that is not given back", () => {
  const text = `r1 = map[ring]; r2 = 8; r3 = 0; call 131
    if r0 == 0 goto out; r6 = r0
    out:; r0 = 0; exit`;
  expect(told(text, "xdp")).toMatchInlineSnapshot(`
    "reference-leak at 8
    known: the reference id=2, acquired at 4, is held
    asked: every reference has been given back, on every path
    4: bpf_ringbuf_reserve acquires a reference, id=2"
  `);
});

test("a record that is used after it was submitted", () => {
  const text = `r1 = map[ring]; r2 = 8; r3 = 0; call 131
    if r0 == 0 goto out; r6 = r0; r1 = r0; r2 = 0; call 132; r0 = *(u64 *)(r6 + 0)
    out:; r0 = 0; exit`;
  expect(told(text, "xdp")).toMatchInlineSnapshot(`
    "number-as-pointer at 10
    known: R6 is any number
    asked: R6 is a pointer to memory that may be accessed
    2: R2 becomes the number 8
    4: R0 is what bpf_ringbuf_reserve returns: a pointer to 8 bytes of a ring buffer, or null
    5: branch not taken, R0 == 0 is false: R0 is not null
    6: R6 becomes a copy of R0: a pointer to 8 bytes of a ring buffer
    9: R6 may be used no more: bpf_ringbuf_submit gives its reference back"
  `);
});

test("a helper is called while a lock is held", () => {
  const text = `${KEY}; r1 = map[locked]; call 1
    if r0 == 0 goto out; r1 = r0; call 93; call 7
    out:; r0 = 0; exit`;
  expect(told(text, "xdp")).toMatchInlineSnapshot(`
    "call-while-locked at 9
    known: the lock of map "locked" is held
    asked: the lock is given back before anything is called
    8: bpf_spin_lock takes the lock"
  `);
});

test("stack: more than 512 bytes below r10", () => {
  expect(told("*(u64 *)(r10 - 520) = 0; r0 = 0; exit")).toMatchInlineSnapshot(`
    "stack-write at 0
    known: R10 is a pointer to the stack, fp; 8 bytes at fp-520 are accessed
    asked: −512 ≤ offset and offset + size ≤ 0: a frame has 512 bytes below r10"
  `);
});

test("stack: a write at an offset that is not bounded enough", () => {
  const text = `r6 = *(u32 *)(r1 + 0); r6 &= 0xff; r2 = r10; r2 += r6; *(u8 *)(r2 - 128) = 0; r0 = 0; exit`;
  expect(told(text)).toMatchInlineSnapshot(`
    "stack-variable-access at 4
    known: R2 is a pointer to the stack at an offset from 0 to 255; 1 byte at an offset from 0 to 255, -128 on are accessed
    asked: −512 ≤ offset and offset + size ≤ 0: a frame has 512 bytes below r10
    0: R6 is loaded from the context: a number from 0 to 0xffffffff
    1: R6 becomes a number from 0 to 255
    2: R2 becomes a copy of R10: a pointer to the stack, fp
    3: R2 is moved on by a number from 0 to 255"
  `);
});

test("stack: a pointer that was stored is loaded in part", () => {
  const text = "r6 = r1; *(u64 *)(r10 - 8) = r6; r0 = *(u32 *)(r10 - 8); exit";
  expect(told(text)).toMatchInlineSnapshot(`
    "fill-size at 2
    known: fp-8 holds the context
    asked: pointers are loaded with 8 bytes
    0: R1 is the context when main begins
    0: R6 becomes a copy of R1: the context
    1: fp-8 takes R6: the context"
  `);
});

test("stack: the frames of a chain of calls are too large together", () => {
  const text = `*(u64 *)(r10 - 400) = 0; call f; r0 = 0; exit
    f:; *(u64 *)(r10 - 200) = 0; r0 = 0; exit`;
  expect(told(text)).toMatchInlineSnapshot(`
    "combined-stack at 1
    known: the frames of a chain of 2 calls take 608 bytes together
    asked: at most 512 bytes, where each frame is rounded up to a multiple of 16"
  `);
});

test("a helper gets a number where it wants a map", () => {
  expect(told("r1 = 5; r2 = r10; r2 += -4; call 1; r0 = 0; exit")).toMatchInlineSnapshot(`
    "argument-type at 3
    known: R1 is the number 5
    asked: R1 is one of the types that the call takes: map_ptr
    0: R1 becomes the number 5"
  `);
});

test("a helper gets a size that may be 0", () => {
  const text = `r6 = *(u32 *)(r1 + 0); r6 &= 7; *(u64 *)(r10 - 8) = 0; r1 = r10; r1 += -8; r2 = r6; call 6; r0 = 0; exit`;
  expect(told(text, "kprobe")).toMatchInlineSnapshot(`
    "size-zero at 6
    known: R2 is a number from 0 to 7
    asked: R2, which is a size, is 1 or more
    0: R6 is loaded from the context: a number from 0 to 0xffffffff
    1: R6 becomes a number from 0 to 7
    3: R1 becomes a copy of R10: a pointer to the stack, fp
    4: R1 is moved on by -8
    5: R2 becomes a copy of R6: a number from 0 to 7"
  `);
});

test("a helper that this type of program may not call", () => {
  expect(told("r2 = 0; r3 = 0; call 44; r0 = 0; exit")).toMatchInlineSnapshot(`
    "helper-not-for-type at 2
    known: the program is of type socket_filter
    asked: a program type that may call bpf_xdp_adjust_head"
  `);
});

test("a loop that does not end", () => {
  expect(told("r0 = 0\nloop:; r0 ^= 1\nif r0 < 5 goto loop\nexit")).toMatchInlineSnapshot(`
    "infinite-loop at 1
    known: the path has come to instruction 1 a second time, and nothing is different
    asked: something that the loop's branches compare changes with each pass
    0: R0 becomes the number 0
    1: R0 becomes the number 1 (3 more)
    1: R0 becomes the number 1
    2: branch taken, R0 < 5: round again"
  `);
});

test("a loop that takes too long", () => {
  expect(told("r6 = 0\nloop:; r6 += 1\nif r6 != 1000000 goto loop\nr0 = 0; exit")).toMatchInlineSnapshot(`
    "budget-spent at 2
    known: 10001 instructions have been processed, and no verdict is reached
    asked: a verdict within 10000 instructions
    0: R6 becomes the number 0
    1: R6 becomes the number 1 (4998 more)
    2: branch taken, R6 != 1000000: round again
    1: R6 becomes the number 5000"
  `);
});

test("a result outside of what may be returned", () => {
  expect(told("r0 = *(u32 *)(r1 + 0); r0 &= 7; exit", "cgroup_skb")).toMatchInlineSnapshot(`
    "return-value at 2
    known: R0 is a number from 0 to 7
    asked: R0 is from 0 to 1
    0: R0 is loaded from the context: a number from 0 to 0xffffffff
    1: R0 becomes a number from 0 to 7"
  `);
});

test("a pointer is multiplied", () => {
  expect(told("r2 = r1; r2 *= 4; r0 = 0; exit")).toMatchInlineSnapshot(`
    "pointer-operator at 1
    known: R2 is the context
    asked: pointers are only moved: a number is added, or subtracted, in 64 bits
    0: R1 is the context when main begins
    0: R2 becomes a copy of R1: the context"
  `);
});

test("an instruction that nothing leads to", () => {
  expect(told("r0 = 0; exit; r0 = 1; exit")).toMatchInlineSnapshot(`
    "unreachable-insn at 2
    known: nothing leads to instruction 2
    asked: every instruction can be reached"
  `);
});
