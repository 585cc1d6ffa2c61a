// What a design for many functions and few programs has to do: everything else of multi-attach is the same for all of them.
import type { Engine, MultiLink, MultiPlan, MultiState, TextEngine } from "@bpfkit/core";
import type { Operation } from "../operation.ts";
import type { Resident } from "../resident.ts";
import type { Ledger } from "../text/ledger.ts";
import type { TextSites } from "../text/sites.ts";
import type { ImageSite } from "../tracing/image.ts";
import type { CookieTable, CookieTables } from "./cookies.ts";
import type { FunctionTable } from "./functions.ts";

/** A link with what it keeps in the kernel. */
export interface LiveLink {
  readonly link: MultiLink;
  readonly program: Resident;
  /** Where the cookies differ and the design looks them up. */
  readonly table: CookieTable | undefined;
}

/** What a design works with. */
export interface DesignSite {
  readonly engine: Engine;
  readonly text: TextEngine;
  readonly sites: TextSites;
  readonly images: ImageSite;
  readonly tables: CookieTables;
  readonly ledger: Ledger;
  /** Entries, or words, from which on they are written together. */
  readonly writeTogether: number;
  readonly functions: FunctionTable;
  readonly state: MultiState;
  /** The one that is being attached among them. */
  readonly links: ReadonlyMap<number, LiveLink>;
}

/** A way to lead many functions to programs. */
export interface MultiDesign {
  /** Whether a link needs a table of cookies where they differ. */
  readonly looksUpCookies: boolean;
  /** Trampolines that entries lead to. */
  readonly count: number;
  /** Bytes of those, and of the rows that they go by. */
  readonly bytes: number;
  /** How many of them run the program of a link. */
  imagesOf(link: number): number;
  /** Makes what a plan needs; nothing leads there yet. Where a step fails, nothing is left of it. */
  preparing(plan: MultiPlan): Operation<MultiChange>;
}

/** A plan that a design is ready for. {@link leading} is called first, at the end either {@link keep} or {@link drop}. */
export interface MultiChange {
  /** From here on calls run what is new. All or nothing. */
  leading(): Operation<void>;
  /** Takes {@link leading} back. */
  leadingBack(): Operation<void>;
  /** Has calls that began before skip what is left of a link's runs. All or nothing. */
  silencing(link: number): Operation<void>;
  /** It has become so: gives back what was there before. */
  keep(): void;
  /** It has not: gives back what is new, where CPUs may have come by. */
  drop(): void;
}
