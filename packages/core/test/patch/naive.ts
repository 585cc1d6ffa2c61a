// One edit at a time on plain objects: the oracle that `linearize` is held against. Every edit moves everything behind it and adjusts
// every jump, as Linux does (quadratic). Three deviations from Linux: aux data on replace, poke indexes on delete, long jump forms.
import { Insns } from "../../src/isa/insns.ts";
import { LDIMM64, Reach, reachOf } from "../../src/patch/branches.ts";
import type { Metadata } from "../../src/patch/metadata.ts";
import type { Program } from "../../src/program.ts";

interface Slot {
  word: number;
  imm: number;
  readonly node: number;
  readonly origin: number;
  readonly patch: number;
  aux: number[];
  /** Whether `aux` is an original's. */
  owned: boolean;
  /** A jump that arrives by falling through: it left its patch by the end. */
  falls: boolean;
}

/** What a jump that was replaced went to: a slot, and how it arrives. */
export interface Destination {
  readonly to: number;
  readonly falls: boolean;
}

export class Naive {
  readonly slots: Slot[] = [];
  readonly #program: Program;
  readonly #metadata: Metadata;
  subprogs: { name: string; start: number; funcs: number[] }[];
  lines: { insn: number; index: number }[];
  tables: { insn: number; entry: number }[][];
  #patches = 0;
  /** The innermost prepended patch that a patch is or lies in, 0 for none; and the one that a prepended patch itself lies in. */
  readonly #within: Map<number, number> = new Map([[0, 0]]);
  readonly #outer: Map<number, number> = new Map();
  #nextNode: number;
  readonly #rules: "ours" | "linux";

  /** With the rules of `linux`, a replaced instruction's aux data stays with the last of the patch, and deleting moves no table. */
  constructor(program: Program, metadata: Metadata = {}, rules: "ours" | "linux" = "ours") {
    this.#rules = rules;
    this.#program = program;
    this.#metadata = metadata;
    const { insns } = program;
    for (let i = 0; i < insns.length; i++) {
      const aux = (metadata.aux ?? []).map(({ values }) => values[i]!);
      const [word, imm] = [insns.words[2 * i]!, insns.words[2 * i + 1]!];
      this.slots.push({ word, imm, node: i, origin: i, patch: 0, aux, owned: true, falls: false });
    }
    this.subprogs = program.subprogs.map(({ name, start }, index) => ({
      name,
      start,
      funcs: (metadata.funcs ?? []).map(({ values }) => values[index]!),
    }));
    this.lines = Array.from(program.lines?.insn ?? [], (insn, index) => ({ insn, index }));
    this.tables = (metadata.tables ?? []).map(({ insn }) => Array.from(insn, (slot, entry) => ({ insn: slot, entry })));
    this.#nextNode = insns.length + 1;
  }

  indexOf(node: number): number {
    return this.slots.findIndex((slot) => slot.node === node);
  }

  destination(at: number): Destination {
    const { word, imm, falls } = this.slots[at]!;
    return { to: at + 1 + (reachOf(word) === Reach.OFFSET ? word >> 16 : imm), falls };
  }

  /** Replaces the instruction at an index; gives the node of the first, as the list does. */
  replace(at: number, words: readonly number[]): number {
    const old = this.slots[at]!;
    const width = (old.word & 0xff) === LDIMM64 ? 2 : 1;
    return this.#splice(at, width, words, old);
  }

  prepend(at: number, words: readonly number[]): number {
    return this.#splice(at, 0, words, this.slots[at]!);
  }

  #splice(at: number, width: number, words: readonly number[], old: Slot): number {
    const count = words.length / 2;
    const by = count - width;
    const isPrepend = width === 0;
    const patch = ++this.#patches;
    this.#within.set(patch, isPrepend ? patch : this.#prependOf(old));
    if (isPrepend) this.#outer.set(patch, this.#prependOf(old));
    const first = this.#nextNode;
    this.#nextNode += count + 1;
    const fresh: Slot[] = [];
    for (let i = 0; i < count; i++) {
      const [word, imm] = [words[2 * i]!, words[2 * i + 1]!];
      const reach = reachOf(word);
      const to = i + 1 + (reach === Reach.OFFSET ? word >> 16 : imm);
      const falls = (reach === Reach.OFFSET || reach === Reach.IMMEDIATE) && to === count;
      fresh.push({
        word,
        imm,
        node: first + i,
        origin: old.origin,
        patch,
        aux: this.#fresh(word, imm, old),
        owned: false,
        falls,
      });
    }
    if (this.#rules === "linux" && !isPrepend) fresh.at(-1)!.aux = [...old.aux];
    const targets = this.#targets();
    const moved = (to: number, passes: boolean): number => (to > at || (to === at && passes) ? to + by : to);
    this.slots.splice(at, width, ...fresh);
    for (const { from, to, falls, reach } of targets) {
      if (from >= at && from < at + width) continue;
      const now = from >= at ? from + by : from;
      this.#write(now, moved(to, isPrepend && !falls && reach < Reach.CALL));
    }
    for (const subprog of this.subprogs) subprog.start = moved(subprog.start, false);
    for (const line of this.lines) line.insn = moved(line.insn, false);
    for (const table of this.tables)
      for (const entry of table) if (entry.insn >= 0) entry.insn = moved(entry.insn, isPrepend);
    return first;
  }

  #fresh(word: number, imm: number, old: Slot): number[] {
    return (this.#metadata.aux ?? []).map(({ inserted }, column) =>
      inserted === "zero" ? 0 : inserted === "origin" ? this.#originAux(old.origin, column) : halfWrite(word, imm),
    );
  }

  #originAux(origin: number, column: number): number {
    return this.#metadata.aux![column]!.values[origin]!;
  }

  delete(at: number): void {
    const width = (this.slots[at]!.word & 0xff) === LDIMM64 ? 2 : 1;
    const end = at + width;
    const targets = this.#targets();
    const survivor = this.#survivorOf(at, end);
    this.slots.splice(at, width);
    for (const { from, to, falls, reach } of targets) {
      if (from >= at && from < end) continue;
      const now = from >= end ? from - width : from;
      const goes = to === at && reach < Reach.CALL && !falls ? survivor : { to, falls };
      this.#write(now, goes.to >= end ? goes.to - width : goes.to);
      this.slots[now]!.falls = goes.falls;
    }
    this.#deleteSubprogs(at, width);
    this.#deleteLines(at, width);
    if (this.#rules === "linux") return;
    const { tables = [] } = this.#metadata;
    this.tables = this.tables.map((table, index) => {
      const mark = tables[index]!.onDelete === "mark";
      const kept = table.filter(({ insn }) => mark || insn < at || insn >= end);
      return kept.map(({ insn, entry }) => ({ insn: insn >= end ? insn - width : insn >= at ? -1 : insn, entry }));
    });
  }

  #prependOf({ patch }: Slot): number {
    return this.#within.get(patch)!;
  }

  /**
   * Where a jump to the instruction at `at`, which ends at `end`, goes without it: to the next one, past what was prepended to that. In a
   * prepended patch without a next one, to the end of the patch.
   */
  #survivorOf(at: number, end: number): Destination {
    const home = this.#prependOf(this.slots[at]!);
    for (let to = end; to < this.slots.length; to++) {
      const prepend = this.#prependOf(this.slots[to]!);
      if (prepend === home) return { to, falls: false };
      let outer = prepend;
      while (outer !== home && outer !== 0) outer = this.#outer.get(outer)!;
      if (outer !== home) return { to, falls: true };
    }
    return { to: this.slots.length, falls: true };
  }

  /** As Linux adjusts subprogram starts after a removal. */
  #deleteSubprogs(off: number, count: number): void {
    const starts = [...this.subprogs.map(({ start }) => start), this.slots.length + count];
    let i = starts.findIndex((start) => start >= off);
    let j = i;
    while (j < starts.length - 1 && starts[j]! < off + count) j++;
    if (starts[j] !== off + count) j--;
    if (j > i) this.subprogs.splice(i, j - i);
    else if (starts[i] === off) i++;
    for (; i < this.subprogs.length; i++) this.subprogs[i]!.start -= count;
  }

  /** As Linux adjusts line info after a removal: the last removed record goes to live code that has none. */
  #deleteLines(off: number, count: number): void {
    const removed = this.lines.filter(({ insn }) => insn >= off && insn < off + count);
    const inherits =
      this.slots.length !== off && removed.length > 0 && !this.lines.some(({ insn }) => insn === off + count);
    const survivor = inherits ? removed.at(-1) : undefined;
    this.lines = this.lines.filter((line) => line === survivor || !removed.includes(line));
    for (const line of this.lines) if (line.insn >= off) line.insn = line === survivor ? off : line.insn - count;
  }

  /** Makes the jump at an index go somewhere. */
  aim(at: number, { to, falls }: Destination): void {
    this.#write(at, to);
    this.slots[at]!.falls = falls;
  }

  inherit(at: number, aux: readonly number[]): void {
    this.slots[at]!.aux = [...aux];
    this.slots[at]!.owned = true;
  }

  #targets(): (Destination & { readonly from: number; readonly reach: number })[] {
    const targets: (Destination & { readonly from: number; readonly reach: number })[] = [];
    for (let from = 0; from < this.slots.length; from++) {
      const { word, imm, falls } = this.slots[from]!;
      const reach = reachOf(word);
      if (reach !== Reach.NONE)
        targets.push({ from, to: from + 1 + (reach === Reach.OFFSET ? word >> 16 : imm), falls, reach });
    }
    return targets;
  }

  #write(at: number, to: number): void {
    const slot = this.slots[at]!;
    const distance = to - at - 1;
    if (reachOf(slot.word) !== Reach.OFFSET) slot.imm = distance;
    else if (distance >= -0x8000 && distance <= 0x7fff) slot.word = (slot.word & 0xffff) | (distance << 16);
    else throw new RangeError(`instruction ${slot.origin} cannot be patched due to 16-bit range`);
  }

  result(): { program: Program; metadata: Metadata; origin: number[]; patch: number[]; node: number[] } {
    const { lines, ...rest } = this.#program;
    const pick = (column: Uint32Array): Uint32Array => Uint32Array.from(this.lines, ({ index }) => column[index]!);
    const { aux, funcs, tables } = this.#metadata;
    return {
      program: {
        ...rest,
        insns: new Insns(Int32Array.from(this.slots.flatMap(({ word, imm }) => [word, imm]))),
        subprogs: this.subprogs.map(({ name, start }) => ({ name, start })),
        ...(lines === undefined
          ? {}
          : {
              lines: {
                insn: Uint32Array.from(this.lines, ({ insn }) => insn),
                file: pick(lines.file),
                line: pick(lines.line),
                column: pick(lines.column),
                text: this.lines.map(({ index }) => lines.text[index]!),
                files: lines.files,
              },
            }),
      },
      metadata: {
        ...(aux && {
          aux: aux.map(({ name, inserted }, column) => ({
            name,
            inserted,
            values: Int32Array.from(this.slots, (slot) => slot.aux[column]!),
          })),
        }),
        ...(funcs && {
          funcs: funcs.map(({ name }, column) => ({
            name,
            values: Uint32Array.from(this.subprogs, (subprog) => subprog.funcs[column]!),
          })),
        }),
        ...(tables && {
          tables: tables.map(({ name, onDelete }, index) => ({
            name,
            onDelete,
            insn: Int32Array.from(this.tables[index]!, ({ insn }) => insn),
            entry: Uint32Array.from(this.tables[index]!, ({ entry }) => entry),
          })),
        }),
      },
      origin: this.slots.map(({ origin }) => origin),
      patch: this.slots.map(({ patch }) => patch),
      node: this.slots.map(({ node }) => node),
    };
  }
}

/** By the table's own words: 32-bit arithmetic and moves, loads of less than 64 bits, atomics that fetch 32 bits. */
function halfWrite(word: number, imm: number): number {
  const code = word & 0xff;
  const arithmetic = (code & 7) === 4 && !((code === 0xd4 || code === 0xdc) && imm === 64);
  const load = code === 0x61 || code === 0x69 || code === 0x71 || [0x20, 0x28, 0x30, 0x40, 0x48, 0x50].includes(code);
  const fetch = code === 0xc3 && ((imm & 1) === 1 || imm === 0x100);
  const acquire = (code === 0xcb || code === 0xd3) && imm === 0x100;
  return arithmetic || load || fetch || acquire ? 1 : 0;
}
