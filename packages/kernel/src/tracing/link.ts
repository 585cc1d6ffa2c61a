// A program that is attached to a function, as its user holds it.
import type { BpfError, LinkKind } from "@bpfkit/core";
import { drain, type Operation, type Step } from "../operation.ts";
import type { Resident } from "../resident.ts";

/** A program at a function. */
export interface AttachedLink {
  readonly program: Resident;
  readonly kind: LinkKind;
  readonly cookie: bigint;
}

/** What a link needs of who made it. */
export interface LinkSite {
  detaching(): Operation<void>;
  blocks(step: Step): BpfError | undefined;
}

/** A program that is attached; made by `Kernel.attach`. */
export class TracingLink {
  /** Names of the program and of what it is attached to. */
  readonly program: string;
  readonly target: string;
  readonly kind: LinkKind;
  readonly cookie: bigint;
  readonly #site: LinkSite;
  #attached = true;

  /** For {@link Kernel}. */
  constructor(site: LinkSite, link: AttachedLink, target: string) {
    this.#site = site;
    this.program = link.program.name;
    this.target = target;
    this.kind = link.kind;
    this.cookie = link.cookie;
  }

  get isAttached(): boolean {
    return this.#attached;
  }

  /**
   * Takes the program away from the function; does nothing the second time. Calls that are in the function meanwhile do not run it when they return;
   * other programs they do run.
   *
   * @throws {BpfError} `argument` (EBUSY) where runs in progress would have to move on first: use {@link detaching} under a schedule then. The program
   * stays attached
   */
  detach(): void {
    drain(this.detaching(), (step) => this.#site.blocks(step));
  }

  /** {@link detach} step by step. Where a step fails, everything is as before. */
  *detaching(): Operation<void> {
    if (!this.#attached) return;
    yield* this.#site.detaching();
    this.#attached = false;
  }

  [Symbol.dispose](): void {
    this.detach();
  }
}
