// Rewriting very many sites together, in columns: what `poke` plans for one, without an object for each.

/** Numbers for the kinds of states, in {@link SiteColumns}. */
export const SiteKind = { NOP: 0, CALL: 1, JUMP: 2 } as const;

/** Sites of one size, with the states that they are in and shall get to. */
export interface SiteColumns {
  readonly addresses: Float64Array;
  /** Bytes of each. */
  readonly size: number;
  /** Of {@link SiteKind}. */
  readonly fromKinds: Uint8Array;
  readonly fromTargets: Float64Array;
  readonly toKinds: Uint8Array;
  readonly toTargets: Float64Array;
}

/** How sites get from state to state together, all of them in the same stages. */
export interface PokeStages {
  /** Bytes of all sites, one behind the other: as they have to be before, and after each stage. Behind every stage all cores are synchronized. */
  readonly contents: readonly Uint8Array[];
  /** Behind the first stage, no CPU and no saved context may have its pc at these bytes of a site, from `from` to below `to`. */
  readonly clear?: { readonly from: number; readonly to: number };
  /** Meanwhile a CPU can meet a breakpoint at a site's address, and goes on as in the new state. */
  readonly traps: boolean;
}
