// From functions to a program: the functions it reaches are appended in the order in which libbpf meets them, and calls, map
// references and records follow.
import { BpfError, Insns, type LineInfo, packWord, type Subprog } from "@bpfkit/core";
import { type LineRecords, recordsBetween } from "./btf-ext.ts";
import type { CodeFunction } from "./code.ts";
import type { ObjectMap } from "./maps.ts";
import { type Edit, type Sources, scanFunction } from "./scan.ts";
import { Signatures } from "./signatures.ts";

const LDDW = 0x18;
const PSEUDO_KFUNC = 2;
const PSEUDO_FUNC = 4;
const PSEUDO_MAP_IDX = 5;
const PSEUDO_MAP_IDX_VALUE = 6;
/** What is counted for a subprogram, and for a line beside its columns. */
const SUBPROG_COST = 64;
const LINE_COST = 24;

/** Which function stands where, in columns ascending by `insn`, as `.BTF.ext` describes it. */
export interface FuncInfo {
  readonly insn: Uint32Array;
  /** BTF id of a `func`. */
  readonly type: Uint32Array;
}

/** A program without what its section's name says. */
export interface Linked {
  readonly insns: Insns;
  readonly subprogs: readonly Subprog[];
  readonly maps: readonly ObjectMap[];
  readonly kfuncs: readonly string[];
  readonly lines?: LineInfo;
  readonly funcs?: FuncInfo;
}

/**
 * Links programs of one object. A function is scanned once, when the first program reaches it; a program costs its own size.
 * Between programs, columns with one entry per function or map are told apart by the number of the program (`#epoch`).
 */
export class Linker {
  readonly #sources: Sources;
  readonly #signatures: Signatures | undefined;
  readonly #edits: (readonly Edit[] | undefined)[];
  readonly #placedIn: Int32Array;
  readonly #startOf: Int32Array;
  readonly #usedIn: Int32Array;
  readonly #indexOf: Int32Array;
  #epoch = 0;

  constructor(sources: Sources) {
    const functions = sources.code.functions.length;
    const maps = sources.maps.list.length;
    sources.budget.take(16 * functions + 8 * maps, "tables of the linker");
    this.#sources = sources;
    this.#signatures = sources.btf === undefined ? undefined : new Signatures(sources.btf);
    this.#edits = new Array(functions).fill(undefined);
    this.#placedIn = new Int32Array(functions);
    this.#startOf = new Int32Array(functions);
    this.#usedIn = new Int32Array(maps);
    this.#indexOf = new Int32Array(maps);
  }

  /** @throws {BpfError} what `scanFunction` throws for any function reached, `limit` when the copy is over the budget. */
  link(main: number, type: string): Linked {
    this.#epoch++;
    const order = this.#order(main);
    const maps = this.#maps(order);
    const kfuncs = new Map<string, number>();
    const insns = this.#emit(order, kfuncs);
    const subprogs = order.map((index) => this.#subprog(index, index === main ? undefined : type));
    const lines = this.#lines(order);
    const funcs = this.#funcs(order);
    return {
      insns,
      subprogs,
      maps,
      kfuncs: [...kfuncs.keys()],
      ...(lines === undefined ? {} : { lines }),
      ...(funcs === undefined ? {} : { funcs }),
    };
  }

  /**
   * Places functions depth first: a function is appended at the first reference to it, and its own references are followed
   * before the rest of the referring one's.
   */
  #order(main: number): number[] {
    const order: number[] = [];
    let end = 0;
    const stack: { readonly edits: readonly Edit[]; next: number }[] = [];
    const place = (index: number): void => {
      const edits = this.#edits[index] ?? scanFunction(this.#sources, this.#function(index));
      this.#edits[index] = edits;
      this.#sources.budget.take(8 * this.#function(index).length + SUBPROG_COST, "linked programs");
      this.#placedIn[index] = this.#epoch;
      this.#startOf[index] = end;
      end += this.#function(index).length;
      order.push(index);
      stack.push({ edits, next: 0 });
    };
    place(main);
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const edit = top.edits[top.next++];
      if (edit === undefined) stack.pop();
      else if ((edit.kind === "call" || edit.kind === "address") && this.#placedIn[edit.target] !== this.#epoch)
        place(edit.target);
    }
    return order;
  }

  /** The maps that the functions use, in the object's order. */
  #maps(order: readonly number[]): ObjectMap[] {
    const used: number[] = [];
    for (const index of order) {
      for (const edit of this.#edits[index]!) {
        if ((edit.kind !== "map" && edit.kind !== "value") || this.#usedIn[edit.target] === this.#epoch) continue;
        this.#usedIn[edit.target] = this.#epoch;
        used.push(edit.target);
      }
    }
    used.sort((a, b) => a - b);
    for (const [local, target] of used.entries()) this.#indexOf[target] = local;
    return used.map((target) => this.#sources.maps.list[target]!);
  }

  #emit(order: readonly number[], kfuncs: Map<string, number>): Insns {
    const last = order[order.length - 1]!;
    const words = new Int32Array(2 * (this.#startOf[last]! + this.#function(last).length));
    for (const index of order) {
      const { code, start, length } = this.#function(index);
      const base = this.#startOf[index]!;
      words.set(code.words.subarray(2 * start, 2 * (start + length)), 2 * base);
      for (const edit of this.#edits[index]!) {
        const at = base + edit.slot;
        const dst = (words[2 * at]! >>> 8) & 0xf;
        switch (edit.kind) {
          case "call":
            words[2 * at + 1] = this.#startOf[edit.target]! - at - 1;
            break;
          case "kfunc": {
            const local = kfuncs.get(edit.target) ?? kfuncs.size;
            kfuncs.set(edit.target, local);
            words[2 * at] = packWord(words[2 * at]!, dst, PSEUDO_KFUNC, 0);
            words[2 * at + 1] = local;
            break;
          }
          case "address":
            setLoad(words, at, dst, PSEUDO_FUNC, this.#startOf[edit.target]! - at - 1, 0);
            break;
          case "map":
            setLoad(words, at, dst, PSEUDO_MAP_IDX, this.#indexOf[edit.target]!, 0);
            break;
          case "value":
            setLoad(words, at, dst, PSEUDO_MAP_IDX_VALUE, this.#indexOf[edit.target]!, edit.offset);
            break;
        }
      }
    }
    return new Insns(words);
  }

  #lines(order: readonly number[]): LineInfo | undefined {
    const { ext, budget } = this.#sources;
    if (ext === undefined) return undefined;
    const pieces: {
      readonly records: LineRecords | undefined;
      readonly first: number;
      readonly end: number;
      readonly shift: number;
    }[] = [];
    let count = 0;
    for (const index of order) {
      const { code, start, length } = this.#function(index);
      const records = ext.lines.get(code.section.name);
      const [first, end] = records === undefined ? [0, 0] : recordsBetween(records.insn, start, start + length);
      // A function that has no lines must not seem to belong to the last line of the one before it.
      count += Math.max(end - first, 1);
      pieces.push({ records, first, end, shift: this.#startOf[index]! - start });
    }
    if (pieces.every(({ first, end }) => first === end)) return undefined;
    budget.take(count * LINE_COST, "source lines");
    const columns = {
      insn: new Uint32Array(count),
      file: new Uint32Array(count),
      line: new Uint32Array(count),
      column: new Uint32Array(count),
    };
    const text: string[] = [];
    for (const [i, { records, first, end, shift }] of pieces.entries()) {
      if (records === undefined || first === end) {
        columns.insn[text.length] = this.#startOf[order[i]!]!;
        text.push("");
        continue;
      }
      for (let record = first; record < end; record++) {
        const at = text.length;
        columns.insn[at] = records.insn[record]! + shift;
        columns.file[at] = records.file[record]!;
        columns.line[at] = records.line[record]!;
        columns.column[at] = records.column[record]!;
        text.push(records.text[record]!);
      }
    }
    return { ...columns, text, files: ext.files };
  }

  /** A function in a program of this type; the program itself has no caller that would need a signature. */
  #subprog(index: number, type: string | undefined): Subprog {
    const { name, hidden } = this.#function(index);
    const func = hidden || type === undefined ? undefined : this.#typeOf(index);
    const signature = func === undefined ? undefined : this.#signatures?.of(func, type!);
    return { name, start: this.#startOf[index]!, ...(signature === undefined ? {} : { signature }) };
  }

  #funcs(order: readonly number[]): FuncInfo | undefined {
    const { ext, btf, budget } = this.#sources;
    if (ext === undefined || btf === undefined) return undefined;
    budget.take(8 * order.length, "function records");
    const insn: number[] = [];
    const type: number[] = [];
    for (const index of order) {
      const id = this.#typeOf(index);
      if (id === undefined) continue;
      insn.push(this.#startOf[index]!);
      type.push(id);
    }
    return insn.length === 0 ? undefined : { insn: Uint32Array.from(insn), type: Uint32Array.from(type) };
  }

  /** BTF id of a function, where `.BTF.ext` names one. */
  #typeOf(index: number): number | undefined {
    const { ext, btf } = this.#sources;
    if (ext === undefined || btf === undefined) return undefined;
    const { code, start, name } = this.#function(index);
    const records = ext.funcs.get(code.section.name);
    if (records === undefined) return undefined;
    const [first, end] = recordsBetween(records.insn, start, start + 1);
    if (first === end) return undefined;
    const id = records.type[first]!;
    if (btf.kind(id) !== "func") {
      throw new BpfError(
        "malformed",
        `${code.section.name}: function ${name} described by a ${btf.kind(id)} in .BTF.ext`,
        { insn: start, expected: "a func" },
      );
    }
    return id;
  }

  #function(index: number): CodeFunction {
    return this.#sources.code.functions[index]!;
  }
}

function setLoad(words: Int32Array, at: number, dst: number, src: number, low: number, high: number): void {
  words[2 * at] = packWord(LDDW, dst, src, 0);
  words[2 * at + 1] = low;
  words[2 * at + 3] = high;
}
