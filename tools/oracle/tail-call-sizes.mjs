// Bytes of code that tail calls cost, part by part, ours and a real kernel's.
import { assemble, trust } from "@bpfkit/core";
import { askKernel, caseOf, guestOf } from "./kernel.mjs";
import { mapsOf } from "./tail-call-situations.mjs";

const FROM_MEMORY = "r3 = map[counts][0]+0\nr3 = *(u64 *)(r3 + 0)\nr1 = r6\nr2 = map[table]\ncall tail_call";
const KNOWN = "r1 = r6\nr2 = map[table]\nr3 = 1\ncall tail_call";
/** The kernel says where each instruction's code ends; the first one's holds the prologue, so the second one is the same. */
const START = "r6 = r1\nr6 = r1\n";
const BOTH = `${START}${FROM_MEMORY}\n${KNOWN}\nr0 = 0\nexit`;

/** Programs that differ in nothing but who can make tail calls; each uses r6 and no stack. */
const PROGRAMS = {
  "no tail calls": `${START}r1 = r6\ncall leaf\nexit\nleaf:\n${START}r0 = 0\nexit`,
  "tail calls in main": BOTH,
  "tail calls in main and a subprogram": `${START}r1 = r6\ncall sub\n${BOTH.slice(START.length)}\nsub:\n${BOTH}`,
};

const PSEUDO_CALL = 0x1085;
const slotsOf = ({ insns }, wanted) =>
  Array.from({ length: insns.length }, (_, i) => i).filter((i) => wanted(insns.words[2 * i] & 0xffff, insns.imm(i)));
const calls = (program) => slotsOf(program, (word) => word === PSEUDO_CALL);
const tailCalls = (program) => slotsOf(program, (word, imm) => word === 0x85 && imm === 12);
const exits = (program) => slotsOf(program, (word) => word === 0x95);

/** Part by part: the program it is measured in, and the bytes of it where `of(slot)` gives those of an instruction and `prologue(subprog)` those of a prologue. */
const PARTS = [
  ["prologue of main, no tail call below it", "no tail calls", ({ prologue }) => prologue(0)],
  ["prologue of main with tail calls", "tail calls in main", ({ prologue }) => prologue(0)],
  ["prologue of main with tail calls, also in a subprogram", "tail calls in main and a subprogram", ({ prologue }) => prologue(0)],
  ["prologue of a subprogram, no tail call below it", "no tail calls", ({ prologue }) => prologue(1)],
  ["prologue of a subprogram with tail calls", "tail calls in main and a subprogram", ({ prologue }) => prologue(1)],
  ["call of a subprogram, no tail call below it", "no tail calls", ({ of, program }) => of(calls(program)[0])],
  ["call of a subprogram with tail calls", "tail calls in main and a subprogram", ({ of, program }) => of(calls(program)[0])],
  ["tail call in main, slot from memory", "tail calls in main", ({ of, program }) => of(tailCalls(program)[0])],
  ["tail call in main, slot known", "tail calls in main", ({ of, program }) => of(tailCalls(program)[1])],
  ["tail call in a subprogram, slot from memory", "tail calls in main and a subprogram", ({ of, program }) => of(tailCalls(program)[2])],
  ["tail call in a subprogram, slot known", "tail calls in main and a subprogram", ({ of, program }) => of(tailCalls(program)[3])],
  ["epilogue of main, no tail call below it", "no tail calls", ({ of, program }) => of(exits(program)[0])],
  ["epilogue of main with tail calls", "tail calls in main", ({ of, program }) => of(exits(program)[0])],
  ["epilogue of a subprogram with tail calls", "tail calls in main and a subprogram", ({ of, program }) => of(exits(program)[1])],
]; // biome-ignore format: a table

/**
 * `{ part, ours, theirs }[]` in bytes; `theirs` is undefined for what the kernel of an architecture refuses. `options` are for the layout that the
 * kernel's CPU makes it choose.
 */
export function tailCallSizes(backend, options) {
  const maps = Object.values(mapsOf());
  const programs = Object.entries(PROGRAMS).map(([name, text]) => ({
    ...assemble(text, { type: "socket_filter", maps }),
    name,
  }));
  const { results } = askKernel(
    guestOf(backend.arch),
    programs.map((program) => caseOf(program, { per_insn: 1 })),
  );
  const theirs = Object.fromEntries(
    programs.map((program, i) => [
      program.name,
      results[i].verdict === "accept" ? measuredThere(program, results[i]) : undefined,
    ]),
  );
  const ours = Object.fromEntries(
    programs.map((program) => [program.name, measuredHere(program, backend.compile(trust(program), options))]),
  );
  return PARTS.map(([part, name, bytes]) => ({
    part,
    ours: bytes(ours[name]),
    theirs: theirs[name] && bytes(theirs[name]),
  }));
}

function measuredThere(program, { per_insn }) {
  const bySlot = new Map(per_insn.map((span) => [span.insn, span]));
  return {
    program,
    of: (slot) => bySlot.get(slot).len,
    prologue(subprog) {
      const first = per_insn.findIndex(({ func }) => func === subprog);
      return per_insn[first].len - per_insn[first + 1].len;
    },
  };
}

function measuredHere(program, { boundaries, ends, subprogs }) {
  return {
    program,
    of: (slot) => ends[slot] - boundaries[slot],
    prologue: (subprog) => subprogs[subprog].body - subprogs[subprog].start,
  };
}
