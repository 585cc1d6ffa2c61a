// Patching every site of a program: each becomes three instructions, with jumps across. One list and one linearize, beside one patch at
// a time as Linux does it, and beside a copy of the resulting instructions into memory in use, which nothing can beat. The list, too, works
// in memory in use (`core-ms`, `metadata-ms`): it is reset, and each result is made in the memory of the one before. What new memory adds
// stands beside: with a new list and a new result each time (`-new-ms`), and in the first run of a process (`-first-ms`).
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Insns, linearize, noFacts, PatchList, packWord } from "@bpfkit/core";
import { seconds } from "./measure.mjs";

const [CALL, MOV, JNE, EXIT] = [0x85, 0xb7, 0x55, 0x95];
/** Every so many slots a jump, over as many. */
const [EVERY, OVER] = [8, 16];
/** Where one patch at a time takes too long: how many patches are measured at the start, in the middle and at the end. */
const SAMPLE = 16;
/** From how many patches the time of one at a time is extrapolated, beyond how many sites. */
export const SAMPLED = { patches: 3 * SAMPLE, beyond: 8192 };
const THREE = Int32Array.of(packWord(MOV, 1, 0, 0), 1, packWord(MOV, 2, 0, 0), 2, packWord(CALL, 0, 0, 0), 5);
/** The sizes that Linux's own curve was published for, and those of the list that was proposed to replace it. */
export const CURVE = [128, 256, 512, 1024, 2048, 4096, 8192];
export const SCALE = { "15k": 15_000, "45k": 45_000, "95k": 95_000, "195k": 195_000, "1M": 1_000_000 };

/** A program with `sites` helper calls, and a jump for every eight instructions. */
export function subject(sites) {
  const slots = sites + Math.ceil(sites / (EVERY - 1)) + 1;
  const words = new Int32Array(2 * slots);
  let left = sites;
  for (let i = 0; i < slots - 1; i++) {
    if (i % EVERY === EVERY - 1 || left === 0) {
      words[2 * i] = packWord(JNE, 1, 0, i + 1 + OVER < slots ? OVER : i >= OVER ? -OVER : 0);
    } else {
      words[2 * i] = CALL;
      words[2 * i + 1] = 7;
      left--;
    }
  }
  words[2 * slots - 2] = EXIT;
  const subprogs = Array.from({ length: Math.ceil(slots / 1000) }, (_, i) => ({ name: `f${i}`, start: 1000 * i }));
  return { name: "bench", type: "xdp", license: "GPL", insns: new Insns(words), subprogs, maps: [], kfuncs: [] };
}

/** Everything that can be carried along: lines, functions, aux data, three tables, facts, provenance. */
export function everything(program) {
  const slots = program.insns.length;
  const every = (step) => Int32Array.from({ length: Math.ceil(slots / step) }, (_, i) => step * i);
  const insn = Uint32Array.from(every(4));
  const lines = {
    insn,
    file: new Uint32Array(insn.length),
    line: insn,
    column: insn,
    text: new Array(insn.length).fill(""),
    files: [""],
  };
  const column = (name, inserted) => ({ name, inserted, values: new Int32Array(slots).fill(1) });
  const metadata = {
    aux: [column("state", "zero"), column("seen", "origin"), column("upper", "upper-half")],
    funcs: [{ name: "type", values: new Uint32Array(program.subprogs.length) }],
    tables: [
      { name: "poke", onDelete: "drop", insn: every(16) },
      { name: "jumps", onDelete: "mark", insn: every(16) },
      { name: "exceptions", onDelete: "drop", insn: every(16) },
    ],
  };
  return {
    program: { ...program, lines },
    facts: noFacts(slots),
    options: { metadata, facts: true, provenance: true },
  };
}

/** Replaces every call, and linearizes, in new memory. */
export function patchAll(program, facts, options) {
  return patchList(new PatchList(program, facts), options);
}

/** The same again and again in the memory of the first time. */
export function patcher(program, facts, options) {
  const list = new PatchList(program, facts);
  let result;
  return () => {
    list.reset(program, facts);
    result = patchList(list, { ...options, recycle: result });
    return result;
  };
}

function patchList(list, options) {
  const { originals } = list;
  for (let at = 0; at < originals; at++) if (list.code(at) === CALL) list.replace(at, THREE);
  return linearize(list, options);
}

/** One patch at a time: moves what lies behind, then adjusts every jump. `count` patches from slot `from` on; gives the slot behind the last. */
export function patchOneByOne(words, slots, from, count) {
  let length = slots;
  let at = from;
  for (let left = count; left > 0 && at < length; at++) {
    if ((words[2 * at] & 0xff) !== CALL) continue;
    words.copyWithin(2 * at + 6, 2 * at + 2, 2 * length);
    words.set(THREE, 2 * at);
    length += 2;
    for (let i = 0; i < length; i++) {
      const word = words[2 * i];
      if ((word & 0xff) !== JNE || (i >= at && i < at + 3)) continue;
      const off = word >> 16;
      const was = i < at ? i : i - 2;
      if (was < at && was + off + 1 > at) words[2 * i] = (word & 0xffff) | ((off + 2) << 16);
      else if (was > at && was + off + 1 <= at) words[2 * i] = (word & 0xffff) | ((off - 2) << 16);
    }
    at += 2;
    left--;
  }
  return at;
}

/** Seconds that one patch at a time takes for all sites; beyond {@link SAMPLED} from the fastest patch of each sample. */
function secondsOneByOne(program, sites) {
  const slots = program.insns.length;
  if (sites <= SAMPLED.beyond) {
    const words = new Int32Array(2 * (slots + 2 * sites));
    return seconds(() => {
      words.set(program.insns.words);
      patchOneByOne(words, slots, 0, sites);
    }, 0.5);
  }
  const expanded = new Int32Array(6 * slots + 64);
  const [start, middle, end] = [0, 0.5, 1].map((part) => {
    // So far along, the first part of the program has been expanded and the rest has not.
    const done = Math.floor(part * (slots - 32));
    expanded.set(program.insns.words.subarray(0, 2 * done));
    expanded.set(program.insns.words.subarray(2 * done), 6 * done);
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0, from = 3 * done; i < SAMPLE; i++) {
      const before = performance.now();
      from = patchOneByOne(expanded, slots + 2 * done + 2 * i, from, 1);
      best = Math.min(best, (performance.now() - before) / 1000);
    }
    return best;
  });
  return (sites * (start + 4 * middle + end)) / 6;
}

/** The slope of log time over log size. */
export function exponent(points) {
  const logs = points.map(([size, time]) => [Math.log(size), Math.log(time)]);
  const mean = (axis) => logs.reduce((sum, point) => sum + point[axis], 0) / logs.length;
  const [x, y] = [mean(0), mean(1)];
  return (
    logs.reduce((sum, [a, b]) => sum + (a - x) * (b - y), 0) / logs.reduce((sum, [a]) => sum + (a - x) * (a - x), 0)
  );
}

/** The first and only run of a process: its time in ms, and the memory that it adds, in MB; nothing is given back before it ends. */
function firstRun(kind, sites) {
  const { stdout } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), kind, String(sites)], {
    encoding: "utf8",
  });
  return JSON.parse(stdout);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const program = subject(Number(process.argv[3]));
  const all = process.argv[2] === "metadata" ? everything(program) : { program };
  const before = process.memoryUsage().rss / 2 ** 20;
  const start = performance.now();
  const { work } = patchAll(all.program, all.facts, all.options);
  const time = performance.now() - start;
  const memory = process.memoryUsage().rss / 2 ** 20 - before;
  console.log(JSON.stringify({ time, memory, work }));
}

const ms = (time) => Math.round(time * 1e6) / 1000;

export function run() {
  const results = [];
  const add = (name, value, unit = "ms") => results.push({ case: name, value, unit });
  const addOneByOne = (name, program, sites) => {
    const isSampled = sites > SAMPLED.beyond;
    const time = ms(secondsOneByOne(program, sites));
    add(`${name}/one-by-one-ms`, time, isSampled ? `ms, extrapolated from ${SAMPLED.patches} patches` : "ms");
  };
  for (const sites of CURVE) {
    const program = subject(sites);
    const all = everything(program);
    add(`${sites}/core-ms`, ms(seconds(patcher(program), 0.3)));
    add(`${sites}/metadata-ms`, ms(seconds(patcher(all.program, all.facts, all.options), 0.3)));
    addOneByOne(sites, program, sites);
  }
  const times = { core: [], metadata: [], copy: [] };
  for (const [name, sites] of Object.entries(SCALE)) {
    const program = subject(sites);
    const all = everything(program);
    const time = sites === 1_000_000 ? 6 : 2;
    const core = seconds(patcher(program), time);
    const metadata = seconds(patcher(all.program, all.facts, all.options), time);
    const coreNew = seconds(() => patchAll(program), time);
    const metadataNew = seconds(() => patchAll(all.program, all.facts, all.options), time);
    const { words } = patchAll(program).program.insns;
    const target = new Int32Array(words.length);
    const copy = seconds(() => target.set(words), 0.5);
    times.core.push([sites, core]);
    times.metadata.push([sites, metadata]);
    times.copy.push([sites, copy]);
    add(`${name}/core-ms`, ms(core));
    add(`${name}/metadata-ms`, ms(metadata));
    add(`${name}/core-new-ms`, ms(coreNew), "ms, new memory each time");
    add(`${name}/metadata-new-ms`, ms(metadataNew), "ms, new memory each time");
    add(`${name}/copy-ms`, ms(copy));
    addOneByOne(name, program, sites);
    if (sites !== 1_000_000) continue;
    add(`${name}/core-copies`, Math.round((10 * core) / copy) / 10, "copies");
    add(`${name}/metadata-copies`, Math.round((10 * metadata) / copy) / 10, "copies");
    for (const kind of ["core", "metadata"]) {
      const first = firstRun(kind, sites);
      add(`${name}/${kind}-first-ms`, Math.round(first.time), "ms, first run of a process");
      add(`${name}/${kind}-peak`, Math.round(first.memory), "MB");
    }
  }
  add("exponent", Math.round(1000 * exponent(times.core)) / 1000, "log/log");
  add("metadata-exponent", Math.round(1000 * exponent(times.metadata)) / 1000, "log/log");
  add("copy-exponent", Math.round(1000 * exponent(times.copy)) / 1000, "log/log");
  return results;
}
