// Patch sites that change together, and back.
import type { SiteState } from "@bpfkit/core";
import type { Operation } from "../operation.ts";
import type { LiveSite, SiteChange } from "../text/sites.ts";
import type { DesignSite } from "./design.ts";

/** Few sites are written one by one, so that CPUs can go on in between; many in as few steps as there can be. */
export class SiteChanges {
  readonly #site: Pick<DesignSite, "sites" | "writeTogether">;
  readonly #sites: readonly LiveSite[];
  readonly #addresses: Float64Array;
  readonly #changes: readonly SiteChange[];

  constructor(
    site: Pick<DesignSite, "sites" | "writeTogether">,
    sites: readonly LiveSite[],
    addresses: Float64Array,
    changes: readonly SiteChange[],
  ) {
    this.#site = site;
    this.#sites = sites;
    this.#addresses = addresses;
    this.#changes = changes;
  }

  /** Entries of functions. */
  static ofEntries(site: DesignSite, functions: Int32Array, changes: readonly SiteChange[]): SiteChanges {
    const { sites, addresses } = site.functions.sitesOf(functions);
    return new SiteChanges(site, sites, addresses, changes);
  }

  /** Blocks of programs that are there so far. */
  static ofBlocks(
    site: Pick<DesignSite, "sites" | "writeTogether">,
    blocks: readonly (readonly [LiveSite, SiteState])[],
  ): SiteChanges {
    const sites = blocks.map(([block]) => block);
    const changes = blocks.map(([{ state }, to], i): SiteChange => ({ from: state, to, start: i, end: i + 1 }));
    return new SiteChanges(
      site,
      sites,
      Float64Array.from(sites, ({ address }) => Number(address)),
      changes,
    );
  }

  *forth(): Operation<void> {
    yield* this.#write(this.#changes);
  }

  *back(): Operation<void> {
    yield* this.#write(this.#changes.map(({ from, to, start, end }) => ({ from: to, to: from, start, end })));
  }

  *#write(changes: readonly SiteChange[]): Operation<void> {
    const { sites: text, writeTogether } = this.#site;
    const sites = this.#sites;
    if (sites.length >= writeTogether) yield* text.pokeMany(sites, this.#addresses, changes);
    else
      yield* text.pokeAll(changes.flatMap(({ to, start, end }) => sites.slice(start, end).map((site) => [site, to])));
  }
}
