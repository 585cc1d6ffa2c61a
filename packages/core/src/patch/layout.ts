// Instructions of a patch list in their order: words, where every node came to lie, and the jumps that are still to be resolved.
import { BpfError } from "../errors.ts";
import { Reach, reachOf } from "./branches.ts";
import { Link, type PatchList, type PatchStore } from "./list.ts";
import type { Columns } from "./memory.ts";

/** Per new slot, where it came from. */
export interface Track {
  /** The original slot it goes back to. */
  readonly origin: Int32Array;
  /** Its node in the list. */
  readonly node: Int32Array;
  /** The patch it came with, 0 for an original. */
  readonly patch: Int32Array;
}

/** In which memory the parts of a layout are made. */
export interface LayoutMemory {
  readonly kept: Columns;
  readonly places: Columns;
  readonly tracks: Columns | undefined;
  readonly scratch: Columns;
}

const { REPLACEMENT, POINTS, SHIFT } = Link;

/** Tasks of the walk through nested patches. */
const [UNIT, PROPER, CHAIN, END, CLOSE] = [0, 1, 2, 3, 4];

/** Jumps that there is room for at first. */
const FEW = 256;

/**
 * Puts the nodes of a list in order. One pass over originals and patches, no jump is resolved.
 *
 * What went to a node that was deleted goes on to the next one that was not, past what was prepended to that. Within a prepended patch
 * it goes on to the patch's end at most.
 */
export class Layout {
  readonly words: Int32Array;
  /** By original, and one more: the instruction, and with what was prepended. The same array when nothing was. */
  readonly place: Int32Array;
  readonly entry: Int32Array;
  readonly track: Track | undefined;
  /** Pairs of new slot and node. */
  jumps: Int32Array;
  jumpCount = 0;
  readonly #scratch: Columns;
  readonly #list: PatchList;
  readonly #store: PatchStore;
  readonly #original: Int32Array;
  /** By slot of the pool; only where a jump may go to a node of a patch otherwise than within a patch that nobody patched. */
  readonly #poolPlace: Int32Array | undefined;
  #at = 0;
  readonly #tasks: number[] = [];
  /** Nodes that were deleted or replaced, which have the place of the next slot; those from `#scope` on are in the innermost prepended patch. */
  readonly #pending: number[] = [];
  #scope = 0;

  /** Words are made in `kept`, places in `places`, tracks in `tracks` if given, all else in `scratch`. */
  constructor(list: PatchList, { kept, places, tracks, scratch }: LayoutMemory) {
    const store = list.store();
    const { originals, length } = store;
    this.#list = list;
    this.#store = store;
    this.#original = list.program.insns.words;
    this.#scratch = scratch;
    this.words = kept.int32(2 * length);
    this.place = places.int32(originals + 1);
    this.entry = store.prepends === 0 ? this.place : places.int32(originals + 1);
    this.jumps = scratch.int32(2 * FEW);
    const nested = store.aimsInside || store.poolState !== undefined;
    this.#poolPlace = nested ? scratch.int32(store.poolSlots + 1) : undefined;
    this.track = tracks && { origin: tracks.int32(length), node: tracks.int32(length), patch: tracks.int32(length) };
    if (nested) this.#runNested();
    else this.#run();
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
      const slot = node - originals;
      const aim = aims?.[slot] ?? 0;
      target = aim > 0 ? aim - 1 : node + 1 + (reach === Reach.OFFSET ? pool[2 * slot]! >> 16 : pool[2 * slot + 1]!);
    }
    if (target < originals) return (reach >= Reach.CALL ? this.entry : this.place)[target]!;
    return this.#poolPlace![target - originals]!;
  }

  #what(at: number): string {
    const { originals } = this.#store;
    return at < originals ? `instruction ${at}` : `node ${at}, in a patch at instruction ${this.#list.origin(at)},`;
  }

  /** Where no patch was patched, and no jump goes into one. */
  #run(): void {
    const { originals, state, headers, pool } = this.#store;
    const { words, place, entry, track } = this;
    const original = this.#original;
    const hasPrepends = entry !== place;
    let to = 0;
    let hasDeleted = false;
    for (let i = 0; i < originals; i++) {
      const now = state[i]!;
      if (hasPrepends) entry[i] = to;
      if (now === 0) {
        const word = original[2 * i]!;
        place[i] = to;
        words[2 * to] = word;
        words[2 * to + 1] = original[2 * i + 1]!;
        if (reachOf(word) !== 0) this.#jump(to, i);
        if (track !== undefined) {
          track.origin[to] = i;
          track.node[to] = i;
          track.patch[to] = 0;
        }
        to++;
        continue;
      }
      if (now > 0) {
        const header = headers[now - 1]!;
        // The commonest of patches: all there is at this place, and no jumps in it.
        if (pool[2 * header + 1] === REPLACEMENT) {
          const begin = to;
          place[i] = to;
          const end = 2 * headers[now]!;
          for (let from = 2 * header + 2; from < end; from += 2, to++) {
            words[2 * to] = pool[from]!;
            words[2 * to + 1] = pool[from + 1]!;
          }
          if (track !== undefined) trackPatch(track, begin, to, i, originals + header + 1, now);
          continue;
        }
      } else hasDeleted = true;
      this.#at = to;
      this.#patched(i, now);
      to = this.#at;
    }
    place[originals] = to;
    entry[originals] = to;
    if (hasDeleted) for (let i = originals - 1; i >= 0; i--) if (state[i]! < 0) place[i] = place[i + 1]!;
  }

  #patched(i: number, now: number): void {
    const { headers, pool } = this.#store;
    const id = now < 0 ? -now - 1 : now;
    const link = id === 0 ? 0 : pool[2 * headers[id - 1]! + 1]!;
    const isReplaced = (link & REPLACEMENT) !== 0;
    const last = isReplaced ? link >> SHIFT : id;
    if (last !== 0) {
      let next = last;
      do {
        next = pool[2 * headers[next - 1]! + 1]! >> SHIFT;
        this.#whole(i, next);
      } while (next !== last);
    }
    this.place[i] = this.#at;
    if (isReplaced) this.#whole(i, id);
    else if (now > 0) this.#slot(i, i, 0);
  }

  /** A patch that nobody patched. */
  #whole(origin: number, id: number): void {
    const { originals, headers, pool, aims } = this.#store;
    const { words, track } = this;
    const first = headers[id - 1]! + 1;
    const end = headers[id]!;
    const points = (pool[2 * first - 1]! & POINTS) !== 0;
    let to = this.#at;
    for (let slot = first; slot < end; slot++, to++) {
      const word = pool[2 * slot]!;
      words[2 * to] = word;
      words[2 * to + 1] = pool[2 * slot + 1]!;
      if (!points || reachOf(word) === 0) continue;
      if (aims !== undefined && aims[slot] !== 0) this.#jump(to, originals + slot);
      else this.#checkInside(slot, first, end);
    }
    if (track !== undefined) trackPatch(track, this.#at, to, origin, originals + first, id);
    this.#at = to;
  }

  #runNested(): void {
    const { originals } = this.#store;
    for (let i = 0; i < originals; i++) this.#nested(i);
    this.place[originals] = this.#at;
    this.entry[originals] = this.#at;
    this.#settle();
  }

  /** One unit whose patches may have been patched, to any depth. */
  #nested(origin: number): void {
    const { originals, headers, pool, state, poolState, aims } = this.#store;
    const tasks = this.#tasks;
    tasks.push(UNIT, origin, 0);
    while (tasks.length > 0) {
      const last = tasks.pop()!;
      const what = tasks.pop()!;
      const task = tasks.pop()!;
      if (task === CLOSE) {
        this.#settle();
        this.#scope = what;
        continue;
      }
      if (task === END) {
        this.#poolPlace![what] = this.#at;
        continue;
      }
      if (task === CHAIN) {
        const first = headers[what - 1]! + 1;
        const end = headers[what]!;
        const link = pool[2 * first - 1]!;
        if ((link & REPLACEMENT) === 0) {
          if (what !== last) tasks.push(CHAIN, link >> SHIFT, last);
          tasks.push(CLOSE, this.#scope, 0);
          this.#scope = this.#pending.length;
        }
        tasks.push(END, end, 0);
        for (let slot = end - 1; slot >= first; slot--) {
          if (reachOf(pool[2 * slot]!) !== 0 && (aims?.[slot] ?? 0) === 0) this.#checkInside(slot, first, end);
          tasks.push(UNIT, originals + slot, what);
        }
        continue;
      }
      const now = what < originals ? state[what]! : (poolState?.[what - originals] ?? 0);
      const id = now < 0 ? -now - 1 : now;
      const link = id === 0 ? 0 : pool[2 * headers[id - 1]! + 1]!;
      const isReplaced = (link & REPLACEMENT) !== 0;
      if (task === UNIT) {
        if (what < originals) this.entry[what] = this.#at;
        tasks.push(PROPER, what, last);
        const tail = isReplaced ? link >> SHIFT : id;
        if (tail !== 0) tasks.push(CHAIN, pool[2 * headers[tail - 1]! + 1]! >> SHIFT, tail);
      } else if (isReplaced || now < 0) {
        this.#pending.push(what);
        if (isReplaced) tasks.push(CHAIN, id, id);
      } else {
        this.#pending.push(what);
        this.#settle();
        this.#slot(origin, what, last);
      }
    }
  }

  /** Gives what is pending in the innermost prepended patch its place. */
  #settle(): void {
    const { originals } = this.#store;
    while (this.#pending.length > this.#scope) {
      const node = this.#pending.pop()!;
      if (node < originals) this.place[node] = this.#at;
      else this.#poolPlace![node - originals] = this.#at;
    }
  }

  #slot(origin: number, node: number, patch: number): void {
    const { originals, pool } = this.#store;
    const to = this.#at++;
    const words = node < originals ? this.#original : pool;
    const from = node < originals ? node : node - originals;
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

  /** @throws {BpfError} `structure` when a jump without aim leaves its patch */
  #checkInside(slot: number, first: number, end: number): void {
    const { originals, pool } = this.#store;
    const word = pool[2 * slot]!;
    const reach = reachOf(word);
    const to = slot + 1 + (reach === Reach.OFFSET ? word >> 16 : pool[2 * slot + 1]!);
    if (reach < Reach.CALL && to >= first && to <= end) return;
    const node = originals + slot;
    throw new BpfError("structure", `${this.#what(node)} leaves its patch without an aim`, {
      insn: this.#list.origin(node),
      expected:
        reach >= Reach.CALL
          ? "`aim` at a subprogram's start"
          : `an offset in ${first - slot - 1}..${end - slot - 1}, or \`aim\``,
    });
  }

  #jump(to: number, node: number): void {
    const at = 2 * this.jumpCount++;
    if (at === this.jumps.length) {
      const longer = this.#scratch.int32(2 * at);
      longer.set(this.jumps);
      this.#scratch.giveBack(this.jumps);
      this.jumps = longer;
    }
    this.jumps[at] = to;
    this.jumps[at + 1] = node;
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
