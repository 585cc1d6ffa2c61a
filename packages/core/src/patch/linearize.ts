// From a patch list to a program: everything in its new place, then every jump once, then everything else that points at code.
import { Fact, type InsnFacts } from "../analysis/facts.ts";
import { BpfError } from "../errors.ts";
import { Insns } from "../isa/insns.ts";
import type { Program } from "../program.ts";
import { Reach, reachOf } from "./branches.ts";
import { Layout, type Track } from "./layout.ts";
import { Link, type PatchList, type PatchStore } from "./list.ts";
import { fitsOffset, lengthen } from "./long-jumps.ts";
import { Columns, memoryOf } from "./memory.ts";
import {
  checkMetadata,
  type Heirs,
  type Metadata,
  mapAux,
  mapLines,
  mapSubprogs,
  mapTable,
  type Places,
} from "./metadata.ts";

/** What `linearize` is to carry and may do. */
export interface LinearizeOptions {
  readonly metadata?: Metadata;
  /** Whether to carry the list's facts. */
  readonly facts?: boolean;
  /** Whether to tell where each instruction came from. */
  readonly provenance?: boolean;
  /** Instruction set version: from 4 on, a jump that no longer fits 16 bits takes a longer form. 4 unless told. */
  readonly isa?: number;
  /**
   * An earlier result, of whatever list, that nobody uses any more: the new one is made in its memory. All its columns, the words
   * of its program among them, become empty, also when `linearize` then throws for other reasons than those of `argument`.
   */
  readonly recycle?: Linearized | undefined;
}

/** Both ways between a program and what it was made of. */
export interface Provenance {
  /** Per new slot: the original slot it goes back to. */
  readonly origin: Int32Array;
  /** Per new slot: id of the patch it came with, 0 for an original. */
  readonly patch: Int32Array;
  /** Per new slot: its node in the list. The slots of a jump's long form all have the jump's. */
  readonly node: Int32Array;
  /** Per original slot, and one more: the new slots `entry[i]` … `entry[i + 1] - 1` go back to it. */
  readonly entry: Int32Array;
  /** Per original slot, and one more: where what jumped to it goes now. */
  readonly place: Int32Array;
}

/** The result of {@link linearize}. */
export interface Linearized {
  readonly program: Program;
  /** What the options gave, in the new places. */
  readonly metadata: Metadata;
  readonly facts: InsnFacts | undefined;
  readonly provenance: Provenance | undefined;
  /** Slots, jumps and entries of tables looked at: linear in what goes in and comes out. */
  readonly work: number;
}

/**
 * Carries out all edits of a list: new instructions with every jump, call and address right, the program's subprograms and lines, and
 * what the options ask for. The list and its program stay as they are. Time and memory are linear in originals and patches.
 *
 * @throws {BpfError} `structure` when nothing is left or a patch's jump leaves it without an aim; `out-of-range` with the original
 * instruction when a jump does not reach and `isa` has no longer form; `argument` when metadata does not fit, or what is to be recycled
 * was given up before or is what goes in
 */
export function linearize(list: PatchList, options: LinearizeOptions = {}): Linearized {
  const { metadata = {}, recycle } = options;
  const { program, originals } = list;
  checkMetadata(metadata, originals, program.subprogs.length);
  if (program.insns.length !== originals) {
    throw new BpfError("argument", "the program of the list was given up", { expected: "one that was not recycled" });
  }
  if (list.store().length === 0)
    throw new BpfError("structure", "nothing is left of the program", { expected: "an instruction" });
  if (recycle !== undefined) giveUp(recycle, list, metadata);
  const memory = memoryOf(list);
  const results = new Columns(memory);
  const scratch = new Columns(memory);
  try {
    const made = carryOut(list, options, results, scratch);
    columnsOf.set(made, results);
    return made;
  } catch (error) {
    results.end();
    throw error;
  } finally {
    scratch.end();
  }
}

/** The columns of results that were not given up. */
const columnsOf: WeakMap<Linearized, Columns> = new WeakMap();

/** Hands the columns of a result to the list's memory. */
function giveUp(result: Linearized, list: PatchList, given: Metadata): void {
  const columns = columnsOf.get(result);
  if (columns === undefined) {
    throw new BpfError("argument", "what is to be recycled is not a result, or was given up before", {
      expected: "a result of `linearize`",
    });
  }
  const goingIn = holdersOf(list.program, given, list.facts).flatMap((holder) => Object.values(holder));
  if (goingIn.some((value) => isColumn(value) && columns.holds(value))) {
    throw new BpfError("argument", "what is to be recycled is what goes in", { expected: "an earlier result" });
  }
  columnsOf.delete(result);
  columns.end(memoryOf(list));
  const { program, metadata, facts, provenance } = result;
  for (const holder of holdersOf(program, metadata, facts, provenance)) {
    for (const [name, value] of Object.entries(holder)) {
      if (isColumn(value)) Object.assign(holder, { [name]: value.slice(0, 0) });
    }
  }
}

/** All objects that have columns. */
function holdersOf(
  { insns, lines }: Program,
  { aux = [], funcs = [], tables = [] }: Metadata,
  ...others: readonly (object | undefined)[]
): object[] {
  return [insns, lines, ...aux, ...funcs, ...tables, ...others].filter((holder) => holder !== undefined);
}

function isColumn(value: unknown): value is Int32Array | Uint32Array | Uint16Array | Uint8Array {
  return ArrayBuffer.isView(value);
}

function carryOut(list: PatchList, options: LinearizeOptions, results: Columns, scratch: Columns): Linearized {
  const { metadata = {}, facts = false, provenance = false, isa = 4 } = options;
  const { program } = list;
  const store = list.store();
  const withSources = facts || (metadata.aux ?? []).length > 0;
  const needsNodes = withSources && (store.heirs !== undefined || store.poolRecorded !== undefined);
  const tracks = provenance ? results : scratch;
  const layout = new Layout(list, {
    kept: results,
    places: tracks,
    tracks: provenance || needsNodes ? tracks : undefined,
    scratch,
  });
  const { track } = layout;
  const resolved = resolve(list, layout, isa, results, scratch);
  const words = resolved?.words ?? layout.words;
  const length = words.length >> 1;
  const { shift } = resolved ?? {};
  const places: Places =
    shift === undefined ? { place: layout.place, entry: layout.entry, length } : shifted(layout, shift, length);
  const tracked = track === undefined || shift === undefined ? track : stretched(track, shift, tracks);
  const heirs = withSources ? heirsOf(store, places, tracked?.node, shift, scratch) : undefined;

  const { subprogs, funcs } = mapSubprogs(program.subprogs, metadata.funcs, places);
  const { aux, tables } = metadata;
  const isGone = (slot: number): boolean => list.standing(slot) < 0;
  return {
    program: {
      ...program,
      insns: new Insns(words),
      subprogs,
      ...(program.lines === undefined ? {} : { lines: mapLines(program.lines, places, results, scratch) }),
    },
    metadata: {
      ...(aux === undefined ? {} : { aux: aux.map((column) => mapAux(column, words, heirs!, places.entry, results)) }),
      ...(funcs === undefined ? {} : { funcs }),
      ...(tables === undefined ? {} : { tables: tables.map((table) => mapTable(table, places, isGone, results)) }),
    },
    facts: facts ? mapFacts(list, store, length, tracked?.node, heirs!, shift, results) : undefined,
    provenance: provenance ? { ...tracked!, entry: places.entry, place: places.place } : undefined,
    work: workOf(list, layout, length, (resolved?.rounds ?? 0) + 1, options),
  };
}

interface Longer {
  readonly words: Int32Array;
  readonly shift: Int32Array;
  readonly rounds: number;
}

/** Writes the layout's jumps in place; where some do not reach, gives the longer program. */
function resolve(list: PatchList, layout: Layout, isa: number, results: Columns, scratch: Columns): Longer | undefined {
  const { words, jumps, jumpCount } = layout;
  const farSlots: number[] = [];
  const farTargets: number[] = [];
  for (let i = 0; i < jumpCount; i++) {
    const at = jumps[2 * i]!;
    const node = jumps[2 * i + 1]!;
    const word = words[2 * at]!;
    const reach = reachOf(word);
    const position = layout.targetOf(node, reach);
    const distance = position - at - 1;
    if (reach !== Reach.OFFSET) {
      words[2 * at + 1] = distance;
    } else if (fitsOffset(distance)) {
      words[2 * at] = (word & 0xffff) | (distance << 16);
    } else {
      if (isa < 4) throw tooFar(list, node, distance);
      farSlots.push(at);
      farTargets.push(position);
    }
  }
  if (farSlots.length === 0) return undefined;
  const targets = scratch.int32(words.length >> 1);
  for (let at = 0; at < targets.length; at++) {
    const word = words[2 * at]!;
    const reach = reachOf(word);
    if (reach !== Reach.NONE) targets[at] = at + 1 + (reach === Reach.OFFSET ? word >> 16 : words[2 * at + 1]!);
  }
  for (const [i, at] of farSlots.entries()) targets[at] = farTargets[i]!;
  const longer = lengthen(words, targets, results, scratch);
  results.giveBack(words);
  return longer;
}

function tooFar(list: PatchList, node: number, distance: number): BpfError {
  const insn = list.origin(node);
  return new BpfError("out-of-range", `the jump at instruction ${insn} would go ${distance} slots`, {
    insn,
    expected: "-32768..32767",
    hint: "instruction set version 4 has `gotol`, which reaches farther",
  });
}

/** Places among longer jumps, in place. */
function shifted({ place, entry }: Layout, shift: Int32Array, length: number): Places {
  for (const column of new Set([place, entry])) {
    for (let i = 0; i < column.length; i++) column[i]! += shift[column[i]!]!;
  }
  return { place, entry, length };
}

function stretched(track: Track, shift: Int32Array, tracks: Columns): Track {
  const stretch = (column: Int32Array): Int32Array => {
    const longer = tracks.int32(column.length + shift[column.length]!);
    for (let i = 0; i < column.length; i++) longer.fill(column[i]!, i + shift[i]!, i + 1 + shift[i + 1]!);
    tracks.giveBack(column);
    return longer;
  };
  return { origin: stretch(track.origin), node: stretch(track.node), patch: stretch(track.patch) };
}

/**
 * Which new slots have an original's facts and aux data: the originals themselves, and who inherits from them. The slots that a long form
 * adds to a jump have none.
 */
function heirsOf(
  store: PatchStore,
  { place }: Places,
  nodes: Int32Array | undefined,
  shift: Int32Array | undefined,
  scratch: Columns,
): Heirs {
  const { originals, state, headers, pool, poolSlots, heirs } = store;
  const isLive = (now: number): boolean => now > 0 && (pool[2 * headers[now - 1]! + 1]! & Link.REPLACEMENT) === 0;
  let most = 0;
  for (let i = 0; i < originals; i++) if (state[i]! >= 0 && (state[i] === 0 || isLive(state[i]!))) most++;
  if (heirs !== undefined) for (let slot = 0; slot < poolSlots; slot++) if (heirs[slot] !== 0) most++;
  const to = scratch.int32(most);
  const from = scratch.int32(most);
  let count = 0;
  for (let i = 0; i < originals; i++) {
    const now = state[i]!;
    if (now < 0 || (now > 0 && !isLive(now))) continue;
    to[count] = place[i]!;
    from[count++] = i;
  }
  if (heirs !== undefined) {
    for (let i = 0; i < nodes!.length; i++) {
      const slot = nodes![i]! - originals;
      if (slot < 0 || heirs[slot] === 0 || isAdded(nodes!, i, shift)) continue;
      to[count] = i;
      from[count++] = heirs[slot]! - 1;
    }
  }
  return { to, from, count };
}

/** Whether a slot is one that a long form adds behind its first. */
function isAdded(nodes: Int32Array, slot: number, shift: Int32Array | undefined): boolean {
  return shift !== undefined && slot > 0 && nodes[slot - 1] === nodes[slot];
}

/** A jump that grew by one slot has the inverted condition, so what is known of its outcome is inverted, too. */
function turnOutcomes(flags: Uint16Array, shift: Int32Array): void {
  const { ALWAYS_TAKEN, NEVER_TAKEN } = Fact;
  for (let slot = 0; slot + 1 < shift.length; slot++) {
    if (shift[slot + 1]! - shift[slot]! !== 1) continue;
    const at = slot + shift[slot]!;
    const now = flags[at]!;
    flags[at] =
      (now & ~(ALWAYS_TAKEN | NEVER_TAKEN)) |
      ((now & ALWAYS_TAKEN) !== 0 ? NEVER_TAKEN : 0) |
      ((now & NEVER_TAKEN) !== 0 ? ALWAYS_TAKEN : 0);
  }
}

/** Facts in their new places. `shift` is of those before long forms. */
function mapFacts(
  { facts }: PatchList,
  store: PatchStore,
  length: number,
  nodes: Int32Array | undefined,
  { to, from, count }: Heirs,
  shift: Int32Array | undefined,
  results: Columns,
): InsnFacts {
  const { originals, recorded, poolRecorded } = store;
  const mapped = {
    flags: results.uint16(length, true),
    pointer: results.uint8(length, true),
    offset: results.int32(length, true),
    map: results.int32(length, true),
    index: results.int32(length, true),
  };
  if (facts.flags.length > 0) {
    const { flags, pointer, offset, map, index } = mapped;
    for (let i = 0; i < count; i++) {
      const [at, source] = [to[i]!, from[i]!];
      flags[at] = facts.flags[source]!;
      pointer[at] = facts.pointer[source]!;
      offset[at] = facts.offset[source]!;
      map[at] = facts.map[source]!;
      index[at] = facts.index[source]!;
    }
  }
  if (recorded !== undefined) for (let i = 0; i < count; i++) mapped.flags[to[i]!]! |= recorded[from[i]!]!;
  if (poolRecorded !== undefined) {
    for (let i = 0; i < length; i++) {
      const slot = nodes![i]! - originals;
      if (slot >= 0 && !isAdded(nodes!, i, shift)) mapped.flags[i]! |= poolRecorded[slot]!;
    }
  }
  if (shift !== undefined) turnOutcomes(mapped.flags, shift);
  return mapped;
}

function workOf(
  list: PatchList,
  layout: Layout,
  length: number,
  rounds: number,
  { metadata }: LinearizeOptions,
): number {
  const { program } = list;
  const tables = (metadata?.tables ?? []).reduce((sum, { insn }) => sum + insn.length, 0);
  const columns = 1 + (metadata?.aux ?? []).length;
  return (
    list.originals +
    length * (columns + rounds - 1) +
    layout.jumpCount +
    program.subprogs.length +
    (program.lines?.insn.length ?? 0) +
    tables
  );
}
