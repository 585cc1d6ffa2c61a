// One trampoline per function: the original and the cookies are in its code, and entries change in batches, as in Linux in 2026.
import type { MultiPlan } from "@bpfkit/core";
import type { Operation } from "../operation.ts";
import { NOP, type SiteChange } from "../text/sites.ts";
import type { TrampolineImage } from "../tracing/image.ts";
import type { DesignSite, MultiChange, MultiDesign } from "./design.ts";
import { ImageChange } from "./image-change.ts";
import { bytesOf, ImageMaker, ordersOf } from "./image-maker.ts";
import { SiteChanges } from "./site-changes.ts";

/** A change makes a trampoline for each of its functions. */
export class PerFunctionDesign implements MultiDesign {
  readonly looksUpCookies = false;
  readonly #site: DesignSite;
  readonly #maker: ImageMaker;
  /** By function. */
  readonly #images = new Map<number, TrampolineImage>();

  constructor(site: DesignSite) {
    this.#site = site;
    this.#maker = new ImageMaker(site);
  }

  get count(): number {
    return this.#images.size;
  }

  /** O(functions) */
  get bytes(): number {
    return bytesOf(this.#images);
  }

  imagesOf(link: number): number {
    return this.#site.links.get(link)!.link.functions.length;
  }

  *preparing({ moves, functions }: MultiPlan): Operation<MultiChange> {
    const images = this.#images;
    const made = yield* this.#maker.making(moves.flatMap((move) => ordersOf(move, functions)));
    const changes = Array.from(functions, (id, i): SiteChange => {
      return { from: images.get(id)?.entry ?? NOP, to: made.get(id)?.entry ?? NOP, start: i, end: i + 1 };
    });
    return new ImageChange(this.#site, {
      images,
      made,
      old: Array.from(functions).filter((id) => images.has(id)),
      entries: SiteChanges.ofEntries(this.#site, functions, changes),
    });
  }
}
