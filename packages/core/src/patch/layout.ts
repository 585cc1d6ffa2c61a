// Instructions of a patch list in their order: words, where every node came to lie, and the jumps that are still to be resolved.
import { BpfError } from "../errors.ts";
import { REACH, Reach, reachOf } from "./branches.ts";
import type { PatchList, PatchStore } from "./list.ts";

/** Per new slot, where it came from. */
export interface Track {
  /** The original slot it goes back to. */
  readonly origin: Int32Array;
  /** Its node in the list. */
  readonly node: Int32Array;
  /** The patch it came with, 0 for an original. */
  readonly patch: Int32Array;
}

/** Tasks of the walk through nested patches. */
const [UNIT, PROPER, CHAIN, END, FIRST] = [0, 1, 2, 3, 4];

/** Puts the nodes of a list in order. One pass over originals and patches, no jump is resolved. */
export class Layout {
  readonly words: Int32Array;
  /** By original, and one more: the instruction, and with what was prepended. The same array when nothing was. */
  readonly place: Int32Array;
  readonly entry: Int32Array;
  readonly track: Track | undefined;
  /** Pairs of new slot and node. */
  readonly jumps: Int32Array;
  jumpCount = 0;
  readonly #list: PatchList;
  readonly #store: PatchStore;
  readonly #original: Int32Array;
  /** By slot of the pool; only where a jump may go to a node of a patch otherwise than within a patch that nobody patched. */
  readonly #poolPlace: Int32Array | undefined;
  #at = 0;
  readonly #tasks: number[] = [];

  constructor(list: PatchList, tracked: boolean) {
    const store = list.store();
    const { originals, length } = store;
    this.#list = list;
    this.#store = store;
    this.#original = list.program.insns.words;
    this.words = new Int32Array(2 * length);
    this.place = new Int32Array(originals + 1);
    this.entry = store.prepends === 0 ? this.place : new Int32Array(originals + 1);
    const nested = store.aimsInside || store.poolState !== undefined;
    this.#poolPlace = nested ? new Int32Array(store.poolSlots) : undefined;
    this.track = tracked
      ? { origin: new Int32Array(length), node: new Int32Array(length), patch: new Int32Array(length) }
      : undefined;
    // Untouched memory costs nothing.
    this.jumps = new Int32Array(2 * (nested || store.aims !== undefined ? length : originals));
    this.#run();
  }

  /** New slot that a node in the jumps points at. @throws {BpfError} `structure` for a target outside the program */
  targetOf(node: number, reach: number): number {
    const { originals, pool, aims, originalAims } = this.#store;
    let target: number;
    if (node < originals) {
      const own = node + 1 + (reach === Reach.OFFSET ? this.#original[2 * node]! >> 16 : this.#original[2 * node + 1]!);
      target = originalAims?.get(node) ?? own;
      if (target < 0 || (target === own && target >= originals)) {
        throw new BpfError("structure", `instruction ${node} points at slot ${target}, outside the program`, {
          insn: node,
          expected: `a slot in 0..${originals - 1}`,
        });
      }
    } else {
      const slot = node - originals - 1;
      const aim = aims?.[slot] ?? 0;
      target = aim > 0 ? aim - 1 : node + 1 + (reach === Reach.OFFSET ? pool[2 * slot]! >> 16 : pool[2 * slot + 1]!);
    }
    if (target < originals) return (reach >= Reach.CALL ? this.entry : this.place)[target]!;
    return this.#poolPlace![target - originals - 1]!;
  }

  #what(at: number): string {
    const { originals } = this.#store;
    return at < originals ? `instruction ${at}` : `node ${at}, in a patch at instruction ${this.#list.origin(at)},`;
  }

  #run(): void {
    const { originals, state, records, pool, poolState, aims } = this.#store;
    const { words, place, entry, jumps, track } = this;
    const original = this.#original;
    const prepends = entry !== place;
    const simple = poolState === undefined && this.#poolPlace === undefined && aims === undefined;
    let to = 0;
    let jumpCount = 0;
    for (let i = 0; i < originals; i++) {
      const now = state[i]!;
      if (now === 0) {
        const word = original[2 * i]!;
        place[i] = to;
        words[2 * to] = word;
        words[2 * to + 1] = original[2 * i + 1]!;
        if (REACH[word & 0xff] !== 0 && reachOf(word) !== 0) {
          jumps[2 * jumpCount] = to;
          jumps[2 * jumpCount++ + 1] = i;
        }
        if (prepends) entry[i] = to;
        if (track !== undefined) {
          track.origin[to] = i;
          track.node[to] = i;
        }
        to++;
      } else if (simple && now > 0 && records[3 * now + 2] === 1) {
        const first = records[3 * now + 1]! - originals - 1;
        const end = records[3 * now + 4]! - originals - 2;
        const begin = to;
        place[i] = to;
        if (prepends) entry[i] = to;
        for (let slot = first; slot < end; slot++, to++) {
          const word = pool[2 * slot]!;
          words[2 * to] = word;
          words[2 * to + 1] = pool[2 * slot + 1]!;
          if (REACH[word & 0xff] !== 0 && reachOf(word) !== 0) this.#checkInside(slot, first, end);
        }
        if (track !== undefined) trackPatch(track, begin, to, i, originals + 1 + first, now);
      } else {
        this.#at = to;
        this.jumpCount = jumpCount;
        this.#patched(i);
        jumpCount = this.jumpCount;
        to = this.#at;
      }
    }
    this.jumpCount = jumpCount;
    place[originals] = to;
    entry[originals] = to;
  }

  #patched(i: number): void {
    if (this.#store.poolState !== undefined) {
      this.#nested(i);
      return;
    }
    const { state, records } = this.#store;
    this.entry[i] = this.#at;
    const now = state[i]!;
    const id = now < 0 ? -now - 1 : now;
    const link = id === 0 ? 0 : records[3 * id + 2]!;
    const replaced = (link & 1) !== 0;
    const last = replaced ? link >> 1 : id;
    if (last !== 0) {
      let next = records[3 * last + 2]! >> 1;
      while (next !== last) {
        this.#whole(i, next);
        next = records[3 * next + 2]! >> 1;
      }
      this.#whole(i, last);
    }
    this.place[i] = this.#at;
    if (replaced) this.#whole(i, id);
    else if (now > 0) this.#slot(i, i, 0);
  }

  /** A patch that nobody patched. */
  #whole(origin: number, id: number): void {
    const { originals, records, pool, aims } = this.#store;
    const first = records[3 * id + 1]! - originals - 1;
    const end = this.#endOf(id);
    const { words, track } = this;
    const poolPlace = this.#poolPlace;
    let to = this.#at;
    for (let slot = first; slot < end; slot++, to++) {
      const word = pool[2 * slot]!;
      words[2 * to] = word;
      words[2 * to + 1] = pool[2 * slot + 1]!;
      if (REACH[word & 0xff] !== 0 && reachOf(word) !== 0) {
        if (aims !== undefined && aims[slot] !== 0) this.#jump(to, originals + 1 + slot);
        else this.#checkInside(slot, first, end);
      }
      if (poolPlace !== undefined) poolPlace[slot] = to;
      if (track !== undefined) {
        track.origin[to] = origin;
        track.node[to] = originals + 1 + slot;
        track.patch[to] = id;
      }
    }
    if (poolPlace !== undefined) poolPlace[end] = to;
    this.#at = to;
  }

  /** One unit whose patches may have been patched, to any depth. */
  #nested(origin: number): void {
    const { originals, records, pool, state, poolState, aims } = this.#store;
    const tasks = this.#tasks;
    const poolPlace = this.#poolPlace!;
    tasks.push(UNIT, origin, 0);
    while (tasks.length > 0) {
      const last = tasks.pop()!;
      const what = tasks.pop()!;
      const task = tasks.pop()!;
      if (task === END) {
        poolPlace[what] = this.#at;
        continue;
      }
      if (task === FIRST) {
        const place = poolPlace[last]!;
        if (what < originals) this.place[what] = place;
        else poolPlace[what - originals - 1] = place;
        continue;
      }
      if (task === CHAIN) {
        if (what !== last) tasks.push(CHAIN, records[3 * what + 2]! >> 1, last);
        const first = records[3 * what + 1]! - originals - 1;
        const end = this.#endOf(what);
        tasks.push(END, end, 0);
        for (let slot = end - 1; slot >= first; slot--) {
          if (reachOf(pool[2 * slot]!) !== 0 && (aims?.[slot] ?? 0) === 0) this.#checkInside(slot, first, end);
          tasks.push(UNIT, originals + 1 + slot, what);
        }
        continue;
      }
      const now = what < originals ? state[what]! : poolState![what - originals - 1]!;
      const id = now < 0 ? -now - 1 : now;
      const link = id === 0 ? 0 : records[3 * id + 2]!;
      const replaced = (link & 1) !== 0;
      if (task === UNIT) {
        if (what < originals) this.entry[what] = this.#at;
        tasks.push(PROPER, what, last);
        const tail = replaced ? link >> 1 : id;
        if (tail !== 0) tasks.push(CHAIN, records[3 * tail + 2]! >> 1, tail);
        continue;
      }
      if (replaced) {
        // What went to the replaced node goes to the first of its replacement, past what was prepended to that.
        tasks.push(FIRST, what, records[3 * id + 1]! - originals - 1, CHAIN, id, id);
        continue;
      }
      if (what < originals) this.place[what] = this.#at;
      else poolPlace[what - originals - 1] = this.#at;
      if (now >= 0) this.#slot(origin, what, last);
    }
  }

  #slot(origin: number, node: number, patch: number): void {
    const { originals, pool } = this.#store;
    const to = this.#at++;
    const words = node < originals ? this.#original : pool;
    const from = node < originals ? node : node - originals - 1;
    const word = words[2 * from]!;
    this.words[2 * to] = word;
    this.words[2 * to + 1] = words[2 * from + 1]!;
    if (reachOf(word) !== 0) this.#jump(to, node);
    const { track } = this;
    if (track !== undefined) {
      track.origin[to] = origin;
      track.node[to] = node;
      track.patch[to] = patch;
    }
  }

  /** Slot of the pool behind a patch. */
  #endOf(id: number): number {
    return this.#store.records[3 * id + 4]! - this.#store.originals - 2;
  }

  /** @throws {BpfError} `structure` when a jump without aim leaves its patch */
  #checkInside(slot: number, first: number, end: number): void {
    const { originals, pool } = this.#store;
    const word = pool[2 * slot]!;
    const reach = reachOf(word);
    const to = slot + 1 + (reach === Reach.OFFSET ? word >> 16 : pool[2 * slot + 1]!);
    if (reach < Reach.CALL && to >= first && to <= end) return;
    const node = originals + 1 + slot;
    throw new BpfError("structure", `${this.#what(node)} leaves its patch without an aim`, {
      insn: this.#list.origin(node),
      expected:
        reach >= Reach.CALL
          ? "`aim` at a subprogram's start"
          : `an offset in ${first - slot - 1}..${end - slot - 1}, or \`aim\``,
    });
  }

  #jump(to: number, node: number): void {
    const count = this.jumpCount++;
    this.jumps[2 * count] = to;
    this.jumps[2 * count + 1] = node;
  }
}

function trackPatch(
  { origin, node, patch }: Track,
  begin: number,
  end: number,
  from: number,
  first: number,
  id: number,
): void {
  for (let to = begin; to < end; to++) {
    origin[to] = from;
    node[to] = first + to - begin;
    patch[to] = id;
  }
}
