// The direct tail calls of a program in place: which sites follow which slot of which prog array.
import { BpfError, type Image, invariant, type SiteState } from "@bpfkit/core";
import type { ProgArrayMap } from "../maps/prog-array.ts";
import { type Operation, surely } from "../operation.ts";
import type { ReaderKind } from "../rcu.ts";
import { type LiveSite, NOP, sameState, type TextSites } from "./sites.ts";

/** A direct tail call. */
export interface LivePoke {
  /** Slot of the instruction, in the program as it was compiled. */
  readonly insn: number;
  readonly map: ProgArrayMap;
  readonly key: number;
  readonly table: PokeTable;
  readonly text: TextSites;
  /** Who can be in its code. */
  readonly readers: "rcu" | "sleepable";
  readonly bypass: LiveSite;
  readonly target: LiveSite;
  /** Whether changes of the slot change the sites. Set once they show what the slot held when the load ended. */
  stable: boolean;
}

/** One table for all subprograms of a program. Prog arrays track the table, never the code. */
export class PokeTable {
  readonly pokes: readonly LivePoke[];
  /** Updates in progress that rewrite its sites. */
  #updates = 0;
  #deferred: (() => void)[] = [];

  /** Of an image whose sites `text` knows, and which `readers` run. */
  constructor(
    text: TextSites,
    image: Image,
    base: bigint,
    readers: "rcu" | "sleepable",
    mapAt: (index: number) => ProgArrayMap,
  ) {
    const site = (offset: number): LiveSite => {
      const found = text.at(base + BigInt(offset));
      invariant(found !== undefined, `a patch site at ${offset}`);
      return found;
    };
    this.pokes = image.pokes.map(({ insn, map, key, bypass, target }) => ({
      insn,
      map: mapAt(map),
      key,
      table: this,
      text,
      readers,
      bypass: site(bypass.offset),
      target: site(target.offset),
      stable: false,
    }));
  }

  /** An update begins that rewrites sites of the table: they stay until it has ended. */
  hold(): void {
    this.#updates++;
  }

  drop(): void {
    if (--this.#updates > 0) return;
    const due = this.#deferred;
    this.#deferred = [];
    for (const give of due) give();
  }

  /** Calls `give` once no update in progress can touch the sites: at once when there is none. */
  defer(give: () => void): void {
    if (this.#updates === 0) give();
    else this.#deferred.push(give);
  }

  /** The prog arrays that it goes through. */
  get maps(): ReadonlySet<ProgArrayMap> {
    return new Set(this.pokes.map(({ map }) => map));
  }
}

/** Where the bypass leads when there is nothing to call. */
function skipOf({ target }: LivePoke): SiteState {
  return { kind: "jump", target: target.address + BigInt(target.size) };
}

/** @throws {BpfError} where a site cannot get to where it has to; changes nothing */
export function checkMove(pokes: readonly LivePoke[], callee: bigint | undefined): void {
  for (const poke of pokes) {
    poke.text.plan(poke.target, callee === undefined ? NOP : { kind: "jump", target: callee });
    poke.text.plan(poke.bypass, callee === undefined ? skipOf(poke) : NOP);
  }
}

/**
 * Brings direct tail calls from what the slot held to what it will hold, by the protocol of their text. Whoever has passed a bypass has to find a jump at
 * the target: it is there before a bypass opens, and stays until all who may have passed are gone. One wait serves all tail calls, and each move has the syncs
 * of one site.
 */
function* move(pokes: readonly LivePoke[], from: bigint | undefined, to: bigint | undefined): Operation<void> {
  const text = pokes[0]?.text;
  if (text === undefined) return;
  let changed = false;
  for (const step of text.protocol.moves(from !== undefined, to !== undefined)) {
    if (step === "wait") {
      if (changed) yield* text.waitForReaders(readersOf(pokes));
      continue;
    }
    const written = yield* text.pokeAll(pokes.map((poke) => [poke[step], stateOf(poke, step, to)]));
    changed ||= written;
  }
}

/** What a site shows while the slot holds `callee`. */
function stateOf(poke: LivePoke, kind: "bypass" | "target", callee: bigint | undefined): SiteState {
  if (kind === "bypass") return callee === undefined ? skipOf(poke) : NOP;
  return callee === undefined ? NOP : { kind: "jump", target: callee };
}

/** @throws {BpfError} `argument` (EBUSY) where a site that is to be moved is not what the slot's old program implies */
function checkImplied(pokes: readonly LivePoke[], from: bigint | undefined, to: bigint | undefined): void {
  for (const poke of pokes) {
    const { moves, compares } = poke.text.protocol;
    if (compares !== "slot") continue;
    for (const step of moves(from !== undefined, to !== undefined))
      if (step !== "wait") checkState(poke[step], stateOf(poke, step, from));
  }
}

function checkState({ kind, owner, address, state }: LiveSite, implied: SiteState): void {
  if (sameState(state, implied)) return;
  const what = `the ${kind} site of '${owner}' at 0x${address.toString(16)} holds a ${state.kind} (EBUSY)`;
  throw new BpfError("argument", what, { expected: `a ${implied.kind}, by what the slot held` });
}

/** Brings direct tail calls from whatever state they are in back to `callee`, or to none: then a target is emptied only where the protocol ever does. */
function* restore(pokes: readonly LivePoke[], callee: bigint | undefined): Operation<void> {
  const text = pokes[0]?.text;
  if (text === undefined) return;
  const order = callee === undefined ? (["bypass", "target"] as const) : (["target", "bypass"] as const);
  for (const kind of order) {
    if (callee === undefined && kind === "target") {
      if (!text.protocol.moves(true, false).includes(kind)) continue;
      // A bypass that was to open may have let runs pass, even if only its breakpoint was there.
      if (pokes.some(({ target }) => target.state.kind !== "nop")) yield* text.waitForReaders(readersOf(pokes));
    }
    yield* text.pokeAll(pokes.map((poke) => [poke[kind], stateOf(poke, kind, callee)]));
  }
}

/** Whom a removal waits for: those of an ordinary grace period, and runs that may sleep where such code has a tail call. */
export function readersOf(pokes: readonly LivePoke[]): readonly ReaderKind[] {
  return pokes.some(({ readers }) => readers === "sleepable") ? ["rcu", "sleepable"] : ["rcu"];
}

/** Brings direct tail calls from `from` to `to`, or, where a step fails, nowhere. */
export function* moveOrUndo(
  pokes: readonly LivePoke[],
  from: bigint | undefined,
  to: bigint | undefined,
): Operation<void> {
  checkMove(pokes, to);
  checkImplied(pokes, from, to);
  try {
    yield* move(pokes, from, to);
  } catch (error) {
    yield* surely(restore(pokes, from));
    throw error;
  }
}
