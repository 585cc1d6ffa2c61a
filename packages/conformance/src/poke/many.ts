// The law of very many sites: the stages of `pokeMany` are plans that the law of plans holds for, and lead where `poke` leads.
import {
  type Backend,
  invariant,
  type PokePhase,
  type PokePlan,
  type PokeStages,
  type SiteColumns,
  SiteKind,
  type SiteState,
  type TextSite,
} from "@bpfkit/core";
import { checkPlans } from "./plans.ts";

/** What {@link checkManySites} found. */
export interface ManySitesReport {
  /** Changes of one site that were searched in stages. */
  readonly staged: number;
  /** Sites whose bytes were compared with those that `poke` gives them. */
  readonly compared: number;
  /** What went wrong first, in words. */
  readonly breach: string | undefined;
}

/** A site, and from which state it gets to which. */
type Change = readonly [site: TextSite, from: SiteState, to: SiteState];

const KINDS: Readonly<Record<SiteState["kind"], number>> = {
  nop: SiteKind.NOP,
  call: SiteKind.CALL,
  jump: SiteKind.JUMP,
};
/** Where sites are, one every so many bytes. */
const BASE = 0x1000_0000n;
const STEP = 16;
const COUNT = 160;
/** Further from the sites than any instruction reaches. */
const FAR: SiteState = { kind: "call", target: 0x2_0000_0000n };

/** Tries every change of one site in stages, then changes of many sites at once. */
export function checkManySites(backend: Backend): ManySitesReport {
  let staged = 0;
  let broken: string | undefined;
  const { failures } = checkPlans({
    ...backend,
    poke: (site, from, to) => {
      const stages = backend.pokeMany(columnsOf([[site, from, to]]));
      if (stages === undefined) return backend.poke(site, from, to);
      staged++;
      if (stages.contents[0]!.length !== site.size) broken ??= `stages of ${stages.contents[0]!.length} bytes`;
      return planOf(site, to, stages);
    },
  });
  const [failure] = failures;
  const breach =
    broken ??
    (failure && `${failure.from} to ${failure.to}, ${failure.size} bytes, in stages: ${failure.what}`) ??
    compare(backend) ??
    accepted(backend);
  return { staged, compared: COUNT, breach };
}

/** The stages of one site as a plan that writes all of the site each time. */
function planOf({ address }: TextSite, to: SiteState, { contents, clear, traps }: PokeStages): PokePlan {
  if (isSame(contents[0]!, contents.at(-1)!)) return { phases: [] };
  const phases = contents.slice(1).flatMap((bytes, i): PokePhase[] => {
    if (isSame(bytes, contents[i]!)) return [];
    const write: PokePhase = { kind: "write", address, expect: contents[i]!, bytes };
    const wait: PokePhase[] =
      i === 0 && clear !== undefined
        ? [{ kind: "wait-clear", from: address + BigInt(clear.from), to: address + BigInt(clear.to) }]
        : [];
    return [write, { kind: "sync-cores" }, ...wait];
  });
  return traps ? { phases, trap: { address, resume: to } } : { phases };
}

/** What is wrong with the bytes of many sites, which are `size` bytes beside each other in each stage. */
function compare(backend: Backend): string | undefined {
  const size = sizeOf(backend);
  const states = (i: number): SiteState[] => [
    { kind: "nop" },
    { kind: "call", target: BASE + 0x20_0000n + BigInt(4 * STEP * i) },
    { kind: "call", target: BASE - 0xff_f7fcn },
    { kind: "jump", target: BASE + 0x1800n },
  ];
  const changes = Array.from({ length: COUNT }, (_, i): Change => {
    const site = { address: BASE + BigInt(STEP * i), size };
    return [site, states(i)[i % 4]!, states(i)[(i >> 2) % 4]!];
  });
  const stages = backend.pokeMany(columnsOf(changes));
  if (stages === undefined) return "no stages for near targets";
  const { contents } = stages;
  for (const [i, [site, from, to]] of changes.entries()) {
    const [before, after] = [contents[0]!, contents.at(-1)!].map((bytes) => bytes.slice(size * i, size * (i + 1)));
    for (const phase of backend.poke(site, from, to).phases) {
      if (phase.kind !== "write") continue;
      const at = Number(phase.address - site.address);
      if (!isSame(before!.subarray(at, at + phase.expect.length), phase.expect))
        return `site ${i} of ${COUNT}, ${from.kind} to ${to.kind}: begins with ${before}`;
      before!.set(phase.bytes, at);
    }
    if (!isSame(before!, after!)) return `site ${i} of ${COUNT}, ${from.kind} to ${to.kind}: ${after}, not ${before}`;
  }
  return undefined;
}

/** What is not refused that no instruction can be. */
function accepted(backend: Backend): string | undefined {
  const size = sizeOf(backend);
  const columns = columnsOf([[{ address: BASE, size }, { kind: "nop" }, FAR]]);
  if (backend.pokeMany(columns) !== undefined) return "stages that lead further than an instruction reaches";
  if (backend.pokeMany({ ...columns, size: size + 1 }) !== undefined) return `stages of a site of ${size + 1} bytes`;
  return undefined;
}

/** Bytes of the entry site of a function. */
function sizeOf(backend: Backend): number {
  const entry = backend.emitFunction().patchSites.find(({ kind }) => kind === "entry");
  invariant(entry !== undefined, "an entry site of a function");
  return entry.size;
}

function columnsOf(changes: readonly Change[]): SiteColumns {
  const target = (state: SiteState): number => (state.kind === "nop" ? 0 : Number(state.target));
  return {
    addresses: Float64Array.from(changes, ([{ address }]) => Number(address)),
    size: changes[0]![0].size,
    fromKinds: Uint8Array.from(changes, ([, from]) => KINDS[from.kind]),
    fromTargets: Float64Array.from(changes, ([, from]) => target(from)),
    toKinds: Uint8Array.from(changes, ([, , to]) => KINDS[to.kind]),
    toTargets: Float64Array.from(changes, ([, , to]) => target(to)),
  };
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
