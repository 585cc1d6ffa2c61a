// The one table of places in live code that may be rewritten, and the only hand that rewrites them.
import {
  type Backend,
  BpfError,
  type Image,
  type Memory,
  type PatchSite,
  type PokePlan,
  type SiteColumns,
  SiteKind,
  type SiteState,
  type TextSite,
} from "@bpfkit/core";
import type { ArmedTrap, Operation } from "../operation.ts";
import type { ReaderKind } from "../rcu.ts";
import type { Ledger } from "./ledger.ts";
import { POKE_PROTOCOLS, type PokeProtocol } from "./protocols.ts";
import { Rewrite, type SitePlan } from "./rewrite.ts";
import { RewriteMany } from "./rewrite-many.ts";

type Text = Pick<Backend, "poke" | "pokeMany">;

/** A site that leads nowhere. */
export const NOP: SiteState = { kind: "nop" };

/** A patch site of an image that is in place. */
export interface LiveSite extends TextSite {
  readonly kind: PatchSite["kind"];
  /** Name of the program, and index of the subprogram. */
  readonly owner: string;
  readonly subprog: number;
  /** What stands there now. */
  readonly state: SiteState;
}

interface Entry extends LiveSite {
  state: SiteState;
  /** The bytes of it are in `codes` from `at` on, beside those of other sites. */
  codes: Uint8Array;
  at: number;
}

/** Sites from `start` to below `end` of a list, which get from one state to another. */
export interface SiteChange {
  readonly from: SiteState;
  readonly to: SiteState;
  readonly start: number;
  readonly end: number;
}

/** Whether two states are the same instruction. */
export function sameState(a: SiteState, b: SiteState): boolean {
  return a.kind === b.kind && (a.kind === "nop" || (b.kind !== "nop" && a.target === b.target));
}

/** Every patch site of every image in a memory. */
export class TextSites {
  /** How direct tail calls are brought along. */
  readonly protocol: PokeProtocol;
  readonly #memory: Memory;
  readonly #text: Text;
  readonly #ledger: Ledger;
  /** By their addresses. */
  readonly #sites = new Map<number, Entry>();
  #version = 0;

  constructor(memory: Memory, text: Text, ledger: Ledger, protocol: PokeProtocol = POKE_PROTOCOLS.landed) {
    this.protocol = protocol;
    this.#memory = memory;
    this.#text = text;
    this.#ledger = ledger;
  }

  /** All sites, in the order in which their programs were loaded. */
  get all(): readonly LiveSite[] {
    return [...this.#sites.values()];
  }

  /** Another number when there are other sites. */
  get version(): number {
    return this.#version;
  }

  /** The site that begins at an address. */
  at(address: bigint): LiveSite | undefined {
    return this.#sites.get(Number(address));
  }

  /** Takes in the sites of an image that was placed at `base` a moment ago, as they are in a fresh image. */
  add(owner: string, image: Image, base: bigint): void {
    this.#version++;
    const behindTarget =
      image.pokes.length === 0
        ? undefined
        : new Map(image.pokes.map(({ bypass, target }) => [bypass.offset, base + BigInt(target.offset + target.size)]));
    for (const { kind, offset, size, subprog, far } of image.patchSites) {
      const skip = kind === "bypass" ? behindTarget?.get(offset) : undefined;
      const state: SiteState = skip === undefined ? NOP : { kind: "jump", target: skip };
      const address = base + BigInt(offset);
      const site = { address, size, kind, owner, subprog, state, codes: image.code, at: offset };
      const jump = far && { far: { code: base + BigInt(far.code), slot: base + BigInt(far.slot) } };
      this.#sites.set(Number(address), jump === undefined ? site : { ...site, ...jump });
    }
  }

  /** Forgets the sites of an image that goes. */
  remove(image: Image, base: bigint): void {
    this.#version++;
    for (const { offset } of image.patchSites) this.#sites.delete(Number(base) + offset);
  }

  /**
   * How a site would get to a state, after a look at the bytes that are there. Changes nothing.
   *
   * @throws {BpfError} as `Backend.poke`; `argument` (EBUSY) where the bytes are not what the table says
   */
  plan({ address }: LiveSite, to: SiteState): PokePlan {
    const site = this.#entry(address);
    const plan = this.#text.poke(site, site.state, to);
    // A plan has in it only what it changes; that nobody else has been here shows in the rest, too.
    expectBytes(site, this.#memory.view(address, site.size), site.codes.subarray(site.at, site.at + site.size));
    const writes = plan.phases.filter((phase) => phase.kind === "write");
    for (const [i, { address, expect }] of writes.entries()) {
      const bytes = this.#memory.view(address, expect.length).slice();
      for (const earlier of writes.slice(0, i)) lay(earlier, bytes, address);
      expectBytes(site, bytes, expect);
    }
    return plan;
  }

  /**
   * Brings a site into a state; tells whether anything had to be written. Where a step fails, the site is as before.
   *
   * @throws {BpfError} as {@link plan}
   */
  *poke(site: LiveSite, to: SiteState): Operation<boolean> {
    return yield* this.pokeAll([[site, to]]);
  }

  /**
   * {@link poke} for many sites, which share the syncs of one and are rewritten whole or not at all. Between two of its steps any of them can be
   * old or new, so no site may depend on what stands at another.
   *
   * Cost: linear in the sites.
   */
  *pokeAll(changes: readonly (readonly [LiveSite, SiteState])[]): Operation<boolean> {
    const moved: { readonly site: Entry; readonly to: SiteState; readonly plan: PokePlan }[] = [];
    for (const [{ address }, to] of changes) {
      const site = this.#entry(address);
      if (!sameState(site.state, to)) moved.push({ site, to, plan: this.plan(site, to) });
    }
    const plans = moved.map(({ site, to, plan }): SitePlan => {
      const { address, size, state: from } = site;
      const code = this.#memory.view(address, size).slice();
      for (const phase of plan.phases) if (phase.kind === "write") lay(phase, code, address);
      return {
        what: `${site.kind} site of '${site.owner}'`,
        plan,
        code,
        back: () => this.#text.poke(site, to, from),
        mismatch: (found, expected) => mismatch(site, found, expected),
      };
    });
    yield* new Rewrite(this.#memory, this.#ledger, plans).run();
    let written = 0;
    for (const [i, { site, to, plan }] of moved.entries()) {
      site.state = to;
      site.codes = plans[i]!.code;
      site.at = 0;
      if (plan.phases.length > 0) written++;
    }
    this.#ledger.pokes += written;
    return written > 0;
  }

  /**
   * {@link pokeAll} for very many sites: where they are of one size and all targets near, in columns, and in as many steps as for one. What a site has
   * now is not looked up but given, and compared with the bytes that are there.
   *
   * Cost: linear in the sites.
   *
   * @throws {BpfError} as {@link plan}
   */
  *pokeMany(sites: readonly LiveSite[], addresses: Float64Array, changes: readonly SiteChange[]): Operation<void> {
    const [first] = sites;
    const isUniform = sites.every(({ size }) => size === first!.size);
    const columns = first && isUniform ? columnsOf(addresses, first.size, changes) : undefined;
    const stages = columns && this.#text.pokeMany(columns);
    if (columns === undefined || stages === undefined) {
      yield* this.pokeAll(changes.flatMap(({ to, start, end }) => sites.slice(start, end).map((site) => [site, to])));
      return;
    }
    const { size } = columns;
    const codes = stages.contents.at(-1)!;
    const traps = (): ArmedTrap[] =>
      changes.flatMap(({ to, start, end }) =>
        sites.slice(start, end).map(({ address }, i) => {
          const at = size * (start + i);
          return { address, resume: to, code: codes.slice(at, at + size) };
        }),
      );
    const found = (i: number, bytes: Uint8Array, expected: Uint8Array): BpfError =>
      mismatch(sites[i]!, bytes, expected);
    yield* new RewriteMany(this.#memory, this.#ledger, { addresses, size, stages, traps, mismatch: found }).run();
    for (const { from, to, start, end } of changes) {
      if (sameState(from, to)) continue;
      for (let i = start; i < end; i++) {
        const site = sites[i]! as Entry;
        site.state = to;
        site.codes = codes;
        site.at = size * i;
      }
      this.#ledger.pokes += end - start;
    }
  }

  /** Waits until all runs of some kinds have ended that are in progress. */
  *waitForReaders(readers: readonly ReaderKind[]): Operation<void> {
    yield { kind: "wait-readers", readers };
    this.#ledger.waits++;
  }

  #entry(address: bigint): Entry {
    const site = this.#sites.get(Number(address));
    if (site === undefined) throw new BpfError("argument", `no patch site at 0x${address.toString(16)}`);
    return site;
  }
}

function columnsOf(addresses: Float64Array, size: number, changes: readonly SiteChange[]): SiteColumns {
  const { length } = addresses;
  const [fromKinds, toKinds] = [new Uint8Array(length), new Uint8Array(length)];
  const [fromTargets, toTargets] = [new Float64Array(length), new Float64Array(length)];
  for (const { from, to, start, end } of changes) {
    fromKinds.fill(KINDS[from.kind], start, end);
    toKinds.fill(KINDS[to.kind], start, end);
    if (from.kind !== "nop") fromTargets.fill(Number(from.target), start, end);
    if (to.kind !== "nop") toTargets.fill(Number(to.target), start, end);
  }
  return { addresses, size, fromKinds, fromTargets, toKinds, toTargets };
}

const KINDS: Readonly<Record<SiteState["kind"], number>> = {
  nop: SiteKind.NOP,
  call: SiteKind.CALL,
  jump: SiteKind.JUMP,
};

/** Puts into bytes at an address what a write puts there. */
function lay(
  write: Pick<TextSite, "address"> & { readonly bytes: Uint8Array },
  bytes: Uint8Array,
  address: bigint,
): void {
  const at = Number(write.address - address);
  for (const [i, byte] of write.bytes.entries()) if (at + i >= 0 && at + i < bytes.length) bytes[at + i] = byte;
}

function expectBytes(site: LiveSite, found: Uint8Array, expected: Uint8Array): void {
  if (found.length === expected.length && found.every((byte, i) => byte === expected[i])) return;
  throw mismatch(site, found, expected);
}

function mismatch({ kind, owner, address, state }: LiveSite, found: Uint8Array, expected: Uint8Array): BpfError {
  return new BpfError(
    "argument",
    `the ${kind} site of '${owner}' at 0x${address.toString(16)} holds ${text(found)} (EBUSY)`,
    {
      expected: `${text(expected)}, for ${state.kind}`,
      hint: "somebody else has written there",
    },
  );
}

function text(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
