// The one table of places in live code that may be rewritten, and the only hand that rewrites them.
import {
  type Backend,
  BpfError,
  type Image,
  type Memory,
  type PatchSite,
  type PokePlan,
  type SiteState,
  type TextSite,
} from "@bpfkit/core";
import { type Operation, one, type Step, surely } from "../operation.ts";
import type { Ledger } from "./ledger.ts";
import { POKE_PROTOCOLS, type PokeProtocol } from "./protocols.ts";

const NOP: SiteState = { kind: "nop" };

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
  readonly #text: Pick<Backend, "arch" | "poke">;
  readonly #ledger: Ledger;
  readonly #sites = new Map<bigint, Entry>();

  constructor(
    memory: Memory,
    text: Pick<Backend, "arch" | "poke">,
    ledger: Ledger,
    protocol: PokeProtocol = POKE_PROTOCOLS.landed,
  ) {
    this.protocol = protocol;
    this.#memory = memory;
    this.#text = text;
    this.#ledger = ledger;
  }

  /** All sites, in the order in which their programs were loaded. */
  get all(): readonly LiveSite[] {
    return [...this.#sites.values()];
  }

  /** The site that begins at an address. */
  at(address: bigint): LiveSite | undefined {
    return this.#sites.get(address);
  }

  /** Takes in the sites of an image placed at `base`, as they are in a fresh image. */
  add(owner: string, image: Image, base: bigint): void {
    const behindTarget = new Map(
      image.pokes.map(({ bypass, target }) => [bypass.offset, base + BigInt(target.offset + target.size)]),
    );
    for (const { kind, offset, size, subprog } of image.patchSites) {
      const skip = behindTarget.get(offset);
      const state: SiteState = kind === "bypass" && skip !== undefined ? { kind: "jump", target: skip } : NOP;
      const address = base + BigInt(offset);
      this.#sites.set(address, { address, size, kind, owner, subprog, state });
    }
  }

  /** Forgets the sites of an image that goes. */
  remove(image: Image, base: bigint): void {
    for (const { offset } of image.patchSites) this.#sites.delete(base + BigInt(offset));
  }

  /**
   * How a site would get to a state, after a look at the bytes that are there. Changes nothing.
   *
   * @throws {BpfError} as `Backend.poke`; `argument` (EBUSY) where the bytes are not what the table says
   */
  plan({ address }: LiveSite, to: SiteState): PokePlan {
    const site = this.#entry(address);
    const plan = this.#text.poke(site, site.state, to);
    const bytes = this.#memory.view(address, site.size).slice();
    for (const phase of plan.phases) {
      if (phase.kind !== "write") continue;
      const at = Number(phase.address - address);
      expectBytes(site, bytes.subarray(at, at + phase.expect.length), phase.expect);
      bytes.set(phase.bytes, at);
    }
    return plan;
  }

  /**
   * Brings a site into a state; tells whether anything had to be written. Where a step fails, the site is as before.
   *
   * @throws {BpfError} as {@link plan}
   */
  *poke({ address }: LiveSite, to: SiteState): Operation<boolean> {
    const site = this.#entry(address);
    if (sameState(site.state, to)) return false;
    const { phases, trap } = this.plan(site, to);
    const armed = trap === undefined ? {} : { trap };
    const done: Extract<Step, { kind: "write" }>[] = [];
    const what = `${site.kind} site of '${site.owner}'`;
    try {
      for (const phase of phases) {
        if (phase.kind !== "write") yield* this.#pause({ ...phase, ...armed });
        else {
          yield { kind: "write", what, address: phase.address, bytes: phase.bytes, ...armed };
          expectBytes(site, this.#memory.view(phase.address, phase.expect.length), phase.expect);
          this.#write(phase.address, phase.bytes);
          done.push({ kind: "write", what, address: phase.address, bytes: phase.expect });
        }
      }
    } catch (error) {
      for (const write of done.reverse()) {
        yield* surely(one(write));
        this.#write(write.address, write.bytes);
        yield* surely(this.#pause({ kind: "sync-cores" }));
      }
      throw error;
    }
    site.state = to;
    if (phases.length === 0) return false;
    this.#ledger.pokes++;
    return true;
  }

  /** Waits until all runs in progress have ended. */
  *waitForReaders(): Operation<void> {
    yield* this.#pause({ kind: "wait-readers" });
  }

  *#pause(step: Exclude<Step, { kind: "write" | "lock" | "unlock" }>): Operation<void> {
    yield step;
    if (step.kind === "sync-cores") this.#ledger.syncs++;
    else this.#ledger.waits++;
  }

  #write(address: bigint, bytes: Uint8Array): void {
    this.#memory.write(address, bytes);
    this.#ledger.writes++;
    this.#ledger.bytes += bytes.length;
  }

  #entry(address: bigint): Entry {
    const site = this.#sites.get(address);
    if (site === undefined) throw new BpfError("argument", `no patch site at 0x${address.toString(16)}`);
    return site;
  }
}

function expectBytes({ kind, owner, address, state }: LiveSite, found: Uint8Array, expected: Uint8Array): void {
  if (found.length === expected.length && found.every((byte, i) => byte === expected[i])) return;
  throw new BpfError(
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
