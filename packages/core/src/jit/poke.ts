// Rewriting code that is in place, as data: which bytes are written in which order, and what has to happen in between.

/** What the instruction at a patch site does: nothing, or a call or jump to an address. */
export type SiteState =
  | { readonly kind: "nop" }
  | { readonly kind: "call"; readonly target: bigint }
  | { readonly kind: "jump"; readonly target: bigint };

/** Bytes of code at an address that hold one {@link SiteState}. */
export interface TextSite {
  readonly address: bigint;
  /** Bytes, as the image's patch site says. */
  readonly size: number;
}

/** One step of a plan. */
export type PokePhase =
  /** Stores `bytes` in one go; before, `expect` must be there. */
  | { readonly kind: "write"; readonly address: bigint; readonly expect: Uint8Array; readonly bytes: Uint8Array }
  /** From here on no CPU runs what stood there before. */
  | { readonly kind: "sync-cores" }
  /** Goes on when no CPU and no saved context has its pc from `from` to below `to`. */
  | { readonly kind: "wait-clear"; readonly from: bigint; readonly to: bigint };

/** How a site gets from one state to another. Empty when the bytes are the same. */
export interface PokePlan {
  readonly phases: readonly PokePhase[];
  /** A CPU that stops at the breakpoint that lies at `address` meanwhile goes on as `resume` says. */
  readonly trap?: { readonly address: bigint; readonly resume: SiteState };
}
