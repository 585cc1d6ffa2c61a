// The direct tail calls of a program in place: which sites follow which slot of which prog array.
import { type Image, invariant, type SiteState } from "@bpfkit/core";
import type { ProgArrayMap } from "../maps/prog-array.ts";
import { type Operation, surely } from "../operation.ts";
import type { LiveSite, TextSites } from "./sites.ts";

/** A direct tail call. */
export interface LivePoke {
  /** Slot of the instruction, in the program as it was compiled. */
  readonly insn: number;
  readonly map: ProgArrayMap;
  readonly key: number;
  readonly text: TextSites;
  readonly bypass: LiveSite;
  readonly target: LiveSite;
  /** Whether changes of the slot change the sites. Set once they show what the slot held when the load ended. */
  stable: boolean;
}

/** One table for all subprograms of a program. Prog arrays track the table, never the code. */
export class PokeTable {
  readonly pokes: readonly LivePoke[];

  /** Of an image whose sites `text` knows. */
  constructor(text: TextSites, image: Image, base: bigint, mapAt: (index: number) => ProgArrayMap) {
    const site = (offset: number): LiveSite => {
      const found = text.at(base + BigInt(offset));
      invariant(found !== undefined, `a patch site at ${offset}`);
      return found;
    };
    this.pokes = image.pokes.map(({ insn, map, key, bypass, target }) => ({
      insn,
      map: mapAt(map),
      key,
      text,
      bypass: site(bypass.offset),
      target: site(target.offset),
      stable: false,
    }));
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

const NOP: SiteState = { kind: "nop" };

/** @throws {BpfError} where a site cannot get to where it has to; changes nothing */
export function checkMove(pokes: readonly LivePoke[], callee: bigint | undefined): void {
  for (const poke of pokes) {
    poke.text.plan(poke.target, callee === undefined ? NOP : { kind: "jump", target: callee });
    poke.text.plan(poke.bypass, callee === undefined ? skipOf(poke) : NOP);
  }
}

/**
 * Brings direct tail calls from whatever state they are in to `callee`, or to none. Whoever has passed a bypass finds a jump at the
 * target: it is there before a bypass opens, and stays until all who may have passed are gone. One wait serves all tail calls.
 */
export function* move(pokes: readonly LivePoke[], callee: bigint | undefined): Operation<void> {
  if (callee !== undefined) {
    for (const { text, target } of pokes) yield* text.poke(target, { kind: "jump", target: callee });
    for (const { text, bypass } of pokes) yield* text.poke(bypass, NOP);
    return;
  }
  let closed: TextSites | undefined;
  for (const poke of pokes) if (yield* poke.text.poke(poke.bypass, skipOf(poke))) closed = poke.text;
  if (closed !== undefined) yield* closed.waitForReaders();
  for (const { text, target } of pokes) yield* text.poke(target, NOP);
}

/** The same, or, where a step fails, nothing. */
export function* moveOrUndo(
  pokes: readonly LivePoke[],
  from: bigint | undefined,
  to: bigint | undefined,
): Operation<void> {
  checkMove(pokes, to);
  try {
    yield* move(pokes, to);
  } catch (error) {
    yield* surely(move(pokes, from));
    throw error;
  }
}
