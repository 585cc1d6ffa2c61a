// Trampolines with their programs in the code: for one function, or for all functions of a class.
import {
  BpfError,
  type ClassKey,
  type Image,
  type MultiMove,
  NO_CLASS,
  type TrampolinePlan,
  type TrampolineSpec,
} from "@bpfkit/core";
import type { Operation } from "../operation.ts";
import { asksForIp } from "../tracing/func-ip.ts";
import { type ImageLink, TrampolineImage } from "../tracing/image.ts";
import type { Target } from "../tracing/target.ts";
import type { DesignSite, LiveLink } from "./design.ts";

/** An image that is to be made. */
export interface ImageOrder {
  /** What it is kept by. */
  readonly id: number;
  /** Of one function where it names a single. */
  readonly key: ClassKey;
  readonly functions: Int32Array;
}

/** An image for each function of a move that has programs behind it. */
export function ordersOf({ after, start, end }: MultiMove, functions: Int32Array): ImageOrder[] {
  if (after === undefined) return [];
  return Array.from(functions.subarray(start, end), (id) => {
    return { id, key: { ...after, single: id }, functions: Int32Array.of(id) };
  });
}

/** Bytes of the code of images. */
export function bytesOf(images: ReadonlyMap<number, TrampolineImage>): number {
  let bytes = 0;
  for (const { image } of images.values()) bytes += image.code.length;
  return bytes;
}

/** Code that can be placed for several functions. */
interface Emitted {
  readonly spec: TrampolineSpec;
  /** Of the model and the links. */
  readonly key: string;
  readonly code: Image;
  readonly plan: TrampolinePlan;
}

/** Makes images. */
export class ImageMaker {
  readonly #site: DesignSite;
  /** What was emitted last, for the next function of the same class. */
  #last: Emitted | undefined;

  constructor(site: DesignSite) {
    this.#site = site;
  }

  /** Makes images that nothing leads to, by their ids. Where one cannot be made none is left. */
  *making(orders: Iterable<ImageOrder>): Operation<Map<number, TrampolineImage>> {
    const made = new Map<number, TrampolineImage>();
    try {
      for (const order of orders) made.set(order.id, yield* this.#makingShared(order));
    } catch (error) {
      for (const image of made.values()) image.discard();
      throw error;
    } finally {
      this.#last = undefined;
    }
    return made;
  }

  /** An image that other users of the entries share them with: a second try goes by the return address. @throws {BpfError} `argument` (EBUSY) */
  *#makingShared(order: ImageOrder): Operation<TrampolineImage> {
    const { functions, key } = order;
    const tries = key.single === NO_CLASS ? (["from-stack"] as const) : (["known", "from-stack"] as const);
    let refusing: Target | undefined;
    for (const original of tries) {
      yield { kind: "make", what: `a trampoline for ${functions.length} functions` };
      const image = this.#makeNamed(order, original);
      refusing = this.#site.functions.refusing(functions, original);
      if (refusing === undefined) return image;
      image.discard();
    }
    throw busyEntry(refusing!);
  }

  /** What it throws names the first of the functions. */
  #makeNamed(order: ImageOrder, original: "known" | "from-stack"): TrampolineImage {
    return named(this.#site, order.functions, () => this.#make(order, original));
  }

  #make({ key, functions: { length } }: ImageOrder, original: "known" | "from-stack"): TrampolineImage {
    const { images, functions, ledger } = this.#site;
    const { single, model, links: ids } = key;
    const target = single === NO_CLASS ? undefined : functions.target(single);
    const links = Array.from(ids, (id) => imageLink(this.#site.links.get(id)!, single));
    const shape = target ?? functions.shapeOf(model);
    const spec: TrampolineSpec = {
      model: shape.model,
      tailCalls: shape.tailCalls,
      links: links.map(({ kind, cookie, cookies }) => ({ kind, cookie, findsCookie: cookies !== undefined })),
      original,
      funcIp: links.some(({ program }) => asksForIp(program.verified)),
    };
    const around = target ?? { name: `${length} functions`, address: undefined, original: undefined };
    const { code, plan } = this.#emit(spec, `${model} ${ids.join()}`);
    const image = new TrampolineImage(images, around, code, plan, links);
    ledger.trampolines++;
    return image;
  }

  #emit(spec: TrampolineSpec, key: string): Emitted {
    const last = this.#last;
    if (last?.key === key && sameCode(last.spec, spec)) return last;
    const { text } = this.#site;
    this.#last = { spec, key, code: text.emitTrampoline(spec), plan: text.planTrampoline(spec) };
    return this.#last;
  }
}

/** Whether two specs of one model and the same links come to the same code. */
function sameCode(one: TrampolineSpec, other: TrampolineSpec): boolean {
  const isSame = one.links.every(({ cookie, findsCookie }, i) => {
    const link = other.links[i]!;
    return cookie === link.cookie && findsCookie === link.findsCookie;
  });
  return isSame && one.original === other.original;
}

/** The error for an entry that another user does not share. */
export function busyEntry({ name }: Target): BpfError {
  return new BpfError("argument", `a trampoline of ${name} (EBUSY): another user of the entry does not share it`, {
    expected: "an entry that is free, or shared",
    function: name,
  });
}

/** What is thrown while something is made for functions names the first of them. */
export function named<T>({ functions: table }: DesignSite, functions: Int32Array, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    const name = table.name(functions[0]!);
    const others = functions.length === 1 ? "" : ` and ${functions.length - 1} more`;
    throw new BpfError(error.code, `trampoline of '${name}'${others}: ${error.message}`, {
      function: name,
      cause: error,
    });
  }
}

/** A link in the image of a class, or of a single function, whose cookie is known. */
function imageLink({ link, program, table }: LiveLink, single: number): ImageLink & { readonly cookie: bigint } {
  const { kind, cookies, functions } = link;
  if (typeof cookies === "bigint") return { program, kind, cookie: cookies };
  if (single !== NO_CLASS) return { program, kind, cookie: cookies[placeOf(functions, single)]! };
  return { program, kind, cookie: 0n, cookies: table };
}

/** Where a number is in an ascending column that has it. O(log n) */
export function placeOf(column: Int32Array, number: number): number {
  let [low, high] = [0, column.length - 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (column[middle]! < number) low = middle + 1;
    else high = middle;
  }
  return low;
}
