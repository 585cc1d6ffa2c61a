// A program that is attached to many functions, as its user holds it.
import type { BpfError, LinkKind, MultiLink } from "@bpfkit/core";
import { drain, type Operation, type Step } from "../operation.ts";
import type { TracedFunction } from "../tracing/function.ts";
import type { Target } from "../tracing/target.ts";

/** One of the functions of a {@link MultiTracingLink}. */
export interface MultiLinkFunction {
  readonly name: string;
  /** Undefined for a subprogram. */
  readonly function: TracedFunction | undefined;
  /** What the program gets there as its cookie. */
  readonly cookie: bigint;
}

/** What a link needs of who made it. */
export interface MultiLinkSite {
  detaching(link: number): Operation<void>;
  blocks(step: Step): BpfError | undefined;
  target(id: number): Target;
  /** How many trampolines run its program. */
  images(link: number): number;
}

/** A program that is attached to functions; made by `Kernel.attachMulti`. */
export class MultiTracingLink {
  /** Name of the program. */
  readonly program: string;
  readonly kind: LinkKind;
  readonly #site: MultiLinkSite;
  readonly #link: MultiLink;
  #attached = true;

  /** For {@link Kernel}. */
  constructor(site: MultiLinkSite, link: MultiLink, program: string) {
    this.#site = site;
    this.#link = link;
    this.program = program;
    this.kind = link.kind;
  }

  get isAttached(): boolean {
    return this.#attached;
  }

  /** Number of its functions. */
  get size(): number {
    return this.#link.functions.length;
  }

  /** How many trampolines run its program; several functions share one. O(classes of functions) */
  get images(): number {
    return this.#attached ? this.#site.images(this.#link.id) : 0;
  }

  /** Its functions while it is attached, those of the host in the order in which they were defined. */
  *functions(): Generator<MultiLinkFunction> {
    if (!this.#attached) return;
    const { functions, cookies } = this.#link;
    for (const [i, id] of functions.entries()) {
      const { name, function: traced } = this.#site.target(id);
      yield { name, function: traced, cookie: typeof cookies === "bigint" ? cookies : cookies[i]! };
    }
  }

  /**
   * Takes the program away from all of its functions, or from none; does nothing the second time. Calls that are in one of them meanwhile do not run it when
   * they return; other programs they do run.
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
    yield* this.#site.detaching(this.#link.id);
    this.#attached = false;
  }

  [Symbol.dispose](): void {
    this.detach();
  }
}
