// BPF programs whose subprograms others are attached to, with what the kernel has to know of their types.
import { assemble } from "@bpfkit/core";
import { LOG } from "./trampoline-recorder.mjs";

/** Programs that a target calls by tail calls: of the kind that its own array, and the one that leads to it, are. */
export const TABLE = { name: "table", type: 3, keySize: 4, valueSize: 4, maxEntries: 1, flags: 0 };
const [INT, PTR, STRUCT, FUNC, FUNC_PROTO] = [1, 2, 4, 12, 13];
const SIGNED = 1 << 24;
/** Bytes and encoding of the numbers that functions take. */
const NUMBERS = { int: [4, SIGNED], u64: [8, 0], short: [2, SIGNED], char: [1, SIGNED], u32: [4, 0] };

/**
 * Types of functions `[name, linkage, parameters][]` that give an int, where `ctx` is a parameter, too: `{ btf, ids }`, by name. Strings begin with those
 * that the harness' line information names.
 */
function typesOf(functions) {
  let strings = "\0int\0f.c\0x\0";
  const text = (word) => {
    const at = strings.length;
    strings += `${word}\0`;
    return at;
  };
  const words = [];
  let last = 0;
  const add = (...type) => {
    words.push(...type);
    return ++last;
  };
  const numbers = Object.fromEntries(
    Object.entries(NUMBERS).map(([name, [size, encoding]]) => [
      name,
      add(text(name), INT << 24, size, encoding | (8 * size)),
    ]),
  );
  const context = add(text("__sk_buff"), (STRUCT << 24) | 1, 4, text("len"), numbers.u32, 0);
  const types = { ...numbers, ctx: add(0, PTR << 24, context) };
  const ids = functions.map(([name, linkage, parameters]) => {
    const names = parameters.flatMap((parameter, i) => [text(`p${i}`), types[parameter]]);
    const proto = add(0, (FUNC_PROTO << 24) | parameters.length, numbers.int, ...names);
    return [name, add(text(name), (FUNC << 24) | (linkage === "global" ? 1 : 0), proto)];
  });
  const [types8, strings8] = [new Uint8Array(Int32Array.from(words).buffer), new TextEncoder().encode(strings)];
  const header = Int32Array.of(0x0001_eb9f, 24, 0, types8.length, types8.length, strings8.length);
  return { btf: Buffer.concat([new Uint8Array(header.buffer), types8, strings8]), ids: Object.fromEntries(ids) };
}

/** A program with its maps and types; `functions` in the order of its subprograms. */
function target(name, text, functions) {
  const program = { ...assemble(text, { type: "socket_filter", maps: [TABLE, LOG] }), name };
  const { btf, ids } = typesOf(functions);
  const info = program.subprogs.flatMap(({ start }, i) => [start, ids[functions[i][0]]]);
  return {
    program,
    ids,
    /** What a case brings along besides the program. */
    rest: {
      per_insn: 1,
      btf: btf.toString("hex"),
      func_info: Buffer.from(Int32Array.from(info).buffer).toString("hex"),
    },
  };
}

const MAIN = ["main", "global", ["ctx"]];
const count = "r1 = map[log][0]+8\nr2 = 1\nlock *(u64 *)(r1 + 0) += r2";
const SMALL =
  "r1 = -5\nr2 = 0x1122334455667788 ll\nr3 = -300\nr4 = -7\nr5 = 123456\ncall g\nexit\ng:\nr0 = r1\nr0 += r5\nexit";

/** By name: `main` is what is run, `f` what lies in slot 0 of its table. */
export const TARGETS = {
  "small numbers": { main: target("small", SMALL, [MAIN, ["g", "global", ["int", "u64", "short", "char", "int"]]]) },
  "no types": { main: target("plain", SMALL, [MAIN, ["g", "static", ["int", "u64", "short", "char", "int"]]]) },
  "tail calls": {
    main: target(
      "hierarchy",
      "r6 = r1\ncall t\nr7 = r0\nr1 = r6\ncall t\nr0 += r7\nexit\nt:\nr2 = map[table]\nr3 = 0\ncall tail_call\nr0 = 77\nexit",
      [MAIN, ["t", "global", ["ctx"]]],
    ),
    f: target("chain", `r6 = r1\n${count}\nr1 = r6\nr2 = map[table]\nr3 = 0\ncall tail_call\nr0 = 5\nexit`, [MAIN]),
  },
};

/** Goes to a target by a tail call, since the harness runs programs as it loads them. */
export const LEAD = {
  ...assemble("r2 = map[table]\nr3 = 0\ncall tail_call\nr0 = -1\nexit", { type: "socket_filter", maps: [TABLE] }),
  name: "lead",
};
