// Rewriting code that is in place, as data: which bytes are written in which order, and what has to happen in between.

/** What the instruction at a patch site does: nothing, or a call or jump to an address. */
export type SiteState =
  | { readonly kind: "nop" }
  | { readonly kind: "call"; readonly target: bigint }
  | { readonly kind: "jump"; readonly target: bigint };

/** Code that jumps to whatever address is in its slot: 8 aligned bytes of data, which are 0 while nothing leads there. */
export interface FarJump<Place extends number | bigint> {
  /** Where the code begins. */
  readonly code: Place;
  readonly slot: Place;
}

/** Bytes of code at an address that hold one {@link SiteState}. */
export interface TextSite {
  readonly address: bigint;
  /** Bytes, as the image's patch site says. */
  readonly size: number;
  /** What leads the site to targets that it does not reach itself. */
  readonly far?: FarJump<bigint>;
}

/** One step of a plan. */
export type PokePhase =
  /** Stores `bytes` in one go, in the site or in its slot; before, `expect` must be there. */
  | { readonly kind: "write"; readonly address: bigint; readonly expect: Uint8Array; readonly bytes: Uint8Array }
  /** From here on no CPU runs what stood there before. */
  | { readonly kind: "sync-cores" }
  /** Goes on when no CPU and no saved context has its pc from `from` to below `to`. */
  | { readonly kind: "wait-clear"; readonly from: bigint; readonly to: bigint };

/** A CPU that stops at the breakpoint that lies at `address` goes on as `resume` says. */
export interface PokeTrap {
  readonly address: bigint;
  readonly resume: SiteState;
}

/** How a site gets from one state to another. Empty when the bytes are the same. */
export interface PokePlan {
  readonly phases: readonly PokePhase[];
  /** In force from the first phase to the last. */
  readonly trap?: PokeTrap;
}

/** One step of several plans; `plan` is an index. */
export type ZippedPhase =
  | (Extract<PokePhase, { kind: "write" | "wait-clear" }> & { readonly plan: number })
  /** Stands for one step of each of these plans. */
  | { readonly kind: "sync-cores"; readonly plans: readonly number[] };

/**
 * Several plans, for different sites that no order binds, as one: of each plan the steps up to and with its first sync, and the waits behind
 * that, then those up to its second one, and so on. All plans share their syncs, so there are as many as in the longest plan.
 *
 * Every plan is carried out in its own order, with more syncs and later stores than alone; what holds between any two of its steps holds here.
 *
 * Cost: linear in the phases of all plans.
 */
export function zipPlans(plans: readonly PokePlan[]): ZippedPhase[] {
  const zipped: ZippedPhase[] = [];
  const next = new Uint32Array(plans.length);
  let open = plans.map((_, plan) => plan).filter((plan) => plans[plan]!.phases.length > 0);
  while (open.length > 0) {
    const synced: number[] = [];
    for (const plan of open) {
      const { phases } = plans[plan]!;
      for (let phase = phases[next[plan]!]; phase?.kind === "write"; phase = phases[++next[plan]!]) {
        zipped.push({ ...phase, plan });
      }
      if (phases[next[plan]!]?.kind !== "sync-cores") continue;
      next[plan]!++;
      synced.push(plan);
    }
    if (synced.length > 0) zipped.push({ kind: "sync-cores", plans: synced });
    for (const plan of open) {
      const { phases } = plans[plan]!;
      for (let phase = phases[next[plan]!]; phase?.kind === "wait-clear"; phase = phases[++next[plan]!]) {
        zipped.push({ ...phase, plan });
      }
    }
    open = open.filter((plan) => next[plan]! < plans[plan]!.phases.length);
  }
  return zipped;
}
