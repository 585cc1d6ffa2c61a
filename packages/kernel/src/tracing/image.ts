// A trampoline in memory, from when it is placed to when the last CPU has left it.
import {
  BpfError,
  type Host,
  type Image,
  invariant,
  type LinkKind,
  type PlacedCode,
  type SiteState,
  type Symbol as SymbolRef,
  type TextEngine,
  type TrampolinePlan,
} from "@bpfkit/core";
import type { CookieTable, CookieTables } from "../multi/cookies.ts";
import type { Operation } from "../operation.ts";
import type { Rcu } from "../rcu.ts";
import type { Resident } from "../resident.ts";
import type { LiveSite, TextSites } from "../text/sites.ts";
import { CallsInside } from "./calls-inside.ts";
import type { Calling, EnteredPrograms } from "./entered.ts";

/** What images share. */
export interface ImageSite {
  readonly text: TextEngine;
  readonly sites: TextSites;
  readonly rcu: Rcu;
  readonly entered: EnteredPrograms;
  readonly tables: CookieTables;
  /** What trampolines refer to besides code: where things lie in memory. */
  readonly host: Pick<Host, "memory">;
}

/** A link as an image knows it. */
export interface ImageLink {
  readonly program: Resident;
  readonly kind: LinkKind;
  /** Where the cookies of the functions are that share the image, if they differ. */
  readonly cookies?: CookieTable | undefined;
}

/** What an image is around. */
export interface ImageTarget {
  readonly name: string;
  /** The function's address, and where it goes on behind its entry site; undefined where the image finds that on the stack. */
  readonly address: bigint | undefined;
  readonly original: bigint | undefined;
}

/** An image that is live, or was and has not been left by all CPUs. It holds its programs. */
export class TrampolineImage implements Calling {
  readonly image: Image;
  readonly plan: TrampolinePlan;
  readonly links: readonly ImageLink[];
  readonly #site: ImageSite;
  readonly #code: PlacedCode;
  readonly #name: string;
  /** Calls of the original. */
  readonly #inside = new CallsInside();
  #isFreed = false;

  /** @throws {BpfError} `limit` where memory is full; nothing is left then */
  constructor(site: ImageSite, target: ImageTarget, image: Image, plan: TrampolinePlan, links: readonly ImageLink[]) {
    this.#site = site;
    this.image = image;
    this.plan = plan;
    this.links = links;
    this.#name = `trampoline of ${target.name}`;
    const { memory } = site.host;
    const byObject = new Map(links.map((link) => [link.program.object, link]));
    const enter = (object: bigint, cpu: number, context: bigint): bigint => {
      const link = byObject.get(object);
      invariant(link !== undefined, `a program at 0x${object.toString(16)}`);
      return site.entered.enter(link.program, link.kind, cpu, context);
    };
    const address = (symbol: SymbolRef): bigint => {
      if (symbol.kind === "program") return links[symbol.index]!.program.executable.subprogAddress(0);
      if (symbol.kind === "program-object") return links[symbol.index]!.program.object;
      if (symbol.kind === "cookies") return links[symbol.index]!.cookies!.address;
      if (symbol.kind === "cookie-search") return site.tables.search;
      const found =
        symbol.kind !== "trampoline"
          ? undefined
          : symbol.part === "function"
            ? target.address
            : symbol.part === "original"
              ? target.original
              : symbol.part === "image"
                ? 1n // the functions behind `enter` and `exit` are the image's own, so nothing has to stand for it
                : undefined;
      invariant(found !== undefined, `${symbol.kind} of ${this.#name}`);
      return found;
    };
    this.#code = site.text.place(image, this.#name, {
      memory,
      address,
      function: (symbol) => {
        invariant(symbol.kind === "trampoline", `${symbol.kind} in a trampoline`);
        switch (symbol.part) {
          case "program-enter":
            return ({ args: [object, context], cpu }) => enter(object, cpu, context);
          case "program-exit":
            return ({ cpu }) => {
              site.entered.exit(cpu);
              return 0n;
            };
          case "enter":
            return ({ cpu }) => {
              this.#inside.enter();
              site.entered.call(cpu, this);
              return 0n;
            };
          case "exit":
            return ({ cpu }) => {
              site.entered.returned(cpu);
              return 0n;
            };
          default:
            return invariant(false, `a function ${symbol.part}`) as never;
        }
      },
    });
    for (const { program, cookies } of links) {
      program.hold();
      cookies?.hold();
    }
    site.sites.add(this.#name, image, this.address);
  }

  get address(): bigint {
    return this.#code.address;
  }

  /** What leads an entry here. */
  get entry(): SiteState {
    return { kind: this.plan.entered, target: this.address };
  }

  /** Has calls that are in it skip the programs of some links from now on. */
  *silence(isGone: (link: ImageLink) => boolean): Operation<void> {
    yield* this.#site.sites.pokeAll(this.silencing(isGone));
  }

  /** What {@link silence} rewrites. */
  silencing(isGone: (link: ImageLink) => boolean): (readonly [LiveSite, SiteState])[] {
    const { plan, image } = this;
    const runs = [...plan.fentry, ...plan.fmodRet, ...plan.fexit];
    const blocks = image.patchSites.filter(({ kind }) => kind === "block");
    invariant(blocks.length === runs.length, "a block for every run of a program");
    const gone = blocks.filter((_, i) => isGone(this.links[runs[i]!.link]!));
    return gone.map(({ offset, end }) => {
      const site = this.#site.sites.at(this.address + BigInt(offset));
      invariant(site !== undefined, `a block at ${offset} of ${this.#name}`);
      return [site, { kind: "jump", target: this.address + BigInt(end!) }] as const;
    });
  }

  /**
   * Nothing leads to it any more: its memory goes when the last CPU has left it (Linux' `bpf_tramp_image_put`). One that calls the original: whoever is on
   * the way to the call or from it (tasks), then those who are in the original (counted), then those who are behind it (tasks). Another:
   * programs that may sleep, then whoever is between its instructions (tasks).
   */
  retire(): void {
    const { rcu } = this.#site;
    const free = (): void => rcu.defer(() => this.#free(), ["tasks"]);
    if (!this.plan.callsOriginal) {
      rcu.defer(free, ["sleepable"]);
      return;
    }
    rcu.defer(() => this.#inside.whenLeft(free), ["tasks"]);
  }

  /** It was never live. */
  discard(): void {
    this.#free();
  }

  /** A call of the original is over. */
  left(): void {
    this.#inside.left();
  }

  #free(): void {
    if (this.#isFreed) throw new BpfError("internal", `${this.#name} is given back twice`);
    this.#isFreed = true;
    this.#site.sites.remove(this.image, this.address);
    this.#code.release();
    for (const { program, cookies } of this.links) {
      program.drop();
      cookies?.drop();
    }
  }
}
