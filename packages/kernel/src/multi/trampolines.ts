// The trampolines of functions: which there are follows from the class table, and plans of core say how to get from one table to the next.
import {
  applyPlan,
  BpfError,
  type MultiLink,
  type MultiMove,
  type MultiPlan,
  type MultiRequest,
  MultiState,
  NO_CLASS,
  planAttach,
  planDetach,
  type SiteState,
  type TextEngine,
  type TrampolineSpec,
} from "@bpfkit/core";
import { locked, Mutex, type Operation, surely } from "../operation.ts";
import type { Resident } from "../resident.ts";
import type { SiteChange, TextSites } from "../text/sites.ts";
import { asksForIp } from "../tracing/func-ip.ts";
import { type ImageLink, type ImageSite, TrampolineImage } from "../tracing/image.ts";
import type { Target } from "../tracing/target.ts";
import type { CookieTable, CookieTables } from "./cookies.ts";
import { FunctionTable } from "./functions.ts";

/** What the programs of a kernel's functions need. */
export interface FunctionTrampolinesSite {
  readonly text: TextEngine;
  readonly sites: TextSites;
  readonly images: ImageSite;
  readonly tables: CookieTables;
  /** Entries from which on they are written together. */
  readonly writeTogether: number;
}

/** A link with what it keeps in the kernel. */
interface LiveLink {
  readonly link: MultiLink;
  readonly program: Resident;
  /** Where the cookies differ. */
  readonly table: CookieTable | undefined;
}

const NOP: SiteState = { kind: "nop" };

/**
 * Has programs run around functions, each at one or at many. All functions of a class share a trampoline, which is entered by a call and finds the function
 * by the return address; a function with a typed link has one for itself.
 *
 * A change first makes the new trampolines, to which nothing leads, then leads all entries there together, and at last gives back those that are not
 * needed any more. So a call runs the programs that there were before, or those that there are after it. Where a step fails, everything is as before.
 *
 * Cost of a change: linear in its functions and in the classes that they are in; as many syncs as one entry needs, twice where a link goes.
 */
export class FunctionTrampolines {
  readonly functions: FunctionTable = new FunctionTable();
  readonly state: MultiState;
  readonly mutex: Mutex = new Mutex("the trampolines of functions");
  readonly #site: FunctionTrampolinesSite;
  readonly #links = new Map<number, LiveLink>();
  /** By class. */
  readonly #images = new Map<number, TrampolineImage>();

  constructor(site: FunctionTrampolinesSite) {
    this.#site = site;
    this.state = new MultiState(this.functions);
  }

  /** Bytes of all trampolines that entries lead to. O(trampolines) */
  get bytes(): number {
    let bytes = 0;
    for (const { image } of this.#images.values()) bytes += image.code.length;
    return bytes;
  }

  /** How many trampolines run the program of a link. O(classes) */
  imagesOf(link: number): number {
    let count = 0;
    for (const id of this.state.classIds()) if (this.state.class(id).links.includes(link)) count++;
    return count;
  }

  /** The links of a function, in the order in which they were attached. */
  linksOf(functionId: number): readonly Pick<LiveLink, "link" | "program">[] {
    const inClass = this.state.classOf(functionId);
    if (inClass === NO_CLASS) return [];
    return Array.from(this.state.class(inClass).links, (id) => this.#links.get(id)!);
  }

  /**
   * Attaches a program; gives its link. Programs whose subprograms it is attached to stay as long as it does.
   *
   * @param settle - what is to be settled first, while nobody else changes anything
   * @throws {BpfError} as `planAttach`; `limit` for a trampoline of more than a page, and where memory is full
   */
  *attaching(
    program: Resident,
    request: Omit<MultiRequest, "program">,
    settle: () => void = () => {},
  ): Operation<MultiLink> {
    const { functions = [] } = request;
    program.hold();
    this.functions.hold(functions);
    try {
      return yield* locked(this, () => {
        settle();
        return this.#attach(program, request);
      });
    } catch (error) {
      this.functions.drop(functions);
      program.drop();
      throw error;
    }
  }

  /** Detaches a link; nothing where it has gone. */
  *detaching(link: number): Operation<void> {
    yield* locked(this, () => this.#detach(link));
  }

  *#attach(program: Resident, request: Omit<MultiRequest, "program">): Operation<MultiLink> {
    const plan = planAttach(this.state, { ...request, program: program.id });
    const { link } = plan;
    let table: CookieTable | undefined;
    try {
      if (typeof link.cookies !== "bigint" && !link.typed) {
        yield { kind: "make", what: `the cookies of '${program.name}'` };
        table = this.#makeTable(link, program.name);
      }
      this.#links.set(link.id, { link, program, table });
      yield* this.#carryOut(plan, undefined);
    } catch (error) {
      this.#links.delete(link.id);
      table?.drop();
      throw error;
    }
    return link;
  }

  *#detach(id: number): Operation<void> {
    const gone = this.#links.get(id);
    if (gone === undefined) return;
    yield* this.#carryOut(planDetach(this.state, id), gone.program);
    this.#links.delete(id);
    gone.table?.drop();
    this.functions.drop(gone.link.functions);
    gone.program.drop();
  }

  /** @param gone - the program whose runs are over, in calls that are in a trampoline, too */
  *#carryOut(plan: MultiPlan, gone: Resident | undefined): Operation<void> {
    const { sites } = this.#site;
    const { moves } = plan;
    const made = new Map<number, TrampolineImage>();
    try {
      for (const move of moves) {
        if (move.kind !== "made" && move.kind !== "renamed") continue;
        made.set(move.to, yield* this.#makeShared(move, plan.functions.subarray(move.start, move.end)));
      }
    } catch (error) {
      for (const image of made.values()) image.discard();
      throw error;
    }
    const old = moves.flatMap(({ kind, from }) => (kind === "made" ? [] : [this.#images.get(from)!]));
    const stateAt = (id: number): SiteState => (id === NO_CLASS ? NOP : (this.#images.get(id)?.entry ?? NOP));
    const led = moves.map(({ from, to, start, end }): SiteChange => {
      return { from: stateAt(from), to: made.get(to)?.entry ?? stateAt(to), start, end };
    });
    let isLed = false;
    try {
      yield* this.#poke(plan.functions, led);
      isLed = true;
      if (gone !== undefined) {
        yield* sites.pokeAll(old.flatMap((image) => image.silencing(({ program }) => program === gone)));
      }
    } catch (error) {
      const back = led.map(({ from, to, start, end }): SiteChange => ({ from: to, to: from, start, end }));
      if (isLed) yield* surely(this.#poke(plan.functions, back));
      // A CPU may have come by.
      for (const image of made.values()) image.retire();
      throw error;
    }
    applyPlan(this.state, plan);
    for (const { kind, from } of moves) if (kind !== "made") this.#images.delete(from);
    for (const [to, image] of made) this.#images.set(to, image);
    for (const image of old) image.retire();
  }

  /** Few entries are written one by one, so that CPUs can go on in between; many in as few steps as there can be. */
  *#poke(functions: Int32Array, changes: readonly SiteChange[]): Operation<void> {
    const { sites: text, writeTogether } = this.#site;
    const { sites, addresses } = this.functions.sitesOf(functions);
    if (functions.length >= writeTogether) yield* text.pokeMany(sites, addresses, changes);
    else
      yield* text.pokeAll(changes.flatMap(({ to, start, end }) => sites.slice(start, end).map((site) => [site, to])));
  }

  /** A trampoline that other users of the entries share them with: a second try goes by the return address. @throws {BpfError} `argument` (EBUSY) */
  *#makeShared(move: MultiMove, functions: Int32Array): Operation<TrampolineImage> {
    const tries = move.after!.single === NO_CLASS ? (["from-stack"] as const) : (["known", "from-stack"] as const);
    let refusing: Target | undefined;
    for (const original of tries) {
      yield { kind: "make", what: `a trampoline for ${functions.length} functions` };
      const image = this.#makeNamed(move, functions, original);
      refusing = this.functions.refusing(functions, original);
      if (refusing === undefined) return image;
      image.discard();
    }
    throw new BpfError(
      "argument",
      `a trampoline of ${refusing!.name} (EBUSY): another user of the entry does not share it`,
      {
        expected: "an entry that is free, or shared",
        function: refusing!.name,
      },
    );
  }

  /** What it throws names the first of the functions. */
  #makeNamed(move: MultiMove, functions: Int32Array, original: "known" | "from-stack"): TrampolineImage {
    try {
      return this.#make(move, original);
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      const name = this.functions.name(functions[0]!);
      const others = functions.length === 1 ? "" : ` and ${functions.length - 1} more`;
      throw new BpfError(error.code, `trampoline of '${name}'${others}: ${error.message}`, {
        function: name,
        cause: error,
      });
    }
  }

  #make({ after, start, end }: MultiMove, original: "known" | "from-stack"): TrampolineImage {
    const { text, images } = this.#site;
    const { single, model, links: ids } = after!;
    const target = single === NO_CLASS ? undefined : this.functions.target(single);
    const links = Array.from(ids, (id) => this.#imageLink(id, single));
    const shape = target ?? this.functions.shapeOf(model);
    const spec: TrampolineSpec = {
      model: shape.model,
      tailCalls: shape.tailCalls,
      links: links.map(({ kind, cookie, cookies }) => ({ kind, cookie, findsCookie: cookies !== undefined })),
      original,
      funcIp: links.some(({ program }) => asksForIp(program.verified)),
    };
    const name = `${end - start} functions`;
    const around = target ?? { name, address: undefined, original: undefined };
    return new TrampolineImage(images, around, text.emitTrampoline(spec), text.planTrampoline(spec), links);
  }

  /** A link in the trampoline of a class, or of a single function, whose cookie is known. */
  #imageLink(id: number, single: number): ImageLink & { readonly cookie: bigint } {
    const { link, program, table } = this.#links.get(id)!;
    const { kind, cookies, functions } = link;
    if (typeof cookies === "bigint") return { program, kind, cookie: cookies };
    if (single !== NO_CLASS) return { program, kind, cookie: cookies[placeOf(functions, single)]! };
    return { program, kind, cookie: 0n, cookies: table };
  }

  #makeTable({ functions, cookies }: MultiLink, owner: string): CookieTable {
    const rows = Array.from(functions, (id, i) => ({
      address: this.functions.target(id).address,
      cookie: (cookies as BigUint64Array)[i]!,
    })).sort((a, b) => Number(a.address - b.address));
    return this.#site.tables.make(
      rows.map(({ address }) => address),
      rows.map(({ cookie }) => cookie),
      owner,
    );
  }
}

/** Where a number is in an ascending column that has it. O(log n) */
function placeOf(column: Int32Array, number: number): number {
  let [low, high] = [0, column.length - 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (column[middle]! < number) low = middle + 1;
    else high = middle;
  }
  return low;
}
