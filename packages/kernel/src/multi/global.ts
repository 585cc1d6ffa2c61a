// One trampoline per model, which looks up by the function's address what to run: the global trampoline of July 2025.
import { type ClassKey, encodeRow, type MultiMove, type MultiPlan, NO_CLASS, Row, type SiteState } from "@bpfkit/core";
import { type Operation, surely } from "../operation.ts";
import { NOP, type SiteChange } from "../text/sites.ts";
import type { ImageLink, TrampolineImage } from "../tracing/image.ts";
import type { DesignSite, LiveLink, MultiChange, MultiDesign } from "./design.ts";
import { ImageChange } from "./image-change.ts";
import { busyEntry, bytesOf, ImageMaker, named, ordersOf, placeOf } from "./image-maker.ts";
import { RetiredLinks, retireRows } from "./retired-rows.ts";
import { RowIndex, type RowSwap } from "./row-index.ts";
import { type RowLookup, RowTrampoline } from "./row-trampoline.ts";
import { type FunctionRow, RowPool } from "./rows.ts";
import { SiteChanges } from "./site-changes.ts";
import { WordChanges, type WordSite } from "./words.ts";

/** The trampoline of a model. */
interface ModelTrampoline {
  readonly trampoline: RowTrampoline;
  /** Functions that are led there. */
  functions: number;
}

/** Where a row is to be written, and what leads its function there. */
interface NewRows {
  /** Beside the functions of a plan; undefined where a function gets none. */
  readonly rows: readonly (FunctionRow | undefined)[];
  readonly swap: RowSwap | undefined;
}

/**
 * A change writes new rows and then leads functions to them, by one word each; entries change only where a function gets its first link or loses its last. A
 * call that has found a row keeps it. A function with a typed link has a trampoline of its own.
 *
 * A function that is led elsewhere keeps its row for those who are on the way there.
 */
export class GlobalDesign implements MultiDesign {
  readonly looksUpCookies = false;
  readonly #site: DesignSite;
  readonly #words: WordSite;
  readonly #maker: ImageMaker;
  readonly #pool: RowPool;
  readonly #index: RowIndex;
  readonly #lookup: RowLookup;
  /** By model. */
  readonly #models = new Map<number, ModelTrampoline>();
  /** Of functions with a typed link, by function. */
  readonly #singles = new Map<number, TrampolineImage>();
  /** By function. */
  readonly #rows: (FunctionRow | undefined)[] = [];
  readonly #retired = new RetiredLinks();
  /** What is to be given back once no change is on the way, which could need it to go back. */
  #due: (() => void)[] | undefined;

  constructor(site: DesignSite) {
    const { images, engine, writeTogether, links } = site;
    const { memory } = images.host;
    this.#site = site;
    this.#words = { memory, writeTogether };
    this.#maker = new ImageMaker(site);
    this.#pool = new RowPool(memory);
    this.#index = new RowIndex(this.#words, engine, images.rcu);
    const link = (object: bigint): ImageLink => {
      const id = linkOf(object);
      const { link: found, program } = (links.get(id) ?? this.#retired.get(id))!;
      return { program, kind: found.kind };
    };
    this.#lookup = { index: this.#index, row: (address) => this.#pool.at(address), link };
  }

  get count(): number {
    return this.#models.size + this.#singles.size;
  }

  /** O(trampolines) */
  get bytes(): number {
    let bytes = bytesOf(this.#singles) + this.#pool.bytes + this.#index.bytes;
    for (const { trampoline } of this.#models.values()) bytes += trampoline.bytes;
    return bytes;
  }

  /** O(functions of the link) */
  imagesOf(link: number): number {
    const { functions, links } = this.#site;
    const images = new Set<object>();
    for (const id of links.get(link)!.link.functions)
      images.add(this.#singles.get(id) ?? this.#models.get(functions.models[id]!)!);
    return images.size;
  }

  *preparing(plan: MultiPlan): Operation<MultiChange> {
    const undo: (() => void)[] = [];
    this.#due = [];
    try {
      const singles = yield* this.#preparingSingles(plan);
      undo.push(() => discardAll(singles.made.values()));
      const models = yield* this.#preparingModels(plan);
      undo.push(() => discardAll(models.values()));
      const rows = yield* this.#preparingRows(plan, undo);
      return this.#change(plan, singles, models, rows);
    } catch (error) {
      for (const step of undo.reverse()) step();
      this.#settle();
      throw error;
    }
  }

  *#preparingSingles({ moves, functions }: MultiPlan): Operation<Singles> {
    const made = yield* this.#maker.making(
      moves.flatMap((move) => (isSingle(move.after) ? ordersOf(move, functions) : [])),
    );
    const old = moves.flatMap(({ before, start, end }) =>
      isSingle(before) ? Array.from(functions.subarray(start, end)) : [],
    );
    return { made, old };
  }

  /** Trampolines of models that have none. */
  *#preparingModels(plan: MultiPlan): Operation<Map<number, RowTrampoline>> {
    const { functions: table, images, ledger } = this.#site;
    const made = new Map<number, RowTrampoline>();
    try {
      for (const { before, after, start, end } of plan.moves) {
        if (!hasRow(after) || hasRow(before)) continue;
        const functions = plan.functions.subarray(start, end);
        const { model } = after;
        if (!this.#models.has(model) && !made.has(model)) {
          yield { kind: "make", what: "a trampoline for a model" };
          const shape = table.shapeOf(model);
          const spec = { ...shape, links: [], original: "from-stack", fromRow: true } as const;
          made.set(
            model,
            named(this.#site, functions, () => new RowTrampoline(images, spec, this.#lookup)),
          );
          ledger.trampolines++;
        }
        const refusing = table.refusing(functions, "from-stack");
        if (refusing !== undefined) throw busyEntry(refusing);
      }
    } catch (error) {
      discardAll(made.values());
      throw error;
    }
    return made;
  }

  *#preparingRows({ moves, functions }: MultiPlan, undo: (() => void)[]): Operation<NewRows> {
    const { functions: table, ledger } = this.#site;
    const rows = new Array<FunctionRow | undefined>(functions.length).fill(undefined);
    for (const { after, start, end } of moves) {
      if (!hasRow(after)) continue;
      yield { kind: "make", what: `rows of ${end - start} functions` };
      const ids = functions.subarray(start, end);
      const encoded = this.#encode(after);
      const { length } = encoded.bytes;
      const ips = Float64Array.from(ids, (id) => Number(table.target(id).address));
      const taken = this.#pool.take(length, ips);
      undo.push(() => {
        for (const row of taken) this.#pool.give(row);
      });
      const bytes = repeated(encoded.bytes, ids.length);
      for (let i = 0; i < ids.length; i++) rows[start + i] = taken[i];
      for (const { offset, link } of encoded.entries)
        this.#writeCookies(bytes.subarray(offset + Row.COOKIE), length, after.links[link]!, ids);
      this.#words.memory.writeSites(
        Float64Array.from(taken, ({ address }) => address),
        length,
        bytes,
      );
      ledger.rows += ids.length;
    }
    const made = rows.filter((row) => row !== undefined);
    if (made.length === 0) return { rows, swap: undefined };
    const swap = this.#index.swap(
      Float64Array.from(made, ({ ip }) => ip),
      Uint32Array.from(made, ({ address }) => address),
    );
    undo.push(() => swap.end(false));
    return { rows, swap };
  }

  /** The row of a class, with the cookies that are the same for all of its functions. */
  #encode({ model, links: ids }: ClassKey): ReturnType<typeof encodeRow> {
    const { text, functions, links } = this.#site;
    const live = Array.from(ids, (id) => links.get(id)!);
    const plan = text.planTrampoline({
      model: functions.shapeOf(model).model,
      links: live.map(({ link: { kind, cookies } }) => ({ kind, cookie: typeof cookies === "bigint" ? cookies : 0n })),
      original: "from-stack",
      funcIp: true,
    });
    return encodeRow(
      plan,
      live.map(({ link, program }) => ({ code: program.executable.subprogAddress(0), object: objectOf(link.id) })),
    );
  }

  /** Where the cookies of a link differ: each into the row of its function; rows have `length` bytes. */
  #writeCookies(bytes: Uint8Array, length: number, link: number, ids: Int32Array): void {
    const { functions, cookies } = this.#site.links.get(link)!.link;
    if (typeof cookies === "bigint") return;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let i = 0; i < ids.length; i++) view.setBigUint64(length * i, cookies[placeOf(functions, ids[i]!)]!, true);
  }

  #change(plan: MultiPlan, singles: Singles, models: Map<number, RowTrampoline>, news: NewRows): MultiChange {
    const { moves, functions } = plan;
    const site = this.#site;
    const { rows, swap } = news;
    const ofModel = (model: number): SiteState => (models.get(model) ?? this.#models.get(model)!.trampoline).entry;
    const entryOf = (key: ClassKey | undefined, id: number, images: ReadonlyMap<number, TrampolineImage>): SiteState =>
      key === undefined ? NOP : hasRow(key) ? ofModel(key.model) : images.get(id)!.entry;
    const led = new Int32Array(functions.length);
    const changes: SiteChange[] = [];
    let end = 0;
    for (const { before, after, ...move } of moves) {
      if (hasRow(before) && hasRow(after)) continue;
      const moved = functions.subarray(move.start, move.end);
      // Functions with images of their own are one each.
      const parts = isSingle(before) || isSingle(after) ? Array.from(moved, (id) => Int32Array.of(id)) : [moved];
      for (const part of parts) {
        led.set(part, end);
        const [from, to] = [entryOf(before, part[0]!, this.#singles), entryOf(after, part[0]!, singles.made)];
        changes.push({ from, to, start: end, end: end + part.length });
        end += part.length;
      }
    }
    const entries = SiteChanges.ofEntries(site, led.subarray(0, end), changes);
    const images = new ImageChange(site, { ...singles, images: this.#singles, entries });
    const oldMoves = moves.filter(({ before }) => hasRow(before));
    const rowsOf = (move: MultiMove): FunctionRow[] =>
      Array.from(functions.subarray(move.start, move.end), (id) => this.#rows[id]!);

    const leading = function* (): Operation<void> {
      if (swap !== undefined) yield* swap.changes.forth();
      try {
        yield* images.leading();
      } catch (error) {
        if (swap !== undefined) yield* surely(swap.changes.back());
        throw error;
      }
    };
    const leadingBack = function* (): Operation<void> {
      yield* images.leadingBack();
      if (swap !== undefined) yield* swap.changes.back();
    };
    const silenced = (link: number): WordChanges => this.#silenced(link, oldMoves, rowsOf);
    const silencing = function* (link: number): Operation<void> {
      const words = silenced(link);
      yield* words.forth();
      try {
        yield* images.silencing(link);
      } catch (error) {
        yield* surely(words.back());
        throw error;
      }
    };
    const keep = (): void => {
      const old = oldMoves.map((move) => ({ rows: rowsOf(move), links: this.#hold(move.before!) }));
      for (const { before, after, start, end: behind } of moves) {
        for (let i = start; i < behind; i++) this.#rows[functions[i]!] = rows[i];
        if (hasRow(before)) this.#count(before.model, models, start - behind);
        if (hasRow(after)) this.#count(after.model, models, behind - start);
      }
      this.#retireModels();
      images.keep();
      swap?.end(true);
      for (const one of old) this.#retire(one.rows, one.links);
      this.#settle();
    };
    const drop = (): void => {
      for (const { after, start, end: behind } of moves) {
        if (!hasRow(after)) continue;
        this.#retire(rows.slice(start, behind) as FunctionRow[], this.#hold(after));
      }
      for (const trampoline of models.values()) trampoline.retire();
      images.drop();
      swap?.end(false);
      this.#settle();
    };
    return { leading, leadingBack, silencing, keep, drop };
  }

  /** What has the runs of a link skipped in the rows that functions have now. */
  #silenced(link: number, moves: readonly MultiMove[], rowsOf: (move: MultiMove) => FunctionRow[]): WordChanges {
    const addresses: number[] = [];
    for (const move of moves) {
      const before = move.before!;
      const gone = this.#encode(before).entries.filter((entry) => before.links[entry.link] === link);
      for (const { address } of rowsOf(move)) for (const { offset } of gone) addresses.push(address + offset);
    }
    const [live, skipped] = [Row.LIVE, Row.SKIPPED].map((word) => new Uint32Array(addresses.length).fill(word));
    return new WordChanges(this.#words, "runs that are skipped", Float64Array.from(addresses), live!, skipped!);
  }

  #count(model: number, made: ReadonlyMap<number, RowTrampoline>, by: number): void {
    let found = this.#models.get(model);
    if (found === undefined) {
      found = { trampoline: made.get(model)!, functions: 0 };
      this.#models.set(model, found);
    }
    found.functions += by;
  }

  /** Trampolines that no function is led to. O(models) */
  #retireModels(): void {
    for (const [model, { trampoline, functions }] of this.#models) {
      if (functions > 0) continue;
      this.#models.delete(model);
      trampoline.retire();
    }
  }

  /** Keeps the links of a class for rows that name them. */
  #hold({ links: ids }: ClassKey): LiveLink[] {
    const links = Array.from(ids, (id) => this.#site.links.get(id)!);
    for (const live of links) this.#retired.hold(live);
    return links;
  }

  /** Gives rows back when no CPU can be in them. */
  #retire(rows: readonly FunctionRow[], links: readonly LiveLink[]): void {
    this.#index.hold();
    const free = (): void => {
      for (const row of rows) {
        this.#index.clear(row.ip, row.address);
        this.#pool.give(row);
      }
      for (const live of links) this.#retired.drop(live);
      this.#index.drop();
    };
    retireRows(this.#site.images.rcu, rows, () => {
      if (this.#due === undefined) free();
      else this.#due.push(free);
    });
  }

  /** No change is on the way any more. */
  #settle(): void {
    const due = this.#due ?? [];
    this.#due = undefined;
    for (const give of due) give();
  }
}

/** Trampolines of single functions that come and go. */
interface Singles {
  readonly made: ReadonlyMap<number, TrampolineImage>;
  /** Functions. */
  readonly old: readonly number[];
}

function isSingle(key: ClassKey | undefined): key is ClassKey {
  return key !== undefined && key.single !== NO_CLASS;
}

/** Whether functions go by rows. */
function hasRow(key: ClassKey | undefined): key is ClassKey {
  return key !== undefined && key.single === NO_CLASS;
}

/** What stands for a link in rows: not 0. */
function objectOf(link: number): bigint {
  return BigInt(link + 1);
}

function linkOf(object: bigint): number {
  return Number(object) - 1;
}

/** Bytes as often as asked, one behind the other. */
function repeated(bytes: Uint8Array, times: number): Uint8Array {
  const all = new Uint8Array(bytes.length * times);
  all.set(bytes);
  for (let done = bytes.length; done < all.length; done *= 2)
    all.copyWithin(done, 0, Math.min(done, all.length - done));
  return all;
}

function discardAll(trampolines: Iterable<{ discard(): void }>): void {
  for (const trampoline of trampolines) trampoline.discard();
}
