// Attaching programs to functions and taking them away: who may, in which order it happens, and what is left when a step fails.
import {
  type ArgPlaces,
  BpfError,
  type FuncModel,
  type HostFunction,
  type LinkKind,
  type Memory,
  type MultiStrategyName,
  parseFuncModel,
  type Symbol as SymbolRef,
  type TextEngine,
} from "@bpfkit/core";
import type { Kernel } from "../kernel.ts";
import { CookieTables } from "../multi/cookies.ts";
import { MultiTracingLink } from "../multi/link.ts";
import { FunctionTrampolines } from "../multi/trampolines.ts";
import type { Operation, Step } from "../operation.ts";
import type { Rcu, Reader } from "../rcu.ts";
import type { Resident } from "../resident.ts";
import type { Ledger } from "../text/ledger.ts";
import type { TextSites } from "../text/sites.ts";
import { EnteredPrograms } from "./entered.ts";
import { type FunctionBody, type FunctionOptions, type FunctionSite, TracedFunction } from "./function.ts";
import { type AttachedLink, TracingLink } from "./link.ts";
import { type AttachTarget, type Shape, type Target, Targets } from "./target.ts";

/** Options of `Kernel.attach`. */
export interface AttachOptions {
  /** When the program runs; what it was loaded for, unless told. */
  readonly kind?: LinkKind;
  /** What `bpf_get_attach_cookie` gives the program, 64 bits; 0 unless told. */
  readonly cookie?: bigint;
}

/** Options of `Kernel.attachMulti`. */
export interface MultiAttachOptions {
  /** When the program runs; what it was loaded for, unless told. `fmod_ret` is for single functions only. */
  readonly kind?: LinkKind;
  /** What `bpf_get_attach_cookie` gives the program, one per function in their order, 64 bits each; 0 unless told. */
  readonly cookies?: readonly bigint[];
}

/** What tracing needs of its kernel. */
export interface TracerSite {
  readonly kernel: Kernel;
  readonly memory: Memory;
  readonly text: TextEngine;
  readonly sites: TextSites;
  readonly rcu: Rcu;
  readonly cpus: number;
  readonly writeTogether: number;
  readonly design: MultiStrategyName;
  readonly ledger: Ledger;
  readonly functions: FunctionSite;
  /** The run that a CPU is taken by. */
  readonly runOn: (cpu: number) => Reader | undefined;
}

/** Kinds by the attach types of programs. */
const KINDS: Readonly<Record<string, LinkKind>> = {
  trace_fentry: "fentry",
  trace_fexit: "fexit",
  modify_return: "fmod_ret",
  trace_fsession: "fsession",
};

/** The trampolines of a kernel. */
export class Tracer {
  readonly entered: EnteredPrograms;
  readonly targets: Targets;
  readonly trampolines: FunctionTrampolines;
  readonly #site: TracerSite;
  readonly #shapes = new Map<string | FuncModel, Shape>();

  constructor(site: TracerSite) {
    const { text, sites, rcu, memory } = site;
    this.#site = site;
    this.entered = new EnteredPrograms(memory, rcu, site.cpus);
    const tables = new CookieTables(memory, site.kernel.engine);
    const images = { text, sites, rcu, entered: this.entered, tables, host: { memory } };
    const { writeTogether, design, ledger } = site;
    const { engine } = site.kernel;
    this.trampolines = new FunctionTrampolines({ design, engine, text, sites, images, tables, ledger, writeTogether });
    this.targets = new Targets(text, sites, this.trampolines.functions);
  }

  /** @throws {BpfError} as `Kernel.defineFunction` */
  define(name: string, shape: string | FuncModel, body: FunctionBody, options: FunctionOptions): TracedFunction {
    const { text, memory, rcu, functions } = this.#site;
    const found = this.#shapeOf(shape);
    const address = (symbol: SymbolRef): bigint => {
      throw new BpfError("unknown-symbol", `${symbol.kind} of function ${name}`);
    };
    const run = this.#bodyOf(body, found.places, options.sleeps === true);
    const code = text.place(text.emitFunction(), name, { memory, address, function: () => run });
    const traced = new TracedFunction(functions, name, found.model, options, found.places, code);
    if (options.sleeps === true) rcu.sleepingAt.add(code.hostAddress({ kind: "body" })!);
    this.targets.add(traced, found);
    return traced;
  }

  /** There is one for each function, so it keeps little. */
  #bodyOf(body: FunctionBody, { slots }: ArgPlaces, sleeps: boolean): HostFunction {
    return (call) => {
      const { cpu } = call;
      const { kernel, rcu, runOn } = this.#site;
      if (sleeps) rcu.woke(runOn(cpu)!);
      return body({ words: slots.map((slot) => call.word!(slot)), cpu }, kernel);
    };
  }

  /** Functions of one shape share it. */
  #shapeOf(shape: string | FuncModel): Shape {
    let found = this.#shapes.get(shape);
    if (found === undefined) {
      const model = typeof shape === "string" ? parseFuncModel(shape) : shape;
      found = { model, places: this.#site.text.classifyArgs(model) };
      this.#shapes.set(shape, found);
    }
    return found;
  }

  /** @throws {BpfError} as `Kernel.attach` */
  *attaching(program: Resident, to: AttachTarget, options: AttachOptions): Operation<TracingLink> {
    const kind = kindOf(program, options.kind);
    const { trampolines } = this;
    const target = this.#targetOf(to);
    const shape = this.targets.shapeOf(to);
    const link: AttachedLink = { program, kind, cookie: BigInt.asUintN(64, options.cookie ?? 0n) };
    const request = {
      kind,
      functions: [target.id],
      cookies: [link.cookie],
      typed: true,
      sleepable: program.verified.program.sleepable === true,
    };
    const { id } = yield* trampolines.attaching(program, request, () => {
      const attached = trampolines.linksOf(target.id);
      checkAttach(
        target,
        link,
        attached.map((other) => other.program),
      );
      if (shape !== undefined) trampolines.functions.take(target, shape, attached.length > 0);
    });
    const site = {
      detaching: () => trampolines.detaching(id),
      blocks: (step: Step) => this.#site.rcu.blocks(step),
    };
    return new TracingLink(site, link, target.name);
  }

  /** @throws {BpfError} as `Kernel.attachMulti` */
  *attachingMulti(
    program: Resident,
    functions: readonly AttachTarget[] | string,
    { kind: asked, cookies }: MultiAttachOptions,
  ): Operation<MultiTracingLink> {
    const kind = kindOf(program, asked);
    const { trampolines } = this;
    const sleepable = program.verified.program.sleepable === true;
    const which = typeof functions === "string" ? { pattern: functions } : { functions: this.#idsOf(functions) };
    const given = cookies && { cookies: cookies.map((cookie) => BigInt.asUintN(64, cookie)) };
    const link = yield* trampolines.attaching(program, { kind, sleepable, ...which, ...given }, () => {
      if (typeof functions !== "string") this.#take(functions);
    });
    const site = {
      detaching: (id: number) => trampolines.detaching(id),
      blocks: (step: Step) => this.#site.rcu.blocks(step),
      target: (id: number) => trampolines.functions.target(id),
      images: (id: number) => trampolines.design.imagesOf(id),
    };
    return new MultiTracingLink(site, link, program.name);
  }

  #targetOf(to: AttachTarget): Target {
    return this.targets.of(to, ({ memory }) => memory === this.#site.memory);
  }

  /** Ids of functions and subprograms, -1 for a function of another kernel. @throws {BpfError} with the place of what is no target */
  #idsOf(functions: readonly AttachTarget[]): Int32Array {
    const ids = new Int32Array(functions.length);
    for (const [i, to] of functions.entries()) {
      if (typeof to === "string")
        throw new BpfError("argument", `functions and a pattern '${to}' (EINVAL)`, {
          index: i,
          expected: "one of them",
        });
      ids[i] =
        to instanceof TracedFunction
          ? this.trampolines.functions.idOf(to)
          : placed(i, functions.length, () => this.#targetOf(to).id);
    }
    return ids;
  }

  /** Subprograms get the shapes that are told of them. @throws {BpfError} with the place of one that others know to be another */
  #take(functions: readonly AttachTarget[]): void {
    for (const [i, to] of functions.entries()) {
      if (to instanceof TracedFunction) continue;
      placed(i, functions.length, () => {
        const [target, shape] = [this.#targetOf(to), this.targets.shapeOf(to)!];
        this.trampolines.functions.take(target, shape, this.trampolines.linksOf(target.id).length > 0);
      });
    }
  }
}

/** What is thrown says which function of a request it is about. */
function placed<T>(index: number, count: number, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    throw new BpfError(error.code, `function ${index} of ${count}: ${error.message}`, { index, cause: error });
  }
}

/** @throws {BpfError} `argument` (EINVAL) for a program that is not for this */
function kindOf({ name, verified: { program } }: Resident, asked: LinkKind | undefined): LinkKind {
  const own = program.attachType === undefined ? undefined : KINDS[program.attachType];
  const what = `program '${name}' of type ${program.type}${program.attachType === undefined ? "" : `, ${program.attachType},`}`;
  if (program.type !== "tracing" || (program.attachType !== undefined && own === undefined)) {
    throw new BpfError("argument", `${what} at a function (EINVAL)`, {
      expected: `type tracing, attach type ${Object.keys(KINDS).join(", ")}`,
    });
  }
  const kind = asked ?? own;
  if (kind === undefined || (own !== undefined && kind !== own)) {
    throw new BpfError("argument", `${what} as ${kind ?? "nothing in particular"} (EINVAL)`, {
      expected: own ?? `a kind: ${Object.values(KINDS).join(", ")}`,
    });
  }
  return kind;
}

/** The kernel's rules for what may be attached where, besides those that the trampoline itself has. @throws {BpfError} `argument`, with the kernel's errno */
function checkAttach(target: Target, { program, kind }: AttachedLink, attached: readonly Resident[]): void {
  const refuse = (why: string, errno: "EBUSY" | "EINVAL", expected: string): never => {
    throw new BpfError("argument", `${kind} '${program.name}' at ${target.name} (${errno}): ${why}`, { expected });
  };
  if (target.extension !== undefined)
    refuse(`'${target.extension}' replaces it`, "EBUSY", "a function that is not replaced");
  if (attached.includes(program)) refuse("it is attached there already", "EBUSY", "another program");
  const isSleepable = program.verified.program.sleepable === true;
  if (isSleepable && target.function?.options.sleeps !== true)
    refuse("the program may sleep, the function may not", "EINVAL", "a function defined with `sleeps`");
  if (kind === "fmod_ret" && target.function?.options.errorInjection !== true)
    refuse("its result may not be replaced", "EINVAL", "a function defined with `errorInjection`");
  if (target.program?.type === "tracing")
    refuse("programs that trace are not traced", "EINVAL", "a function, or a program of another type");
}
