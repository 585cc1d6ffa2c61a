// Scenes of random programs: a guard, then what it allows, at the border of what it allows. r0 to r5 and r7 are theirs.
import type { Writer } from "./random-programs.ts";
import type { WorldType } from "./world.ts";

export type Piece = readonly string[];
type Scene = (w: Writer) => Piece;

/** A number between two ends, both included. */
interface Bounded {
  readonly lines: Piece;
  readonly least: number;
  readonly most: number;
}

/** Where scenes put what they need in memory, below r10: a key, a pointer, a number, and 40 bytes. */
const [KEY, POINTER, NUMBER, BUFFER] = [48, 56, 64, 144];
const BUFFER_BYTES = 40;
const ONE_BYTES = 64;
/** Index, bytes of the key and of the value of the maps with elements that may be missing. */
const TABLES = [
  [1, 4, 40],
  [2, 8, 24],
] as const;
const PACKET = { xdp: [0, 4, 8], sched_cls: [76, 80, 140] } as const;
const SIZES = [1, 2, 4, 8] as const;

/** A number of at most `max` in register `reg`; where it is greater, control goes to `skip`. */
function bounded(w: Writer, reg: string, max: number, skip: string): Bounded {
  const low = reg.replace("r", "w");
  const copy = w.kept(reg);
  const power = 2 ** Math.floor(Math.log2(max + 1)) - 1;
  const most = w.chance(0.75) ? max : w.below(max + 1);
  const over = w.chance(0.05) ? most + 1 : most;
  const upTo = (...lines: Piece): Bounded => ({ lines, least: 0, most });
  switch (w.below(14)) {
    case 0:
    case 1:
      return { lines: [...copy, `${w.chance(0.5) ? reg : low} &= ${power}`], least: 0, most: power };
    case 2:
      return upTo(...copy, `if ${reg} > ${over} goto ${skip}`);
    case 3:
      return upTo(...copy, `if ${reg} >= ${over + 1} goto ${skip}`);
    case 4:
      return upTo(...copy, `${low} = ${low}`, `if ${low} > ${over} goto ${skip}`);
    case 5:
      return upTo(...copy, `${w.chance(0.5) ? reg : low} %= ${over + 1}`);
    case 6:
      return power === 0
        ? upTo(`${reg} = ${over}`)
        : { lines: [...copy, `${reg} >>= ${64 - Math.log2(power + 1)}`], least: 0, most: power };
    case 7:
      return upTo(...copy, `if ${reg} s> ${over} goto ${skip}`, `if ${reg} s< 0 goto ${skip}`);
    case 8:
      return upTo(...copy, `${low} = ${low}`, `if ${low} s> ${over} goto ${skip}`, `if ${low} s< 0 goto ${skip}`);
    case 9: {
      const ok = w.label();
      return upTo(...copy, `if ${reg} <= ${over} goto ${ok}`, `${reg} = ${w.below(most + 1)}`, `${ok}:`);
    }
    case 10: {
      // A copy that is some way off, and the number itself compared.
      const by = w.below(Math.min(8, most + 1));
      return {
        lines: [`${reg} = r8`, `${reg} += ${by}`, `if r8 > ${over - by} goto ${skip}`],
        least: by,
        most,
      };
    }
    case 11: {
      // Through the stack.
      const bits = w.pick([64, 64, 32]);
      return upTo(
        ...(bits === 32 ? ["w8 = w8"] : []),
        `*(u${bits} *)(r10 - ${NUMBER}) = r8`,
        `if r8 > ${over} goto ${skip}`,
        `${reg} = *(u${bits} *)(r10 - ${NUMBER})`,
      );
    }
    case 12:
      return upTo(...copy, `r0 = ${over}`, `if ${reg} > r0 goto ${skip}`);
    default: {
      const shift = w.below(3);
      const scaled = most >> shift;
      return {
        lines: [...copy, `if ${reg} > ${scaled} goto ${skip}`, `${reg} <<= ${shift}`],
        least: 0,
        most: scaled << shift,
      };
    }
  }
}

/** An offset for an access of `size` bytes at a pointer that is between `least` and `most` into `limit` bytes. */
function edge(w: Writer, least: number, most: number, limit: number, size: number): number {
  const what = w.below(20);
  if (what < 10) return limit - most - size;
  if (what === 10) return limit - most - size + 1;
  if (what < 15 || limit - most - size < -least) return -least;
  if (what === 15) return -least - 1;
  return -least + w.below(Math.max(1, limit - most - size + least));
}

/** A load or store of `size` bytes. */
function access(w: Writer, pointer: string, off: number, size: number, writes: boolean = true): Piece {
  const place = `${pointer} ${off < 0 ? `- ${-off}` : `+ ${off}`}`;
  const bits = 8 * size;
  const into = w.pick(["r0", "r2", "r5", "r8", "r9"]);
  const what = writes ? w.below(20) : w.below(4);
  if (what < 3) return [`${into} = *(u${bits} *)(${place})`];
  if (what < 4) return [`${into} = *(${bits < 64 ? "s" : "u"}${bits} *)(${place})`];
  if (what < 19) return [`*(u${bits} *)(${place}) = ${w.chance(0.7) ? w.pick(["r8", "r9"]) : w.imm()}`];
  return size < 4 ? [`*(u${bits} *)(${place}) = 1`] : atomic(w, place, bits);
}

function atomic(w: Writer, place: string, bits: number): Piece {
  const reg = (n: number): string => `${bits === 64 ? "r" : "w"}${n}`;
  const name = w.pick(["add", "and", "or", "xor"]);
  switch (w.below(4)) {
    case 0:
      return [`lock *(u${bits} *)(${place}) ${w.pick(["+", "&", "|", "^"])}= r8`];
    case 1:
      return [`${reg(9)} = atomic_fetch_${name}((u${bits} *)(${place}), ${reg(9)})`];
    case 2:
      return [`${reg(8)} = ${bits === 64 ? "xchg_64" : "xchg32_32"}(${place}, ${reg(8)})`];
    default:
      return ["r0 = r9", `${reg(0)} = ${bits === 64 ? "cmpxchg_64" : "cmpxchg32_32"}(${place}, ${reg(0)}, ${reg(8)})`];
  }
}

/** Accesses through `pointer`, which is `at` bytes into `limit`, moved by a number. */
function accessMoved(
  w: Writer,
  pointer: string,
  at: number,
  limit: number,
  skip: string,
  writes: boolean = true,
): Piece {
  const size = w.pick(SIZES);
  const by = bounded(w, "r4", Math.max(0, Math.min(w.pick([3, 7, 7, 15, limit]), limit - at - size)), skip);
  if (at >= by.most && w.chance(0.25)) {
    return [
      ...by.lines,
      `${pointer} -= r4`,
      ...access(w, pointer, edge(w, at - by.most, at - by.least, limit, size), size, writes),
    ];
  }
  const again = w.chance(0.2)
    ? access(w, pointer, edge(w, at + by.least, at + by.most, limit, size), size, writes)
    : [];
  const off = edge(w, at + by.least, at + by.most, limit, size);
  return [...by.lines, `${pointer} += r4`, ...again, ...access(w, pointer, off, size, writes)];
}

const value: Scene = (w) => {
  const skip = w.label();
  const at = w.pick([0, 0, 8, 16, 32]);
  return [`r3 = map[idx:0][0]+${at}`, ...accessMoved(w, "r3", at, ONE_BYTES, skip), `${skip}:`];
};

const stack: Scene = (w) => {
  const skip = w.label();
  const size = w.pick([1, 1, 1, 2, 4, 8]);
  const shift = Math.log2(size);
  const by = bounded(w, "r4", w.pick([1, 3, BUFFER_BYTES / size - 1]), skip);
  const off = edge(w, by.least * size, by.most * size, BUFFER_BYTES, size);
  return [
    ...(w.chance(0.5) ? [`*(u64 *)(r10 - ${BUFFER - 8 * w.below(5)}) = ${w.pick(["r8", "r9", "0", "r6"])}`] : []),
    ...by.lines,
    ...(shift > 0 ? [`r4 <<= ${shift}`] : []),
    "r3 = r10",
    `r3 += ${-BUFFER}`,
    "r3 += r4",
    ...(w.chance(0.8) ? access(w, "r3", off - (off % size), size) : access(w, "r3", off, size)),
    `${skip}:`,
  ];
};

/** Spills of pointers and numbers, parts of them overwritten, filled again. */
const spill: Scene = (w) => {
  const skip = w.label();
  const slot = w.pick([POINTER, NUMBER]);
  const what = w.pick(["r6", "r10", "r3", "r8"]);
  const lines = what === "r3" ? [`r3 = map[idx:0][0]+8`] : [];
  const part = w.pick([
    `*(u8 *)(r10 - ${slot}) = 0`,
    `*(u32 *)(r10 - ${slot - 4}) = r9`,
    `*(u16 *)(r10 - ${slot - 6}) = 0`,
  ]);
  const broken = w.chance(what === "r8" ? 0.4 : 0.06);
  return [
    ...lines,
    `*(u64 *)(r10 - ${slot}) = ${what}`,
    ...(broken ? [part] : []),
    ...(w.chance(0.3) ? [`if r8 ${w.pick(["==", ">", "s<"])} ${w.imm()} goto ${skip}`] : []),
    ...(w.chance(0.3) ? ["call bpf_get_prandom_u32", "r9 = r0"] : []),
    `r3 = *(u${w.chance(0.9) ? 64 : 32} *)(r10 - ${slot})`,
    ...(what === "r3" && !broken ? accessMoved(w, "r3", 8, ONE_BYTES, skip) : []),
    ...(what === "r10" && !broken ? access(w, "r3", -BUFFER, 8) : []),
    ...(what === "r8" ? ["r9 = r3"] : []),
    `${skip}:`,
  ];
};

/** A key on the stack, in the arguments of a helper. */
function key(w: Writer, [index, bytes]: readonly [number, number, number]): Piece {
  const at = `*(u${8 * bytes} *)(r10 - ${KEY})`;
  const given = w.chance(0.5)
    ? [`${at} = ${w.below(6)}`]
    : [...w.kept("r2"), ...(w.chance(0.7) ? [`r2 &= ${w.pick([1, 3, 7])}`] : []), `${at} = r2`];
  return [...given, "r2 = r10", `r2 += ${-KEY}`, `r1 = map[idx:${index}]`];
}

const lookup: Scene = (w) => {
  const skip = w.label();
  const table = w.pick(TABLES);
  const [, , limit] = table;
  const lines = [...key(w, table), "call bpf_map_lookup_elem"];
  const check = `if r0 == 0 goto ${skip}`;
  const what = w.below(12);
  const end = `${skip}:`;
  switch (what) {
    case 0: {
      const ok = w.label();
      return [
        ...lines,
        `if r0 != 0 goto ${ok}`,
        `goto ${skip}`,
        `${ok}:`,
        "r3 = r0",
        ...accessMoved(w, "r3", 0, limit, skip),
        end,
      ];
    }
    case 1:
      return [...lines, "r3 = r0", check, ...accessMoved(w, "r3", 0, limit, skip), end];
    case 2:
    case 3:
      return [
        ...lines,
        `*(u64 *)(r10 - ${POINTER}) = r0`,
        ...(w.chance(0.5) ? [] : ["r5 = r0"]),
        check,
        `r3 = *(u64 *)(r10 - ${POINTER})`,
        ...accessMoved(w, "r3", 0, limit, skip),
        end,
      ];
    case 4: {
      // Of two lookups, one is known to be there.
      const other = w.chance(0.1) ? "r7" : "r0";
      return [
        ...lines,
        "r7 = r0",
        ...(w.chance(0.5) ? [`if r7 == 0 goto ${skip}`] : []),
        ...key(w, table),
        "call bpf_map_lookup_elem",
        `if ${other} == 0 goto ${skip}`,
        `r3 = ${w.pick(["r0", "r0", "r7"])}`,
        ...accessMoved(w, "r3", 0, limit, skip),
        end,
      ];
    }
    case 5:
      return [
        ...lines,
        check,
        "r7 = r0",
        "call bpf_get_prandom_u32",
        "r9 = r0",
        ...accessMoved(w, "r7", 0, limit, skip),
        end,
      ];
    case 6: {
      // Equal to a pointer that is there.
      return [...lines, "r3 = r0", `r5 = map[idx:0][0]+0`, `if r0 != r5 goto ${skip}`, ...access(w, "r3", 0, 8), end];
    }
    case 7:
      return [...lines, "r3 = r0", ...(w.chance(0.5) ? ["if r3 s> 0 goto +0"] : []), ...access(w, "r3", 0, 8), end];
    default:
      return [...lines, check, "r3 = r0", ...accessMoved(w, "r3", 0, limit, skip), end];
  }
};

const update: Scene = (w) => {
  const skip = w.label();
  const table = w.pick(TABLES);
  const [index, , bytes] = table;
  const at = w.chance(0.8) ? ONE_BYTES - bytes : ONE_BYTES - bytes + 1;
  const from = w.chance(0.5) ? ["r3 = r10", `r3 += ${-BUFFER}`] : [`r3 = map[idx:0][0]+${w.chance(0.5) ? at : 0}`];
  const what = w.below(5);
  if (what === 0) return [...key(w, table), "call bpf_map_delete_elem"];
  if (what === 1) {
    const call = w.pick(["map_push_elem", "map_pop_elem", "map_peek_elem"]);
    return [
      "r2 = r10",
      `r2 += ${-BUFFER}`,
      "r1 = map[idx:4]",
      "r3 = 0",
      `call bpf_${call}`,
      `r8 = *(u64 *)(r10 - ${BUFFER})`,
    ];
  }
  return [
    ...key(w, table),
    ...from,
    "r4 = 0",
    `call bpf_map_update_elem`,
    ...(index === 1 ? [] : [`if r0 == 0 goto ${skip}`, "r9 = r0", `${skip}:`]),
  ];
};

/** Memory for a helper in a register: how to come by it, and how many bytes it has. */
function memory(w: Writer, reg: string): readonly [lines: Piece, bytes: number] {
  const at = w.pick([0, 0, 8, 24]);
  if (w.chance(0.55)) return [[`${reg} = r10`, `${reg} += ${-(BUFFER - at)}`], BUFFER_BYTES - at];
  return [[`${reg} = map[idx:0][0]+${at}`], ONE_BYTES - at];
}

/** A size of at most `bytes`, or one byte more now and then. */
function sizeOf(w: Writer, reg: string, bytes: number, zero: boolean, skip: string): Piece {
  const wrong = w.chance(0.08) ? 1 : 0;
  if (w.chance(0.35)) return [`${reg} = ${(w.chance(0.6) ? bytes : w.pick([1, 4, 8, 16])) + wrong}`];
  // Only its low half is looked at; or it is more than there may be.
  if (w.chance(0.08))
    return [
      ...w.kept(reg),
      ...(w.chance(0.6) ? [`${reg} &= 127`] : [`${reg} >>= 8`, `if ${reg.replace("r", "w")} > ${bytes} goto ${skip}`]),
    ];
  if (zero) return bounded(w, reg, bytes + wrong, skip).lines;
  return [...bounded(w, reg, bytes - 1 + wrong, skip).lines, `${reg} += 1`];
}

const CALLS: Readonly<Record<WorldType, readonly string[]>> = {
  syscall: ["ringbuf_output", "probe_read_kernel", "get_current_comm"],
  xdp: ["ringbuf_output", "csum_diff", "xdp_load_bytes", "xdp_store_bytes"],
  sched_cls: ["ringbuf_output", "csum_diff", "skb_load_bytes", "skb_store_bytes"],
};

const helper: Scene = (w) => {
  const skip = w.label();
  const name = w.pick(CALLS[w.type]);
  const call = [
    `call bpf_${name}`,
    ...(w.chance(0.5) ? ["r9 = r0"] : []),
    ...(w.chance(0.4) ? [`r8 = *(u64 *)(r10 - ${BUFFER})`] : []),
    `${skip}:`,
  ];
  switch (name) {
    case "ringbuf_output": {
      const [lines, bytes] = memory(w, "r2");
      return [...sizeOf(w, "r3", bytes, true, skip), ...lines, "r1 = map[idx:3]", "r4 = 0", ...call];
    }
    case "probe_read_kernel":
    case "get_current_comm": {
      const [lines, bytes] = memory(w, "r1");
      return [...sizeOf(w, "r2", bytes, name === "probe_read_kernel", skip), ...lines, "r3 = 0", ...call];
    }
    case "csum_diff": {
      const [first, bytes] = w.chance(0.3) && w.type !== "syscall" ? packetMemory(w, skip) : memory(w, "r1");
      const [second, others] = w.chance(0.4) ? [["r3 = 0"], 0] : memory(w, "r3");
      const sizes = sizeOf(w, "r4", Math.max(others, 0), true, skip);
      return [
        ...first,
        ...sizeOf(w, "r2", bytes, true, skip),
        ...(others === 0 ? ["r4 = 0"] : sizes),
        ...second,
        "r5 = 0",
        ...call,
      ];
    }
    default: {
      const [lines, bytes] = memory(w, "r3");
      return [...sizeOf(w, "r4", bytes, false, skip), ...lines, "r1 = r6", `r2 = ${w.below(20)}`, "r5 = 0", ...call];
    }
  }
};

/** r1: some bytes of the packet. */
function packetMemory(w: Writer, skip: string): readonly [lines: Piece, bytes: number] {
  const [data, end] = PACKET[w.type as "xdp"];
  const bytes = w.pick([4, 8, 14, 20]);
  const lines = [
    `r1 = *(u32 *)(r6 + ${data})`,
    `r3 = *(u32 *)(r6 + ${end})`,
    "r5 = r1",
    `r5 += ${bytes}`,
    `if r5 > r3 goto ${skip}`,
  ];
  return [lines, bytes];
}

/** Goes to `skip` unless `pointer` is at or before `end`; gives how many bytes behind the pointer are there, too. */
function within(w: Writer, pointer: string, end: string, skip: string): readonly [lines: Piece, more: number] {
  const ok = w.label();
  switch (w.below(12)) {
    case 0:
    case 1:
      return [[`if ${end} < ${pointer} goto ${skip}`], 0];
    case 2:
      return [[`if ${pointer} >= ${end} goto ${skip}`], 1];
    case 3:
      return [[`if ${end} <= ${pointer} goto ${skip}`], 1];
    case 4:
      return [[`if ${pointer} <= ${end} goto ${ok}`, `goto ${skip}`, `${ok}:`], 0];
    case 5:
      return [[`if ${end} >= ${pointer} goto ${ok}`, `goto ${skip}`, `${ok}:`], 0];
    case 6:
      return [[`if ${end} > ${pointer} goto ${ok}`, `goto ${skip}`, `${ok}:`], 1];
    case 7:
      return [[`if ${pointer} < ${end} goto ${ok}`, `goto ${skip}`, `${ok}:`], 1];
    default:
      return [[`if ${pointer} > ${end} goto ${skip}`], 0];
  }
}

const packet: Scene = (w) => {
  const skip = w.label();
  const fields = PACKET[w.type as "xdp"];
  const [start, stop] = w.chance(0.2) ? [fields[2], fields[0]] : [fields[0], fields[1]];
  const begin = [`r2 = *(u32 *)(r6 + ${start})`, `r3 = *(u32 *)(r6 + ${stop})`];
  const bytes = w.pick([1, 2, 4, 8, 12, 14, 20, 34]);
  const size = w.pick(SIZES.filter((each) => each <= bytes));
  const [check, more] = within(w, "r4", "r3", skip);
  const use = (pointer: string, least: number): Piece =>
    access(w, pointer, edge(w, least, least, bytes + more, size), size).filter(
      (line) => !line.includes("lock") && !/xchg|fetch/.test(line),
    );
  const end = `${skip}:`;
  switch (w.below(8)) {
    case 0: {
      // Back from the end of what was looked at.
      return [...begin, "r4 = r2", `r4 += ${bytes}`, ...check, ...use("r4", bytes), end];
    }
    case 1:
    case 2: {
      const by = bounded(w, "r5", w.pick([3, 15, 63, 255]), skip);
      const again = w.chance(0.15) ? ["r2 += r5"] : [];
      return [...by.lines, ...begin, "r2 += r5", "r4 = r2", `r4 += ${bytes}`, ...check, ...again, ...use("r2", 0), end];
    }
    case 3:
      return [
        ...begin,
        "r4 = r2",
        `r4 += ${bytes}`,
        `*(u64 *)(r10 - ${POINTER}) = r2`,
        ...check,
        `r3 = *(u64 *)(r10 - ${POINTER})`,
        ...use("r3", 0),
        end,
      ];
    case 4:
      return [
        ...begin,
        "r4 = r2",
        `r4 += ${bytes}`,
        ...check,
        "r7 = r2",
        "call bpf_get_prandom_u32",
        "r9 = r0",
        ...use("r7", 0),
        end,
      ];
    case 5: {
      // Looked at first, then moved by a number: a header of a length that the packet says.
      const by = bounded(w, "r5", w.pick([3, 7, 15]), skip);
      const further = w.label();
      return [
        ...begin,
        "r4 = r2",
        `r4 += ${bytes}`,
        `if r4 > r3 goto ${skip}`,
        "r9 = *(u8 *)(r2 + 0)",
        ...by.lines,
        "r2 += r5",
        "r4 = r2",
        `r4 += ${bytes}`,
        ...check,
        ...use("r2", 0),
        `${further}:`,
        end,
      ];
    }
    case 6: {
      const call =
        w.type === "xdp" ? w.pick(["xdp_adjust_head", "xdp_adjust_tail", "xdp_adjust_meta"]) : "skb_pull_data";
      const stale = w.chance(0.1) ? [] : begin;
      return [
        ...begin,
        "r7 = r2",
        "r1 = r6",
        `r2 = ${w.pick([-8, -4, 0, 4, 8, 100])}`,
        `call bpf_${call}`,
        ...stale,
        "r4 = r2",
        `r4 += ${bytes}`,
        ...check,
        ...use(w.chance(0.06) ? "r7" : "r2", 0),
        end,
      ];
    }
    default:
      return [...begin, "r4 = r2", `r4 += ${bytes}`, ...check, ...use("r2", 0), end];
  }
};

const length: Scene = (w) => {
  const [data, end] = PACKET[w.type as "xdp"];
  return [`r2 = *(u32 *)(r6 + ${data})`, `r3 = *(u32 *)(r6 + ${end})`, "r3 -= r2", "r9 = r3"];
};

const record: Scene = (w) => {
  const [skip, done] = [w.label(), w.label()];
  const bytes = w.pick([8, 16, 24, 40, 64]);
  const through = w.chance(0.3) ? [`*(u64 *)(r10 - ${POINTER}) = r7`, `r3 = *(u64 *)(r10 - ${POINTER})`] : ["r3 = r7"];
  const give = ["r1 = r7", "r2 = 0", `call bpf_ringbuf_${w.pick(["submit", "discard"])}`];
  const twoWays = w.label();
  return [
    "r1 = map[idx:3]",
    `r2 = ${bytes}`,
    "r3 = 0",
    "call bpf_ringbuf_reserve",
    ...(w.chance(0.96) ? [`if r0 == 0 goto ${skip}`] : []),
    "r7 = r0",
    ...through,
    ...accessMoved(w, "r3", 0, bytes, w.chance(0.97) ? done : skip),
    ...(w.chance(0.2) ? ["call bpf_get_prandom_u32", "r9 = r0"] : []),
    ...(w.chance(0.2) ? [`if r8 > 7 goto ${twoWays}`, ...give, `goto ${skip}`, `${twoWays}:`] : []),
    `${done}:`,
    ...(w.chance(0.97) ? give : []),
    ...(w.chance(0.04) ? access(w, "r7", 0, 4) : []),
    `${skip}:`,
  ];
};

/** The body of what a helper calls back: `index` is a register with a number, `context` one with a pointer to 8 bytes or more. */
function callback(w: Writer, index: string, context: string | undefined): Piece {
  const out = w.label();
  const result = w.chance(0.7)
    ? ["r0 = 0"]
    : w.chance(0.8)
      ? ["call bpf_get_prandom_u32", "r0 &= 1"]
      : [`r0 = ${w.below(3)}`];
  const end = [`${out}:`, ...result, "exit"];
  const size = w.pick(SIZES);
  const limit = ONE_BYTES - size + (w.chance(0.07) ? 1 : 0);
  const body: Piece[] = [
    [],
    [
      `if ${index} > ${limit} goto ${out}`,
      "r5 = map[idx:0][0]+0",
      `r5 += ${index}`,
      `*(u${8 * size} *)(r5 + 0) = ${w.imm()}`,
    ],
    [
      `*(u64 *)(r10 - 8) = ${index}`,
      "r5 = *(u64 *)(r10 - 8)",
      "r5 &= 7",
      "r4 = map[idx:0][0]+8",
      "r4 += r5",
      "r5 = *(u8 *)(r4 + 0)",
    ],
  ];
  if (context !== undefined) {
    body.push(
      [`r5 = *(u64 *)(${context} + 0)`, `r5 += ${w.pick([1, 1, 4, -1])}`, `*(u64 *)(${context} + 0) = r5`],
      [`*(u64 *)(${context} + 0) = ${w.pick([index, "0", "7"])}`],
      [
        `r5 = *(u64 *)(${context} + 0)`,
        `if r5 > ${limit} goto ${out}`,
        "r4 = map[idx:0][0]+0",
        "r4 += r5",
        `*(u${8 * size} *)(r4 + 0) = 3`,
        "r5 += 1",
        `*(u64 *)(${context} + 0) = r5`,
      ],
    );
  }
  return [...w.pick(body), ...end];
}

const repeat: Scene = (w) => {
  const skip = w.label();
  const [counted, given] = [w.chance(0.6), w.chance(0.7)];
  const name = w.subprog(() => callback(w, "r1", given ? "r2" : undefined));
  const by = bounded(w, "r1", 5, skip);
  return [
    `*(u64 *)(r10 - ${NUMBER}) = ${w.pick(["0", "1", "r8", "r9"])}`,
    ...(counted ? [`r1 = ${w.below(5)}`] : by.lines),
    `r2 = ${name} ll`,
    ...(given ? ["r3 = r10", `r3 += ${-NUMBER}`] : ["r3 = 0"]),
    "r4 = 0",
    "call bpf_loop",
    ...afterCallback(w, skip),
    `${skip}:`,
  ];
};

/** What was left on the stack is used. */
function afterCallback(w: Writer, skip: string): Piece {
  const what = w.below(4);
  if (what === 0) return [`r9 = *(u64 *)(r10 - ${NUMBER})`];
  if (what > 1) return [];
  const size = w.pick(SIZES);
  return [
    `r4 = *(u64 *)(r10 - ${NUMBER})`,
    `if r4 > ${ONE_BYTES - size} goto ${skip}`,
    "r3 = map[idx:0][0]+0",
    "r3 += r4",
    ...access(w, "r3", 0, size),
  ];
}

const eachElement: Scene = (w) => {
  const skip = w.label();
  const [index, keyBytes, bytes] = w.pick(TABLES);
  const given = w.chance(0.6);
  const name = w.subprog(() => {
    const out = w.label();
    const load = [`r5 = *(u${8 * keyBytes} *)(r2 + 0)`];
    const size = w.pick(SIZES);
    const onValue = [
      [
        ...load,
        `if r5 > ${bytes - size + (w.chance(0.07) ? 1 : 0)} goto ${out}`,
        "r3 += r5",
        `*(u${8 * size} *)(r3 + 0) = 1`,
        `${out}:`,
      ],
      [...access(w, "r3", edge(w, 0, 0, bytes, size), size).filter((line) => !/r[89]/.test(line))],
      [...load, `*(u${8 * size} *)(r3 + ${bytes - size}) = r5`],
    ];
    return [...w.pick(onValue), ...(given ? ["r0 = r4"] : []), ...callback(w, "r0", given ? "r4" : undefined)].flatMap(
      (line) => (line === "r0 = r4" ? ["r0 = 3"] : [line]),
    );
  });
  return [
    `*(u64 *)(r10 - ${NUMBER}) = ${w.pick(["0", "1", "r8"])}`,
    `r1 = map[idx:${index}]`,
    `r2 = ${name} ll`,
    ...(given ? ["r3 = r10", `r3 += ${-NUMBER}`] : ["r3 = 0"]),
    "r4 = 0",
    "call bpf_for_each_map_elem",
    ...afterCallback(w, skip),
    `${skip}:`,
  ];
};

const subprogram: Scene = (w) => {
  const skip = w.label();
  const size = w.pick(SIZES);
  switch (w.below(6)) {
    case 0: {
      const name = w.subprog((own) => [
        "r0 = r1",
        ...(w.chance(0.5) ? ["r0 += r2"] : [`if r2 > 5 goto ${own}x`, "r0 = 3", `${own}x:`]),
        "exit",
      ]);
      return [...w.kept("r1"), ...w.kept("r2"), `call ${name}`, "r9 = r0"];
    }
    case 1: {
      // It reaches into the caller's stack, at a place that a number tells.
      const name = w.subprog((own) => {
        const out = `${own}x`;
        const limit = BUFFER_BYTES - 1 + (w.chance(0.07) ? 1 : 0);
        return [
          "r0 = 0",
          `if r2 > ${limit} goto ${out}`,
          "r1 += r2",
          w.chance(0.5) ? "*(u8 *)(r1 + 0) = r2" : "r0 = *(u8 *)(r1 + 0)",
          `${out}:`,
          "exit",
        ];
      });
      return [
        "r1 = r10",
        `r1 += ${-BUFFER}`,
        ...w.kept("r2"),
        `call ${name}`,
        "r9 = r0",
        `r8 = *(u64 *)(r10 - ${BUFFER})`,
      ];
    }
    case 2: {
      // It leaves a number that it has looked at; what it returns tells whether it did.
      const name = w.subprog((own) => {
        const limit = ONE_BYTES - size + (w.chance(0.07) ? 1 : 0);
        return [
          "r0 = 0",
          `if r2 > ${limit} goto ${own}x`,
          `*(u64 *)(r1 + 0) = ${w.chance(0.9) ? "r2" : "r0"}`,
          "r0 = 1",
          `${own}x:`,
          "exit",
        ];
      });
      return [
        "r1 = r10",
        `r1 += ${-NUMBER}`,
        ...w.kept("r2"),
        `call ${name}`,
        ...(w.chance(0.93) ? [`if r0 == 0 goto ${skip}`] : []),
        `r4 = *(u64 *)(r10 - ${NUMBER})`,
        "r3 = map[idx:0][0]+0",
        "r3 += r4",
        ...access(w, "r3", 0, size),
        `${skip}:`,
      ];
    }
    case 3: {
      const by = w.pick([7, 15, 31]);
      const name = w.subprog(() => [
        "r0 = map[idx:0][0]+0",
        ...(w.chance(0.9) ? [`r1 &= ${by}`] : []),
        "r0 += r1",
        "exit",
      ]);
      return [...w.kept("r1"), `call ${name}`, ...access(w, "r0", edge(w, 0, by, ONE_BYTES, size), size)];
    }
    case 4: {
      // A value that may be missing goes in, and is looked at there.
      const table = w.pick(TABLES);
      const name = w.subprog((own) => [
        "r0 = 0",
        ...(w.chance(0.93) ? [`if r1 == 0 goto ${own}x`] : []),
        `r0 = *(u${8 * size} *)(r1 + ${edge(w, 0, 0, table[2], size)})`.replace("+ -", "- "),
        `${own}x:`,
        "exit",
      ]);
      return [...key(w, table), "call bpf_map_lookup_elem", "r1 = r0", `call ${name}`, "r9 = r0"];
    }
    default: {
      // Two levels, each with a stack of its own.
      const inner = w.subprog(() => [
        "*(u64 *)(r10 - 8) = r2",
        "*(u64 *)(r1 + 0) = r2",
        "r0 = *(u64 *)(r10 - 8)",
        "r0 &= 15",
        "exit",
      ]);
      const outer = w.subprog(() => [
        "*(u64 *)(r10 - 8) = 5",
        "r6 = r1",
        "r1 = r10",
        "r1 += -8",
        `call ${inner}`,
        "*(u64 *)(r6 + 0) = r0",
        "r0 = *(u64 *)(r10 - 8)",
        "exit",
      ]);
      return [
        "r1 = r10",
        `r1 += ${-NUMBER}`,
        ...w.kept("r2"),
        `call ${outer}`,
        "r9 = r0",
        `r4 = *(u64 *)(r10 - ${NUMBER})`,
        "r3 = map[idx:0][0]+0",
        "r3 += r4",
        ...access(w, "r3", edge(w, 0, 15, ONE_BYTES, size), size),
      ];
    }
  }
};

const atomics: Scene = (w) => {
  const place = w.chance(0.5) ? `r10 - ${w.pick([8, 16, 24, BUFFER])}` : `r3 + ${w.pick([0, 8, 56])}`;
  return ["r3 = map[idx:0][0]+0", ...atomic(w, place, w.pick([32, 64]))];
};

const tailCall: Scene = (w) => ["r1 = r6", "r2 = map[idx:5]", ...w.kept("r3"), "call bpf_tail_call"];

const EVERYWHERE: readonly Scene[] = [
  ...[
    value,
    value,
    value,
    value,
    stack,
    stack,
    spill,
    spill,
    lookup,
    lookup,
    lookup,
    lookup,
    update,
    helper,
    helper,
    helper,
  ],
  ...[record, record, repeat, repeat, eachElement, subprogram, subprogram, subprogram, atomics, tailCall],
];
const PACKETS: readonly Scene[] = [packet, packet, packet, packet, packet, packet, packet, length];

export const SCENES: Readonly<Record<WorldType, readonly Scene[]>> = {
  syscall: EVERYWHERE,
  xdp: [...EVERYWHERE, ...PACKETS],
  sched_cls: [...EVERYWHERE, ...PACKETS],
};
