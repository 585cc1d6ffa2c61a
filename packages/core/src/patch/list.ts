// The patch list: a program and what is to be inserted, replaced and deleted in it, all of which `linearize` carries out at once.
import { type InsnFacts, NO_FACTS } from "../analysis/facts.ts";
import { BpfError } from "../errors.ts";
import type { Program } from "../program.ts";
import { HALF, LDIMM64, Reach, reachOf, SHAPES } from "./branches.ts";
import { memoryOf } from "./memory.ts";

/** One call of `replace` or `prepend`. */
export interface Patch {
  /** Counts from 1, in the order of the calls. */
  readonly id: number;
  readonly kind: "replace" | "prepend";
  /** The node that it replaced or stands before. */
  readonly at: number;
  /** Its own nodes: `first` … `first + slots - 1`. */
  readonly first: number;
  readonly slots: number;
  /** Index of the pass that made it, in the order of `beginPass`; -1 before the first. */
  readonly pass: number;
}

/** The store of a {@link PatchList}, for those who read it in bulk; it changes with the next edit and is not to be written. */
export interface PatchStore {
  readonly originals: number;
  /**
   * All patches, two words a slot, node `originals` being slot 0. A patch is a header, which is no instruction, and its instructions; the
   * next header stands for its end. A header has the node that the patch is at, and its `Link`.
   */
  readonly pool: Int32Array;
  readonly poolSlots: number;
  readonly patches: number;
  /** Slots of headers: patch p has `headers[p - 1]`, and ends at `headers[p]`. */
  readonly headers: Int32Array;
  /** State of each original, and of each slot of the pool where any of them was patched: see {@link PatchList}. */
  readonly state: Int32Array;
  readonly poolState: Int32Array | undefined;
  /** Per slot of the pool: 1 + the node a jump was aimed at, 0 without. */
  readonly aims: Int32Array | undefined;
  /** Originals that were aimed elsewhere. */
  readonly originalAims: ReadonlyMap<number, number> | undefined;
  /** Whether an aim goes to a patch's node. */
  readonly aimsInside: boolean;
  /** Per slot of the pool: 1 + the original whose facts and aux data it has, 0 without. */
  readonly heirs: Int32Array | undefined;
  /** Flags recorded, by original and by slot of the pool. */
  readonly recorded: Uint16Array | undefined;
  readonly poolRecorded: Uint16Array | undefined;
  readonly prepends: number;
  /** Slots of the program that comes out, before long forms. */
  readonly length: number;
  readonly passNames: readonly string[];
  /** First patch of each pass. */
  readonly passStarts: readonly number[];
}

/** Bits of a header's second word; above them is the patch that it links to. */
export const Link = {
  /** The patch replaces its node; otherwise it stands before it. */
  REPLACEMENT: 1,
  /** Some of its instructions point at others. */
  POINTS: 2,
  SHIFT: 2,
} as const;

const { REPLACEMENT, POINTS, SHIFT } = Link;

/**
 * The instructions of a program as nodes, numbered for good: an original is its slot index, an instruction of a patch has the number
 * that `replace` or `prepend` returned plus its place in the patch. Nothing moves until `linearize`; each edit costs O(its own slots).
 *
 * - Offsets in a patch's words count within that patch; 0 after its last instruction is the end of the patch. A jump that leaves its
 *   patch otherwise, and every call, is given its node by {@link aim}.
 * - What pointed at a replaced instruction points at the first of its replacement. What jumped to an instruction still does after a
 *   `prepend`, passing over what was prepended; a subprogram, when called, begins with it.
 * - What jumped to a deleted instruction goes to the next one left: see {@link landing}.
 * - A two-slot load is one instruction, known by its first slot.
 *
 * @example
 * ```ts
 * import { assemble, linearize, packWord, PatchList } from "@bpfkit/core";
 * const list = new PatchList(assemble("if r1 > 5 goto out\nr0 /= r2\nout: exit"));
 * for (const at of list) {
 *   if (list.code(at) !== 0x3f) continue;
 *   // if r2 != 0 goto +2; w0 = 0; goto +1; r0 /= r2
 *   list.replace(at, [packWord(0x55, 2, 0, 2), 0, packWord(0xb4, 0, 0, 0), 0, packWord(0x05, 0, 0, 1), 0, ...list.words(at)]);
 * }
 * console.log(linearize(list).program.insns.length); // 6
 * ```
 */
export class PatchList implements Iterable<number> {
  #program!: Program;
  #facts!: InsnFacts;
  #originals = 0;
  #words!: Int32Array;
  // State of a node: 0 as it was; p > 0: patch p is the last one prepended to it or the one that replaced it; -p - 1: deleted, p as
  // before or 0. Prepended patches form a ring by link, the last one linking to the first; a replacement links to the last prepended.
  #state: Int32Array = new Int32Array(0);
  // By slot of the pool, like all columns of the pool.
  #poolState: Int32Array | undefined;
  #pool: Int32Array = new Int32Array(0);
  #poolSlots = 0;
  #headers: Int32Array = new Int32Array(0);
  #patches = 0;
  #prepends = 0;
  #length = 0;
  #aims: Int32Array | undefined;
  #originalAims: Map<number, number> | undefined;
  #aimsInside = false;
  #heirs: Int32Array | undefined;
  #recorded: Uint16Array | undefined;
  #poolRecorded: Uint16Array | undefined;
  readonly #passNames: string[] = [];
  readonly #passStarts: number[] = [];
  #lastFound = 1;

  /** `facts` are the program's own, by slot; nothing is known unless told. */
  constructor(program: Program, facts: InsnFacts = NO_FACTS) {
    this.reset(program, facts);
  }

  /**
   * Makes it the list of another program, or of the same anew, without edits, in the memory that it has; results of `linearize` stay as
   * they are. Costs O(slots).
   *
   * @throws {BpfError} `argument` when the facts do not fit the program
   */
  reset(program: Program, facts: InsnFacts = NO_FACTS): void {
    const slots = program.insns.length;
    if (facts !== NO_FACTS && facts.flags.length !== slots) {
      throw new BpfError("argument", `facts of ${facts.flags.length} slots`, { expected: `${slots}, as the program` });
    }
    this.#program = program;
    this.#facts = facts;
    this.#originals = slots;
    this.#words = program.insns.words;
    this.#length = slots;
    if (this.#state.length < slots) this.#state = new Int32Array(slots);
    else this.#state.fill(0, 0, slots);
    // Untouched memory costs nothing, growing does.
    if (this.#pool.length < 64 + 8 * slots) this.#pool = new Int32Array(64 + 8 * slots);
    if (this.#headers.length < 64 + slots) this.#headers = new Int32Array(64 + slots);
    this.#poolSlots = 0;
    this.#patches = 0;
    this.#prepends = 0;
    this.#lastFound = 1;
    for (const column of [this.#poolState, this.#aims, this.#heirs, this.#recorded, this.#poolRecorded]) {
      if (column !== undefined) memoryOf(this).give(column.buffer);
    }
    this.#poolState = undefined;
    this.#aims = undefined;
    this.#heirs = undefined;
    this.#recorded = undefined;
    this.#poolRecorded = undefined;
    this.#originalAims = undefined;
    this.#aimsInside = false;
    this.#passNames.length = 0;
    this.#passStarts.length = 0;
  }

  get program(): Program {
    return this.#program;
  }

  /** Of the originals, by slot. A patch's nodes lie beyond the columns: `facts.flags[at]` is undefined there, which is no fact. */
  get facts(): InsnFacts {
    return this.#facts;
  }

  /** Slots of the program: its nodes are 0 … `originals - 1`. */
  get originals(): number {
    return this.#originals;
  }

  /** Calls of `replace` and `prepend`. */
  get patches(): number {
    return this.#patches;
  }

  /** First word of a node: offset, registers and opcode. */
  word(at: number): number {
    return at < this.#originals ? this.#words[2 * at]! : this.#pool[2 * (at - this.#originals)]!;
  }

  /** Opcode byte. */
  code(at: number): number {
    return this.word(at) & 0xff;
  }

  dst(at: number): number {
    return (this.word(at) >>> 8) & 0xf;
  }

  src(at: number): number {
    return (this.word(at) >>> 12) & 0xf;
  }

  /** Signed 16-bit offset; of a jump as written, which `target()` reads. */
  off(at: number): number {
    return this.word(at) >> 16;
  }

  /** Signed 32-bit immediate. */
  imm(at: number): number {
    return at < this.#originals ? this.#words[2 * at + 1]! : this.#pool[2 * (at - this.#originals) + 1]!;
  }

  /** Slots of the instruction: 1, or 2 for a two-slot load, whose high half is `imm(at + 1)`. */
  width(at: number): 1 | 2 {
    return this.code(at) === LDIMM64 ? 2 : 1;
  }

  /** The words of an instruction, two or four. */
  words(at: number): number[] {
    const words = [this.word(at), this.imm(at)];
    if (this.width(at) === 2) words.push(this.word(at + 1), this.imm(at + 1));
    return words;
  }

  /** The node that an instruction jumps to, calls or takes the address of; undefined when it does none of these. */
  target(at: number): number | undefined {
    const word = this.word(at);
    const reach = reachOf(word);
    if (reach === Reach.NONE) return undefined;
    const aim = this.#aimOf(at);
    if (aim !== undefined) return aim;
    return at + 1 + (reach === Reach.OFFSET ? word >> 16 : this.imm(at));
  }

  /** Facts of a node: the original's, those recorded, and for an heir those of whom it inherited from. Bits of `Fact`. */
  flags(at: number): number {
    const n = this.#originals;
    if (at < n) return (this.facts.flags[at] ?? 0) | (this.#recorded?.[at] ?? 0);
    const heir = this.#heirs?.[at - n] ?? 0;
    return (this.#poolRecorded?.[at - n] ?? 0) | (heir === 0 ? 0 : this.flags(heir - 1));
  }

  /** The original slot that a node goes back to. */
  origin(at: number): number {
    let node = at;
    while (node >= this.#originals) node = this.#ownerOf(this.#patchOf(node));
    return node;
  }

  /** The patch that a node belongs to; undefined for an original. */
  patchOf(at: number): Patch | undefined {
    return at < this.#originals ? undefined : this.patch(this.#patchOf(at));
  }

  /** A patch by its id, 1 … `patches`. */
  patch(id: number): Patch {
    if (!Number.isInteger(id) || id < 1 || id > this.#patches) {
      throw new BpfError("argument", `patch ${id}`, { expected: `1..${this.#patches}` });
    }
    const first = this.#firstOf(id);
    let pass = this.#passStarts.length - 1;
    while (pass >= 0 && this.#passStarts[pass]! > id) pass--;
    const kind = this.#isReplacement(id) ? "replace" : "prepend";
    return { id, kind, at: this.#ownerOf(id), first, slots: this.#endOf(id) - first, pass };
  }

  /** Whether a node still stands in the list itself: neither replaced nor deleted. */
  isLive(at: number): boolean {
    const state = this.#stateOf(at);
    return state === 0 || (state > 0 && !this.#isReplacement(state));
  }

  /** The node that stands for one now: itself, or the first of its replacement; -1 when that was deleted. */
  standing(at: number): number {
    let node = at;
    while (!this.isLive(node)) {
      const state = this.#stateOf(node);
      if (state < 0) return -1;
      node = this.#firstOf(state);
    }
    return node;
  }

  /**
   * The node that a jump to `at` leads to: the one that stands for it; when that was deleted, the next that was not, passing over what
   * was prepended to it; behind a prepended patch, what follows. -1 at the end.
   */
  landing(at: number): number {
    let node = at;
    while (!this.isLive(node)) {
      const state = this.#stateOf(node);
      if (state > 0) {
        node = this.#firstOf(state);
        continue;
      }
      for (;;) {
        const id = node < this.#originals ? 0 : this.#patchOf(node);
        const next = node + this.width(node);
        if (next < (id === 0 ? this.#originals : this.#endOf(id))) {
          node = next;
          break;
        }
        if (id === 0) return -1;
        if (!this.#isReplacement(id)) return this.next(node);
        node = this.#ownerOf(id);
      }
    }
    return node;
  }

  /** The first node in program order; -1 when all are deleted. */
  first(): number {
    return this.#originals === 0 ? -1 : this.#seek(0, false);
  }

  /** The node that follows `at` and all that replaced it; -1 at the end. Amortised O(1) along a walk. */
  next(at: number): number {
    return this.#seek(at, true);
  }

  /** All nodes in program order. Edits at a node are behind the walk, which goes on with what follows them. */
  *[Symbol.iterator](): Generator<number, void, undefined> {
    for (let at = this.first(); at >= 0; at = this.next(at)) yield at;
  }

  /** Patches from here on belong to this pass. */
  beginPass(name: string): void {
    this.#passNames.push(name);
    this.#passStarts.push(this.#patches + 1);
  }

  /**
   * Puts `slots` slots of `words` (two numbers each) in the place of a node; gives the node of the first.
   *
   * @throws {BpfError} `argument` when the node does not stand in the list any more, or the words cut a two-slot load in half
   */
  replace(at: number, words: ArrayLike<number>, slots: number = words.length >> 1): number {
    const isUntouched = at >= 0 && at < this.#originals && this.#state[at] === 0;
    const code = isUntouched ? this.#words[2 * at]! & 0xff : 0;
    if (code === 0 || code === LDIMM64) return this.#replaceAny(at, words, slots);
    const first = this.#append(at, words, slots, REPLACEMENT);
    this.#state[at] = this.#patches;
    this.#length += slots - 1;
    return first;
  }

  #replaceAny(at: number, words: ArrayLike<number>, slots: number): number {
    const state = this.#check(at);
    const width = this.width(at);
    const first = this.#append(at, words, slots, (state << SHIFT) | REPLACEMENT);
    this.#setState(at, this.#patches);
    if (width === 2) this.#setState(at + 1, -1);
    this.#length += slots - width;
    return first;
  }

  /**
   * Puts `slots` slots of `words` directly before a node, which keeps what is known of it; gives the node of the first.
   *
   * @throws {BpfError} `argument` as {@link replace}
   */
  prepend(at: number, words: ArrayLike<number>, slots: number = words.length >> 1): number {
    const last = this.#check(at);
    const id = this.#patches + 1;
    const first = this.#append(at, words, slots, (last === 0 ? id : this.#linkOf(last)) << SHIFT);
    if (last !== 0) {
      const header = 2 * this.#headers[last - 1]! + 1;
      this.#pool[header] = (this.#pool[header]! & POINTS) | (id << SHIFT);
    }
    this.#setState(at, id);
    this.#prepends++;
    this.#length += slots;
    return first;
  }

  /** Takes a node out; what was prepended to it stays. @throws {BpfError} `argument` when it does not stand in the list any more */
  delete(at: number): void {
    const state = this.#check(at);
    this.#setState(at, -state - 1);
    const width = this.width(at);
    if (width === 2) this.#setState(at + 1, -1);
    this.#length -= width;
  }

  /**
   * Makes a jump, a call or a two-slot load of a subprogram's address go to a node, whatever its field says; what `target()` gave
   * for another jump is good, too. Calls and addresses need an original slot, where a subprogram begins.
   *
   * @throws {BpfError} `argument` when `at` does not point at code or there is no node `target`
   */
  aim(at: number, target: number): void {
    const reach = reachOf(this.#known(at));
    if (reach === Reach.NONE)
      throw new BpfError("argument", `node ${at} does not point at code`, { expected: "a jump or a call" });
    if (!this.#isEnd(target)) this.#known(target);
    if (target >= this.#originals) {
      if (reach >= Reach.CALL) {
        throw new BpfError("argument", `a call to node ${target}, in a patch`, {
          expected: "the start of a subprogram",
        });
      }
      this.#aimsInside = true;
    }
    if (at < this.#originals) {
      this.#originalAims ??= new Map();
      this.#originalAims.set(at, target);
    } else {
      this.#aims ??= this.#column32();
      this.#aims[at - this.#originals] = target + 1;
    }
  }

  /** Gives a patch's node the facts and the aux data of an original or of whom that inherited from: it now does that one's work. */
  inherit(at: number, from: number): void {
    this.#known(at);
    this.#known(from);
    const n = this.#originals;
    if (at < n) throw new BpfError("argument", `node ${at} is an original`, { expected: "a patch's node" });
    const source = from < n ? from + 1 : (this.#heirs?.[from - n] ?? 0);
    if (source === 0) return;
    this.#heirs ??= this.#column32();
    this.#heirs[at - n] = source;
  }

  /** Records facts of a node (bits of `Fact`), which must hold in every run of the patched program. */
  record(at: number, flags: number): void {
    this.#known(at);
    const n = this.#originals;
    if (at < n) {
      this.#recorded ??= this.#column16(n);
      this.#recorded[at]! |= flags;
    } else {
      this.#poolRecorded ??= this.#column16(this.#pool.length >> 1);
      this.#poolRecorded[at - n]! |= flags;
    }
  }

  /** The store, for reading in bulk. */
  store(): PatchStore {
    return {
      originals: this.#originals,
      pool: this.#pool,
      poolSlots: this.#poolSlots,
      patches: this.#patches,
      headers: this.#headers,
      state: this.#state,
      poolState: this.#poolState,
      aims: this.#aims,
      originalAims: this.#originalAims,
      aimsInside: this.#aimsInside,
      heirs: this.#heirs,
      recorded: this.#recorded,
      poolRecorded: this.#poolRecorded,
      prepends: this.#prepends,
      length: this.#length,
      passNames: [...this.#passNames],
      passStarts: [...this.#passStarts],
    };
  }

  /** Zeros for the slots of the pool. */
  #column32(): Int32Array {
    const slots = this.#pool.length >> 1;
    return new Int32Array(memoryOf(this).take(4 * slots, true), 0, slots);
  }

  #column16(slots: number): Uint16Array {
    return new Uint16Array(memoryOf(this).take(2 * slots, true), 0, slots);
  }

  #aimOf(at: number): number | undefined {
    if (at < this.#originals) return this.#originalAims?.get(at);
    const aim = this.#aims?.[at - this.#originals] ?? 0;
    return aim === 0 ? undefined : aim - 1;
  }

  #stateOf(at: number): number {
    return at < this.#originals ? this.#state[at]! : (this.#poolState?.[at - this.#originals] ?? 0);
  }

  #setState(at: number, state: number): void {
    if (at < this.#originals) {
      this.#state[at] = state;
    } else {
      this.#poolState ??= this.#column32();
      this.#poolState[at - this.#originals] = state;
    }
  }

  #firstOf(id: number): number {
    return this.#originals + this.#headers[id - 1]! + 1;
  }

  /** First node after a patch's own: the next header. */
  #endOf(id: number): number {
    return this.#originals + this.#headers[id]!;
  }

  /** The node that a patch is at. */
  #ownerOf(id: number): number {
    return this.#pool[2 * this.#headers[id - 1]!]!;
  }

  #linkOf(id: number): number {
    return this.#pool[2 * this.#headers[id - 1]! + 1]! >> SHIFT;
  }

  #isReplacement(id: number): boolean {
    return (this.#pool[2 * this.#headers[id - 1]! + 1]! & REPLACEMENT) !== 0;
  }

  /** The patch that holds a node of the pool. Neighbours of the last one found cost O(1), others O(log patches). */
  #patchOf(at: number): number {
    const headers = this.#headers;
    const slot = at - this.#originals;
    let low = this.#lastFound;
    if (slot <= headers[low - 1]! || slot > headers[low]!) {
      low = 1;
      for (let high = this.#patches; low < high; ) {
        const middle = (low + high + 1) >>> 1;
        if (headers[middle - 1]! < slot) low = middle;
        else high = middle - 1;
      }
      this.#lastFound = low;
    }
    return low;
  }

  /** Whether a number stands for the end of a patch. */
  #isEnd(at: number): boolean {
    const slot = at - this.#originals;
    return slot > 0 && slot <= this.#poolSlots && at === this.#endOf(this.#patchOf(at));
  }

  /** The first word of a node. @throws {BpfError} `argument` when there is none */
  #known(at: number): number {
    const n = this.#originals;
    const exists = at < n ? at >= 0 : at <= n + this.#poolSlots && at > n && !this.#isEnd(at);
    if (!Number.isInteger(at) || !exists) {
      throw new BpfError("argument", `there is no node ${at}`, {
        expected: "a slot of the program or a node of a patch",
      });
    }
    const word = this.word(at);
    if ((word & 0xff) === 0) {
      throw new BpfError("argument", `node ${at} is the second half of a two-slot load`, {
        expected: "its first slot",
      });
    }
    return word;
  }

  /** The state of a node that can be edited: 0, or the last patch prepended to it. */
  #check(at: number): number {
    this.#known(at);
    const state = this.#stateOf(at);
    if (!this.isLive(at)) {
      const now = state < 0 ? "deleted" : `replaced by ${this.#firstOf(state)}`;
      throw new BpfError("argument", `node ${at} was ${now}`, { expected: "a node that stands in the list" });
    }
    return state;
  }

  #append(at: number, words: ArrayLike<number>, slots: number, link: number): number {
    // What is rare stands elsewhere: the compiler puts short methods into the loop of a pass.
    if (!(slots > 0) || 2 * slots > words.length) refuseWords(words, slots);
    const header = this.#poolSlots;
    const next = header + slots + 1;
    const id = this.#patches + 1;
    if (2 * next + 2 > this.#pool.length || id >= this.#headers.length) this.#grow(2 * next + 2, id + 1);
    const pool = this.#pool;
    const table = SHAPES;
    let shapes = 0;
    for (let from = 0, to = 2 * header + 2; from < 2 * slots; from += 2, to += 2) {
      const word = words[from]!;
      pool[to] = word;
      pool[to + 1] = words[from + 1]!;
      shapes |= table[word & 0xffff]!;
    }
    if (shapes >= HALF) checkHalves(words, slots);
    pool[2 * header] = at;
    pool[2 * header + 1] = shapes % HALF === 0 ? link : link | POINTS;
    this.#headers[id] = next;
    this.#poolSlots = next;
    this.#patches = id;
    return this.#originals + header + 1;
  }

  #grow(words: number, headers: number): void {
    if (headers > this.#headers.length) this.#headers = grown(this.#headers, headers, Int32Array);
    if (words <= this.#pool.length) return;
    this.#pool = grown(this.#pool, words, Int32Array);
    const slots = this.#pool.length >> 1;
    if (this.#poolState !== undefined) this.#poolState = grown(this.#poolState, slots, Int32Array);
    if (this.#aims !== undefined) this.#aims = grown(this.#aims, slots, Int32Array);
    if (this.#heirs !== undefined) this.#heirs = grown(this.#heirs, slots, Int32Array);
    if (this.#poolRecorded !== undefined) this.#poolRecorded = grown(this.#poolRecorded, slots, Uint16Array);
  }

  /** The first node at or after a unit, or after it. A unit is a node with what was prepended to it and what replaced it. */
  #seek(unit: number, past: boolean): number {
    const n = this.#originals;
    let at = unit;
    let leave = past;
    for (;;) {
      if (leave) {
        const id = at < n ? 0 : this.#patchOf(at);
        at += this.width(at);
        if (id === 0) {
          if (at >= n) return -1;
        } else if (at >= this.#endOf(id)) {
          const owner = this.#ownerOf(id);
          const state = this.#stateOf(owner);
          at = owner;
          if (this.#isReplacement(id)) continue;
          const current = state < 0 ? -state - 1 : state;
          const isReplaced = this.#isReplacement(current);
          const last = isReplaced ? this.#linkOf(current) : current;
          if (id !== last) at = this.#firstOf(this.#linkOf(id));
          else if (state < 0) continue;
          else if (isReplaced) at = this.#firstOf(current);
          else return owner;
        }
        leave = false;
      }
      const state = this.#stateOf(at);
      if (state === 0) return at;
      const id = state < 0 ? -state - 1 : state;
      if (id === 0) {
        leave = true;
        continue;
      }
      const last = this.#isReplacement(id) ? this.#linkOf(id) : id;
      at = this.#firstOf(last === 0 ? id : this.#linkOf(last));
    }
  }
}

function grown<T extends Int32Array | Uint16Array>(array: T, needed: number, make: new (length: number) => T): T {
  const larger = new make(Math.max(needed, 2 * array.length));
  larger.set(array);
  return larger;
}

function refuseWords(words: ArrayLike<number>, slots: number): never {
  throw new BpfError("argument", `a patch of ${slots} slots in ${words.length} words`, {
    expected: "at least one slot",
  });
}

function checkHalves(words: ArrayLike<number>, slots: number): void {
  for (let i = 0; i < slots; i++) {
    const code = words[2 * i]! & 0xff;
    const cut = code === LDIMM64 && (i + 1 >= slots || (words[2 * i + 2]! & 0xff) !== 0);
    if (code === 0 || cut) {
      throw new BpfError("argument", `slot ${i} of a patch holds half a two-slot load`, { expected: "both slots" });
    }
    if (code === LDIMM64) i++;
  }
}
