// Images that take the place of others.
import type { Operation } from "../operation.ts";
import type { TrampolineImage } from "../tracing/image.ts";
import type { DesignSite, MultiChange } from "./design.ts";
import { SiteChanges } from "./site-changes.ts";

/** What an {@link ImageChange} is made of. */
export interface ImageSwap {
  /** All images, which it changes at the end. */
  readonly images: Map<number, TrampolineImage>;
  readonly made: ReadonlyMap<number, TrampolineImage>;
  /** Ids of images that are not led to any more. */
  readonly old: readonly number[];
  readonly entries: SiteChanges;
}

/** Leads entries from images to others. */
export class ImageChange implements MultiChange {
  readonly #site: DesignSite;
  readonly #swap: ImageSwap;
  readonly #old: readonly TrampolineImage[];

  constructor(site: DesignSite, swap: ImageSwap) {
    this.#site = site;
    this.#swap = swap;
    this.#old = swap.old.map((id) => swap.images.get(id)!);
  }

  leading(): Operation<void> {
    return this.#swap.entries.forth();
  }

  leadingBack(): Operation<void> {
    return this.#swap.entries.back();
  }

  *silencing(link: number): Operation<void> {
    const { program } = this.#site.links.get(link)!;
    const blocks = this.#old.flatMap((image) => image.silencing((other) => other.program === program));
    yield* SiteChanges.ofBlocks(this.#site, blocks).forth();
  }

  keep(): void {
    const { images, made, old } = this.#swap;
    for (const id of old) images.delete(id);
    for (const [id, image] of made) images.set(id, image);
    for (const image of this.#old) image.retire();
  }

  drop(): void {
    for (const image of this.#swap.made.values()) image.retire();
  }
}
