// One trampoline per class: for functions whose arguments lie in equal places and that run the same programs in the same order.
import { type MultiPlan, NO_CLASS, type SiteState } from "@bpfkit/core";
import type { Operation } from "../operation.ts";
import { NOP, type SiteChange } from "../text/sites.ts";
import type { TrampolineImage } from "../tracing/image.ts";
import type { DesignSite, MultiChange, MultiDesign } from "./design.ts";
import { ImageChange } from "./image-change.ts";
import { bytesOf, ImageMaker } from "./image-maker.ts";
import { SiteChanges } from "./site-changes.ts";

/**
 * A trampoline is entered by a call and finds the function by the return address; a function with a typed link has one for itself. A class whose links
 * change gets a new trampoline, and all of its functions are led there.
 */
export class SharedDesign implements MultiDesign {
  readonly looksUpCookies = true;
  readonly #site: DesignSite;
  readonly #maker: ImageMaker;
  /** By class. */
  readonly #images = new Map<number, TrampolineImage>();

  constructor(site: DesignSite) {
    this.#site = site;
    this.#maker = new ImageMaker(site);
  }

  get count(): number {
    return this.#images.size;
  }

  /** O(trampolines) */
  get bytes(): number {
    return bytesOf(this.#images);
  }

  /** O(classes) */
  imagesOf(link: number): number {
    const { state } = this.#site;
    let count = 0;
    for (const id of state.classIds()) if (state.class(id).links.includes(link)) count++;
    return count;
  }

  *preparing({ moves, functions }: MultiPlan): Operation<MultiChange> {
    const images = this.#images;
    const made = yield* this.#maker.making(
      moves.flatMap(({ kind, to, after, start, end }) =>
        kind === "made" || kind === "renamed"
          ? [{ id: to, key: after!, functions: functions.subarray(start, end) }]
          : [],
      ),
    );
    const stateAt = (id: number): SiteState => (id === NO_CLASS ? NOP : (images.get(id)?.entry ?? NOP));
    const changes = moves.map(({ from, to, start, end }): SiteChange => {
      return { from: stateAt(from), to: made.get(to)?.entry ?? stateAt(to), start, end };
    });
    return new ImageChange(this.#site, {
      images,
      made,
      old: moves.flatMap(({ kind, from }) => (kind === "made" ? [] : [from])),
      entries: SiteChanges.ofEntries(this.#site, functions, changes),
    });
  }
}
