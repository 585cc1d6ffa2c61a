// Attaching programs to functions and taking them away: who may, in which order it happens, and what is left when a step fails.
import { BpfError, type FuncModel, type LinkKind, type Memory, parseFuncModel, type TextEngine } from "@bpfkit/core";
import type { Kernel } from "../kernel.ts";
import { CookieTables } from "../multi/cookies.ts";
import { MultiTracingLink } from "../multi/link.ts";
import { FunctionTrampolines } from "../multi/trampolines.ts";
import { type Operation, type Step, surely } from "../operation.ts";
import type { Rcu, Reader } from "../rcu.ts";
import type { Resident } from "../resident.ts";
import type { TextSites } from "../text/sites.ts";
import { EnteredPrograms } from "./entered.ts";
import { asksForIp } from "./func-ip.ts";
import { type FunctionBody, type FunctionOptions, type FunctionSite, TracedFunction } from "./function.ts";
import { type ImageSite, TrampolineImage } from "./image.ts";
import { type AttachedLink, TracingLink } from "./link.ts";
import { type AttachTarget, locked, type Target, Targets } from "./target.ts";

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
  /** Programs around functions of the host. Subprograms of programs have trampolines of their own. */
  readonly trampolines: FunctionTrampolines;
  readonly #site: TracerSite;
  readonly #images: ImageSite;

  constructor(site: TracerSite) {
    const { text, sites, rcu, memory } = site;
    this.#site = site;
    this.entered = new EnteredPrograms(memory, rcu, site.cpus);
    this.targets = new Targets(text, sites);
    const tables = new CookieTables(memory, site.kernel.engine);
    this.#images = { text, sites, rcu, entered: this.entered, tables, host: { memory } };
    const { writeTogether } = site;
    this.trampolines = new FunctionTrampolines({ text, sites, images: this.#images, tables, writeTogether });
  }

  /** @throws {BpfError} as `Kernel.defineFunction` */
  define(name: string, shape: string | FuncModel, body: FunctionBody, options: FunctionOptions): TracedFunction {
    const { text, memory, kernel, rcu, functions, runOn } = this.#site;
    const model = typeof shape === "string" ? parseFuncModel(shape) : shape;
    const places = text.classifyArgs(model);
    const code = text.place(text.emitFunction(), name, {
      memory,
      address: (symbol) => {
        throw new BpfError("unknown-symbol", `${symbol.kind} of function ${name}`);
      },
      function: () => (call) => {
        const { cpu } = call;
        if (options.sleeps === true) rcu.woke(runOn(cpu)!);
        return body({ words: places.slots.map((slot) => call.word!(slot)), cpu }, kernel);
      },
    });
    const traced = new TracedFunction(functions, name, model, options, places, code);
    if (options.sleeps === true) rcu.sleepingAt.add(code.hostAddress({ kind: "body" })!);
    this.trampolines.functions.add(this.targets.add(traced));
    return traced;
  }

  /** @throws {BpfError} as `Kernel.attach` */
  *attaching(program: Resident, to: AttachTarget, options: AttachOptions): Operation<TracingLink> {
    const kind = kindOf(program, options.kind);
    const target = this.targets.of(to, ({ memory }) => memory === this.#site.memory);
    const link: AttachedLink = { program, kind, cookie: BigInt.asUintN(64, options.cookie ?? 0n) };
    const shape = this.targets.shapeOf(to);
    if (shape === undefined) return yield* this.#attachingToFunction(target, link);
    program.hold();
    target.program?.hold();
    try {
      yield* locked(target, () => {
        checkAttach(
          target,
          link,
          target.links.map((other) => other.program),
        );
        target.take(shape);
        return this.#update(target, [...target.links, link]);
      });
    } catch (error) {
      program.drop();
      target.program?.drop();
      throw error;
    }
    const site = {
      detaching: (gone: AttachedLink) => this.#detaching(target, gone),
      blocks: (step: Step) => this.#site.rcu.blocks(step),
    };
    return new TracingLink(site, link, target.name);
  }

  *#attachingToFunction(target: Target, link: AttachedLink): Operation<TracingLink> {
    const { trampolines } = this;
    const { program, kind, cookie } = link;
    const id = trampolines.functions.idOf(target.function!);
    checkAttach(target, link, trampolines.programsOf(id));
    const sleepable = program.verified.program.sleepable === true;
    const { id: linkId } = yield* trampolines.attaching(program, {
      kind,
      functions: [id],
      cookies: [cookie],
      typed: true,
      sleepable,
    });
    const site = {
      detaching: () => trampolines.detaching(linkId),
      blocks: (step: Step) => this.#site.rcu.blocks(step),
    };
    return new TracingLink(site, link, target.name);
  }

  /** @throws {BpfError} as `Kernel.attachMulti` */
  *attachingMulti(
    program: Resident,
    functions: readonly TracedFunction[] | string,
    { kind: asked, cookies }: MultiAttachOptions,
  ): Operation<MultiTracingLink> {
    const kind = kindOf(program, asked);
    const { trampolines } = this;
    const sleepable = program.verified.program.sleepable === true;
    const which =
      typeof functions === "string"
        ? { pattern: functions }
        : { functions: functions.map((traced) => trampolines.functions.idOf(traced)) };
    const given = cookies && { cookies: cookies.map((cookie) => BigInt.asUintN(64, cookie)) };
    const link = yield* trampolines.attaching(program, { kind, sleepable, ...which, ...given });
    const site = {
      detaching: (id: number) => trampolines.detaching(id),
      blocks: (step: Step) => this.#site.rcu.blocks(step),
      function: (id: number) => trampolines.functions.target(id).function!,
      images: (id: number) => trampolines.imagesOf(id),
    };
    return new MultiTracingLink(site, link, program.name);
  }

  *#detaching(target: Target, link: AttachedLink): Operation<void> {
    const wasThere = yield* locked(target, () => this.#remove(target, link));
    if (!wasThere) return;
    link.program.drop();
    target.program?.drop();
  }

  *#remove(target: Target, link: AttachedLink): Operation<boolean> {
    if (!target.links.includes(link)) return false;
    yield* this.#update(
      target,
      target.links.filter((other) => other !== link),
    );
    return true;
  }

  /**
   * Leads the target's entry to a trampoline of other links. Calls that are in the old one finish there, without the programs that are no longer linked.
   * Where a step fails, the target is as before.
   */
  *#update(target: Target, links: readonly AttachedLink[]): Operation<void> {
    const { sites } = this.#site;
    const old = target.image;
    const image = links.length === 0 ? undefined : this.#make(target, links);
    const before = target.site.state;
    let led = false;
    try {
      yield* sites.poke(target.site, image?.entry ?? { kind: "nop" });
      led = true;
      if (old !== undefined) yield* old.silence((link) => !links.includes(link as AttachedLink));
    } catch (error) {
      if (led) yield* surely(sites.poke(target.site, before));
      image?.retire(); // a CPU may have come by
      throw error;
    }
    target.links = links;
    target.image = image;
    old?.retire();
  }

  #make(target: Target, links: readonly AttachedLink[]): TrampolineImage {
    const { text } = this.#site;
    const spec = {
      model: target.model,
      links: links.map(({ kind, cookie }) => ({ kind, cookie })),
      original: "known",
      funcIp: links.some(({ program }) => asksForIp(program.verified)),
      tailCalls: target.tailCalls,
    } as const;
    const image = text.emitTrampoline(spec);
    return new TrampolineImage(this.#images, target, image, text.planTrampoline(spec), links);
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
