// Tail-call programs, what is in their prog arrays, and in which order they run: the same for a real kernel and for bpfkit.
import { assemble } from "@bpfkit/core";

/** Slots of every prog array here. */
const SLOTS = 4;
/** 64 bytes for programs to count in, eight words; `counts` of each run are all of them. */
const COUNTERS = { name: "counts", type: 2, keySize: 4, valueSize: 64, maxEntries: 1, flags: 0 };
export const WORDS = 8;

const progArray = (name) => ({ name, type: 3, keySize: 4, valueSize: 4, maxEntries: SLOTS, flags: 0 });

/** Adds 1 to word `index`; changes r1 and r2. */
const count = (index) => `r1 = map[counts][0]+${8 * index}\nr2 = 1\nlock *(u64 *)(r1 + 0) += r2`;
const load = (register, index) => `${register} = map[counts][0]+${8 * index}\n${register} = *(u64 *)(${register} + 0)`;
/** `bpf_tail_call(r6, table, slot)`, with a slot that everybody knows. */
const jump = (slot, table = "table") => `r1 = r6\nr2 = map[${table}]\nr3 = ${slot}\ncall tail_call`;
/** The same with a slot that only a run tells: word 7 is never counted. */
const jumpTo = (slot, table = "table") =>
  `${load("r3", 7)}\nr3 += ${slot}\nr1 = r6\nr2 = map[${table}]\ncall tail_call`;
/** A subprogram that tries one slot, and gives `result` where that fails. */
const sub = (name, slot, result = 0, how = jump) => `${name}:\nr6 = r1\n${how(slot)}\nr0 = ${result}\nexit`;
const call = (name) => `r1 = r6\ncall ${name}`;
const KTIME_GET_NS = 5;
const LOOP = 181;
/** All saved registers and `depth` bytes of stack, filled; `check` adds them up into r0. */
const fill = (depth, seed = 1) =>
  `r7 = ${seed}\nr8 = ${2 * seed}\nr9 = ${4 * seed}\nr1 = ${8 * seed}\n*(u64 *)(r10 - 8) = r1\n*(u64 *)(r10 - ${depth}) = r9`;
const check = (depth) =>
  `r0 += r7\nr0 += r8\nr0 += r9\nr1 = *(u64 *)(r10 - 8)\nr0 += r1\nr1 = *(u64 *)(r10 - ${depth})\nr0 += r1`;
/** Uses all saved registers and 200 bytes of stack, so that whoever forgets to save finds them changed. */
const GREEDY = `r6 = -1\nr7 = -2\nr8 = -3\nr9 = -4\nr1 = 0\n*(u64 *)(r10 - 200) = r1\n*(u64 *)(r10 - 8) = r6\nr0 = 42\nexit`;

const set = (slot, program, table = "table") => ({ kind: "set", table, slot, program });
const clear = (slot, table = "table") => ({ kind: "clear", table, slot });
const RUN = { kind: "run" };

/** A program that calls itself until the count is used up, and returns how often it ran. */
const chain = (attempt) => `r6 = r1\n${count(0)}\n${attempt}\n${load("r0", 0)}\nexit`;
/** Calls subprograms that each try to go back to its start, and counts how often it started. */
const hierarchy = (names, subs) =>
  `r6 = r1\n${count(0)}\n${names.map(call).join("\n")}\n${load("r0", 0)}\nexit\n${subs}`;
const ITSELF = [set(0, "main"), RUN];
const CALLEE = [set(1, "f"), RUN];
/** A function that uses `depth` bytes of stack and calls another one. */
const above = (depth, callee = "sub") => `r6 = r1\nr1 = 1\n*(u8 *)(r10 - ${depth}) = r1\n${call(callee)}\nexit\n`;

/**
 * By name: `programs` (the entry is `main`), `steps`, and where it is not `socket_filter`, the `type`. `misses`: empty slots are tried, which
 * cost a unit on some kernels.
 */
export const SITUATIONS = Object.entries({
  // Chains.
  "a chain": { programs: { main: chain(jump(0)) }, steps: ITSELF },
  "a chain, slot from memory": { programs: { main: chain(jumpTo(0)) }, steps: ITSELF },
  "a chain, twice": { programs: { main: chain(jump(0)) }, steps: [...ITSELF, RUN] },
  "a chain with an empty slot tried first": { programs: { main: chain(`${jump(1)}\n${jump(0)}`) }, steps: ITSELF, misses: true },
  "a chain with an empty slot tried first, slots from memory": { programs: { main: chain(`${jumpTo(1)}\n${jumpTo(0)}`) }, steps: ITSELF, misses: true },
  "a chain with three empty slots tried first": { programs: { main: chain(`${jump(1)}\n${jumpTo(2)}\n${jump(3)}\n${jump(0)}`) }, steps: ITSELF, misses: true },
  "a chain with a slot behind the array tried first": { programs: { main: chain(`${jump(SLOTS)}\n${jump(0)}`) }, steps: ITSELF },
  "a chain with a slot behind the array tried first, slots from memory": { programs: { main: chain(`${jumpTo(SLOTS)}\n${jumpTo(-1)}\n${jumpTo(0)}`) }, steps: ITSELF },
  "a slot's upper half does not count": { programs: { main: chain(`r1 = r6\nr2 = map[table]\nr3 = 0x100000000 ll\ncall tail_call`) }, steps: ITSELF },
  "a chain with all saved registers and 512 bytes of stack": { programs: { main: `r6 = r1\n${fill(512)}\n${count(0)}\n${jump(0)}\n${load("r0", 0)}\n${check(512)}\nexit` }, steps: ITSELF },
  "a chain with a helper before": { programs: { main: chain(`call ${KTIME_GET_NS}\n${jump(0)}`) }, steps: ITSELF },
  "a chain with helpers between failed attempts": { programs: { main: chain(`${jump(1)}\ncall ${KTIME_GET_NS}\n${jumpTo(1)}\ncall ${KTIME_GET_NS}\n${jump(0)}`) }, steps: ITSELF, misses: true },
  "a chain with a callback before": { programs: { main: `${chain(`r1 = 3\nr2 = each ll\nr3 = 0\nr4 = 0\ncall ${LOOP}\n${jump(0)}`)}\neach:\n${count(1)}\nr0 = 0\nexit` }, steps: ITSELF },
  "a chain of two programs": { programs: { main: chain(jump(1)), f: `r6 = r1\n${count(1)}\n${jump(0)}\n${load("r0", 1)}\nr0 += 1000\nexit` }, steps: [set(0, "main"), set(1, "f"), RUN] },
  "a chain of three programs that save different registers": {
    programs: {
      main: `r6 = r1\nr9 = 9\n${count(0)}\n${jump(1)}\nr0 = r9\nexit`,
      f: `r7 = r1\n*(u64 *)(r10 - 64) = r7\n${count(1)}\nr1 = r7\nr2 = map[table]\nr3 = 2\ncall tail_call\nr0 = 100\nexit`,
      g: `r6 = r1\nr8 = 8\n${count(2)}\n${jumpTo(0)}\nr0 = r8\nexit`,
    },
    steps: [set(0, "main"), set(1, "f"), set(2, "g"), RUN],
  },
  "a chain through slots in turn": { programs: { main: chain(`${load("r3", 0)}\nr3 &= 3\nr1 = r6\nr2 = map[table]\ncall tail_call`) }, steps: [0, 1, 2, 3].map((slot) => set(slot, "main")).concat(RUN) },
  "a chain until a slot is empty": { programs: { main: chain(`${load("r3", 0)}\nr3 &= 3\nr1 = r6\nr2 = map[table]\ncall tail_call`) }, steps: [1, 2].map((slot) => set(slot, "main")).concat(RUN), misses: true },
  "a chain through two arrays": { programs: { main: chain(`${load("r3", 0)}\nif r3 & 1 goto other\n${jump(0)}\nother:\n${jumpTo(2, "other")}`) }, steps: [set(0, "main"), set(2, "main", "other"), RUN] },
  "the second of two arrays": { programs: { main: chain(`${jump(0, "other")}\n${jump(0)}`) }, steps: ITSELF, misses: true },
  "an XDP chain": { type: "xdp", programs: { main: chain(jump(0)) }, steps: ITSELF },
  "a chain of a traffic classifier": { type: "sched_cls", programs: { main: chain(jumpTo(0)) }, steps: ITSELF },

  // Nothing there, and something else there.
  "an empty slot": { programs: { main: `r6 = r1\n${fill(64)}\n${jump(0)}\nr0 = 0\n${check(64)}\nexit` }, steps: [RUN], misses: true },
  "an empty slot, slot from memory": { programs: { main: `r6 = r1\n${fill(64)}\n${jumpTo(0)}\nr0 = 0\n${check(64)}\nexit` }, steps: [RUN], misses: true },
  "another program": { programs: { main: `r6 = r1\n${fill(64)}\n${jump(1)}\nr0 = 0\nexit`, f: GREEDY }, steps: CALLEE },
  "another program, slot from memory": { programs: { main: `r6 = r1\n${fill(64)}\n${jumpTo(1)}\nr0 = 0\nexit`, f: GREEDY }, steps: CALLEE },
  "the first of two that are there": { programs: { main: `r6 = r1\n${jump(0)}\n${jump(1)}\n${jump(2)}\nr0 = 0\nexit`, f: "r0 = 1\nexit", g: "r0 = 2\nexit" }, steps: [set(1, "f"), set(2, "g"), RUN], misses: true },
  "a tail call behind a subprogram without any": { programs: { main: `r6 = r1\n${call("plain")}\nr7 = r0\n${jump(1)}\nr0 = r7\nexit\nplain:\nr6 = 6\nr7 = 7\nr0 = 5\nexit`, f: "r0 = 42\nexit" }, steps: [RUN, set(1, "f"), RUN], misses: true },
  "an empty array, filled, changed and emptied": { programs: { main: `r6 = r1\n${jump(1)}\nr0 = 0\nexit`, f: "r0 = 42\nexit", g: "r0 = 43\nexit" }, steps: [RUN, set(1, "f"), RUN, set(1, "g"), RUN, clear(1), RUN, set(1, "f"), RUN], misses: true },
  "a program in an array whose own slot is filled, changed and emptied": {
    programs: { main: `r6 = r1\n${jump(0)}\nr0 = 0\nexit`, inner: `r6 = r1\n${fill(32)}\n${jump(1)}\nr0 = 0\n${check(32)}\nexit`, f: "r0 = 42\nexit", g: GREEDY.replace("42", "43") },
    steps: [RUN, set(0, "inner"), RUN, set(1, "f"), RUN, set(1, "g"), RUN, clear(1), RUN, set(1, "g"), RUN, clear(0), RUN], misses: true },
  "the same from a subprogram": {
    programs: { main: `r6 = r1\n${jump(0)}\nr0 = 0\nexit`, inner: `r6 = r1\n${fill(32)}\n${call("sub")}\n${check(32)}\nexit\n${sub("sub", 1, 500)}`, f: "r0 = 42\nexit", g: GREEDY.replace("42", "43") },
    steps: [RUN, set(0, "inner"), RUN, set(1, "f"), RUN, set(1, "g"), RUN, clear(1), RUN, set(1, "g"), RUN, clear(0), RUN], misses: true },

  // From subprograms.
  "from a subprogram": { programs: { main: `r6 = r1\n${fill(64)}\n${call("sub")}\n${check(64)}\nexit\n${sub("sub", 1, 1)}`, f: GREEDY }, steps: CALLEE },
  "from a subprogram, slot from memory": { programs: { main: `r6 = r1\n${fill(64)}\n${call("sub")}\n${check(64)}\nexit\n${sub("sub", 1, 1, jumpTo)}`, f: GREEDY }, steps: CALLEE },
  "from a subprogram that saves all registers to a program that saves none": {
    programs: { main: `r6 = r1\n${fill(64)}\n${call("sub")}\n${check(64)}\nexit\nsub:\nr6 = r1\n${fill(128, 100)}\n${jump(1)}\nr0 = 0\nexit`, f: "r0 = 42\nexit" }, steps: CALLEE },
  "from a subprogram, empty": { programs: { main: `r6 = r1\n${fill(64)}\n${call("sub")}\n${check(64)}\nexit\nsub:\nr6 = r1\n${fill(128, 100)}\n${jump(1)}\nr0 = 0\n${check(128)}\nexit` }, steps: [RUN], misses: true },
  "from the third subprogram down": { programs: { main: `r6 = r1\n${fill(32)}\n${call("one")}\n${check(32)}\nexit\none:\nr6 = r1\n${fill(48, 16)}\n${call("two")}\n${check(48)}\nexit\ntwo:\nr6 = r1\n${fill(56, 256)}\n${call("three")}\n${check(56)}\nexit\n${sub("three", 1, 1)}`, f: GREEDY }, steps: CALLEE },
  "from the seventh subprogram down": { programs: { main: `r6 = r1\n${call("s1")}\nr0 += 1\nexit\n${[1, 2, 3, 4, 5, 6].map((i) => `s${i}:\nr6 = r1\n${call(`s${i + 1}`)}\nr0 += 1\nexit`).join("\n")}\n${sub("s7", 1, 1000)}`, f: GREEDY }, steps: [RUN, ...CALLEE], misses: true },
  "a chain below a subprogram": { programs: { main: `r6 = r1\n${call("sub")}\nr7 = r0\n${jump(1)}\nr0 = r7\nr0 += 1\nexit\n${sub("sub", 1, 1)}`, f: chain(jump(1)) }, steps: CALLEE },
  "two subprograms share what is left": {
    programs: {
      main: `r6 = r1\n${call("one")}\nr7 = r0\n${call("two")}\nr0 += r7\nexit\n${sub("one", 1, 1)}\n${sub("two", 2, 1)}`,
      f: `r6 = r1\n${count(0)}\n${load("r1", 0)}\nif r1 >= 20 goto out\n${jump(1)}\nout:\nr0 = 20\nexit`,
      g: `r6 = r1\n${count(1)}\n${jump(2)}\nr0 = 13\nexit`,
    },
    steps: [set(1, "f"), set(2, "g"), RUN, RUN] },
  "the third subprogram after the first used all": { programs: { main: `r6 = r1\n${call("one")}\nr7 = r0\n${call("two")}\nr8 = r0\nr8 <<= 8\n${call("three")}\nr0 <<= 16\nr0 |= r8\nr0 += r7\nexit\n${sub("one", 1, 1)}\ntwo:\nr0 = 2\nexit\n${sub("three", 2, 3)}`, f: chain(jump(1)), g: "r0 = 4\nexit" }, steps: [set(1, "f"), set(2, "g"), RUN] },
  "a helper between the subprograms": { programs: { main: hierarchy(["one"], sub("one", 0)).replace(call("one"), `${call("one")}\ncall ${KTIME_GET_NS}\n${call("one")}`) }, steps: ITSELF },
  "a program called in a subprogram's stead has subprograms": {
    programs: { main: `r6 = r1\n${fill(16)}\n${call("sub")}\n${check(16)}\nexit\n${sub("sub", 1, 1)}`, f: `r6 = r1\n${fill(24, 32)}\n${count(0)}\n${call("deep")}\n${check(24)}\nexit\n${sub("deep", 2, 2)}`, g: GREEDY },
    steps: [set(1, "f"), RUN, set(2, "g"), RUN], misses: true },

  // Three tail calls below a subprogram, and then as many as are left: what the programs do that were called there must not change the count.
  ...Object.fromEntries(
    Object.entries({
      "nothing more": "r0 = 1\nexit",
      "a helper": `call ${KTIME_GET_NS}\nr0 = 1\nexit`,
      "a subprogram without tail calls": `r6 = r1\n${call("plain")}\nexit\nplain:\nr0 = 1\nexit`,
      "a subprogram with a helper": `r6 = r1\n${call("plain")}\nexit\nplain:\ncall ${KTIME_GET_NS}\nr0 = 1\nexit`,
      "a callback": `r1 = 3\nr2 = each ll\nr3 = 0\nr4 = 0\ncall ${LOOP}\nr0 = 1\nexit\neach:\nr0 = 0\nexit`,
      "a failed tail call and a helper": `r6 = r1\n${jump(3)}\ncall ${KTIME_GET_NS}\nr0 = 1\nexit`,
    }).map(([what, f]) => [
      `what is left after three programs with ${what}`,
      {
        programs: {
          main: `r6 = r1\n${call("sub")}\n${call("sub")}\n${call("sub")}\n${jump(2)}\nr0 = 0\nexit\n${sub("sub", 1)}`,
          f,
          g: chain(jump(2)),
        },
        steps: [set(1, "f"), set(2, "g"), RUN],
        misses: what.includes("failed"),
      },
    ]),
  ),

  // Call trees.
  "one subprogram back to the start": { programs: { main: hierarchy(["one"], sub("one", 0)) }, steps: ITSELF },
  "a subprogram called twice, each time back to the start": { programs: { main: hierarchy(["one", "one"], sub("one", 0)) }, steps: ITSELF },
  "the same, slot from memory": { programs: { main: hierarchy(["one", "one"], sub("one", 0, 0, jumpTo)) }, steps: ITSELF },
  "the same with an empty slot tried first": { programs: { main: hierarchy(["one", "one"], `one:\nr6 = r1\n${jump(1)}\n${jumpTo(2)}\n${jump(0)}\nr0 = 0\nexit`) }, steps: ITSELF, misses: true },
  "two subprograms, each back to the start": { programs: { main: hierarchy(["one", "two"], `${sub("one", 0)}\n${sub("two", 0, 0, jumpTo)}`) }, steps: ITSELF },
  "three subprograms, each back to the start": { programs: { main: hierarchy(["one", "two", "three"], `${sub("one", 0)}\n${sub("two", 0)}\n${sub("three", 0)}`) }, steps: [...ITSELF, RUN] },
  "two subprograms, one of them two calls down": { programs: { main: hierarchy(["one", "two"], `${sub("one", 0)}\ntwo:\nr6 = r1\n${call("one")}\n${call("one")}\nr0 = 0\nexit`) }, steps: ITSELF },
  "a subprogram called twice, and then the start": { programs: { main: hierarchy(["one", "one"], sub("one", 0)).replace(load("r0", 0), `${jump(0)}\n${load("r0", 0)}`) }, steps: ITSELF },
  "a tree of two programs": { programs: { main: hierarchy(["one", "one"], sub("one", 1)), f: `r6 = r1\n${count(1)}\n${call("back")}\n${call("back")}\nr0 = 0\nexit\n${sub("back", 0)}` }, steps: [set(0, "main"), set(1, "f"), RUN] },
  "a tree with registers and 240 bytes of stack in every frame": { programs: { main: `r6 = r1\n${fill(240)}\n${count(0)}\n${call("one")}\n${call("one")}\n${load("r0", 0)}\n${check(240)}\nexit\none:\nr6 = r1\n${fill(64, 100)}\n${jump(0)}\n${load("r0", 0)}\n${check(64)}\nexit` }, steps: ITSELF },
  "an XDP tree": { type: "xdp", programs: { main: hierarchy(["one", "one"], sub("one", 0)) }, steps: ITSELF },

  // How much stack may lie above a subprogram that makes a tail call.
  ...Object.fromEntries([8, 232, 239, 240, 241, 247, 248, 249, 255, 256, 257].map((depth) => [`${depth} bytes above a subprogram`, { programs: { main: above(depth) + sub("sub", 0), f: GREEDY }, steps: [set(0, "f"), RUN] }])),
  ...Object.fromEntries([112, 120, 121, 128].map((depth) => [`twice ${depth} bytes above a subprogram`, { programs: { main: `${above(depth, "mid")}mid:\n${above(depth)}${sub("sub", 0)}`, f: GREEDY }, steps: [set(0, "f"), RUN] }])),
  "496 bytes in the subprogram": { programs: { main: `${above(8)}sub:\nr6 = r1\nr1 = 1\n*(u64 *)(r10 - 496) = r1\n${jump(0)}\nr0 = 0\nexit`, f: GREEDY }, steps: [set(0, "f"), RUN] },
  "480 bytes in the main program, the tail call there": { programs: { main: `r6 = r1\nr1 = 1\n*(u64 *)(r10 - 480) = r1\n${call("plain")}\nr7 = r0\n${jump(0)}\nr0 = r7\nexit\nplain:\nr0 = 7\nexit`, f: GREEDY }, steps: [set(0, "f"), RUN] },
}).map(([name, { type = "socket_filter", misses = false, programs, steps }]) => ({ name, type, misses, programs, steps })); // biome-ignore format: a table

/** New maps for one situation, by name. */
export function mapsOf() {
  return { table: progArray("table"), other: progArray("other"), counts: { ...COUNTERS } };
}

/** The programs of a situation by name, as programs on `maps`. */
export function programsOf({ programs, type }, maps) {
  const specs = Object.values(maps);
  return Object.entries(programs).map(([name, text]) => ({ ...assemble(text, { type, maps: specs }), name }));
}
