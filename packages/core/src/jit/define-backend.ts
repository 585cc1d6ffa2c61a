// Makes a backend out of its parts: dispatch from packed words to lowerings, labels, relaxation, line tables and the image.
import { type InsnFacts, NO_FACTS } from "../analysis/facts.ts";
import type { Structure, SubprogInfo } from "../analysis/structure.ts";
import { checkTailCalls, type TailCallSite, tailCallsOf } from "../analysis/tail-calls.ts";
import { BpfError, invariant } from "../errors.ts";
import { KINDS, kindOf, OPS, opAt } from "../isa/decode.ts";
import type { Insns } from "../isa/insns.ts";
import { INSNS, type InsnKind } from "../isa/opcodes.ts";
import type { Symbol as SymbolRef } from "../machine/engine.ts";
import type { Memory } from "../machine/memory.ts";
import { blindConstants } from "../passes/blind-constants.ts";
import type { Program, VerifiedProgram } from "../program.ts";
import { type ArgPlaces, type ArgRules, placeArgs, samePlaces } from "../trampoline/args.ts";
import type { FuncModel } from "../trampoline/func-model.ts";
import { MAX_TRAMPOLINE, planTrampoline, type TrampolinePlan, type TrampolineSpec } from "../trampoline/plan.ts";
import type {
  Abi,
  Backend,
  Capabilities,
  CompileOptions,
  Cpu,
  CpuOptions,
  Line,
  Settings,
  TrampolineTraits,
} from "./backend.ts";
import type { CodeBuffer, Label } from "./code-buffer.ts";
import { type Frame, frameOf } from "./frame.ts";
import type { FrameSlot, Image, ImageSubprog, PatchSite, PokeDescriptor } from "./image.ts";
import type { PokePlan, SiteState, TextSite } from "./poke.ts";
import type { PokeStages, SiteColumns } from "./poke-batch.ts";
import { type BranchForm, type BranchWriter, branchForms, emitCode, positionOf, type Relaxed, relax } from "./relax.ts";
import {
  type CounterPlace,
  TAIL_CALL_SCHEMES,
  type TailCallScheme,
  type TailCallSchemeName,
} from "./tail-call-schemes.ts";

/** Kinds no backend lowers yet; `compile` refuses them by name. */
export const UNSUPPORTED_KINDS = ["addrSpaceCast", "gotox", "callx"] as const;

/** The kinds a backend lowers. */
export type LoweredKind = Exclude<InsnKind, (typeof UNSUPPORTED_KINDS)[number]>;

/** Appends the code of the instruction at slot `at`. */
export type LowerInsn<A> = (a: A, insns: Insns, at: number, context: LowerContext<A>) => void;

/** One function per kind of instruction; leaving one out is a compile error. */
export type Lowering<A> = { readonly [K in LoweredKind]: LowerInsn<A> };

/** Appends code that lies behind a subprogram's straight line and goes on at `back`. */
export type LowerGuard<A> = (a: A, insns: Insns, at: number, context: LowerContext<A>, back: Label) => void;

/** What a lowering may know of its surroundings. One object serves a whole compilation: read it, do not keep it. */
export interface LowerContext<A> {
  readonly program: Program;
  readonly structure: Structure;
  /** What is known of each instruction, by slot; a column without a number there knows nothing. */
  readonly facts: InsnFacts;
  /** Settings as asked for, with the backend's defaults. */
  readonly layout: Settings;
  readonly features: Settings;
  /** How tail calls are counted. */
  readonly scheme: TailCallScheme;
  /** Bytes behind a program's entry at which tail calls enter it. */
  readonly landing: number;
  /** The subprogram that holds the instruction: index, shape, frame. */
  readonly subprog: number;
  readonly info: SubprogInfo;
  readonly frame: Frame;
  /** Where its frame is left; whoever emits that code binds it. */
  readonly epilogue: Label;
  /** The first instruction of the BPF instruction at a slot. */
  label(slot: number): Label;
  /** The entry of a subprogram. */
  entry(subprog: number): Label;
  /** The tail call at a slot is to be direct: a `bypass` and a `target` that others rewrite. */
  isDirect(slot: number): boolean;
  /**
   * Makes this instruction's code, of one slot, and the next one's a unit with one boundary: between them registers do not hold what BPF
   * says. The next instruction must not be jumped to.
   */
  shareNext(): void;
  /** Places the code of `emit` behind the subprogram: `entry` is bound where it begins, `back` is where it goes on. */
  outOfLine(emit: LowerGuard<A>, at: number, entry: Label, back: Label): void;
}

/** What a backend's author writes. `A` is the assembler: a code buffer with the architecture's words. */
export interface BackendParts<R extends string, A extends CodeBuffer> {
  readonly arch: string;
  readonly abi: Abi<R>;
  readonly capabilities: Capabilities;
  readonly assembler: () => A;
  readonly lowering: Lowering<A>;
  /** Everything from a subprogram's entry to its first instruction. The main program's has to `land()`. */
  readonly prologue: (a: A, context: LowerContext<A>) => void;
  /** The frame of a subprogram, where it is not what the subprogram itself needs. */
  readonly frame?: (frame: Frame, info: SubprogInfo, layout: Settings) => Frame;
  /** The parts of a frame relative to the frame register, for listings. */
  readonly frameSlots: (context: LowerContext<A>) => readonly FrameSlot[];
  /** Bytes behind a program's entry at which its prologue lands tail calls. */
  readonly landing: (layout: Settings, features: Settings) => number;
  /** Where the body of a subprogram, from which a tail call can be reached, finds the count. */
  readonly counterPlace: (context: LowerContext<A>) => CounterPlace;
  /** Branch forms; lowerings name them by index. */
  readonly branches: readonly BranchForm[];
  readonly writeBranch: BranchWriter;
  /** Writes the field of a relocation at `offset`, given where the code lies and what the symbol stands for. @throws {BpfError} `out-of-range` */
  readonly relocate: (code: Uint8Array, offset: number, kind: string, address: bigint, value: bigint) => void;
  readonly disassemble: (code: Uint8Array, address?: bigint) => Iterable<Line>;
  readonly poke: (site: TextSite, from: SiteState, to: SiteState) => PokePlan;
  readonly pokeMany: (sites: SiteColumns) => PokeStages | undefined;
  readonly createCpu: (memory: Memory, options?: CpuOptions) => Cpu<R>;
  readonly trampoline: TrampolineParts<A>;
}

/** What the code of a trampoline is made from. */
export interface TrampolineContext {
  readonly plan: TrampolinePlan;
  readonly layout: Settings;
  readonly features: Settings;
  readonly scheme: TailCallScheme;
}

/** A backend's trampolines. */
export interface TrampolineParts<A> {
  readonly rules: ArgRules;
  readonly traits: TrampolineTraits;
  /** All of the code. Blocks of programs begin with `block()`. */
  readonly emit: (a: A, context: TrampolineContext) => void;
  /** The parts of its frame relative to the frame register, for listings. */
  readonly frame: (context: TrampolineContext) => readonly FrameSlot[];
  /** All of the code of a function of the host: its entry site, its frame, the call of `body`. */
  readonly emitFunction: (a: A, context: FunctionContext) => void;
}

/** What the code of a function of the host is made from. */
export type FunctionContext = Pick<TrampolineContext, "layout" | "features">;

/** Opcode of the two-slot load, and its source that stands for a kernel variable: nothing here has an address for one. */
const LDIMM64 = 0x18;
const BTF_ID = 3;

/** Index in OPS → index in KINDS. */
const KIND_OF_OP: Uint8Array = Uint8Array.from(OPS, (_, op) => KINDS.indexOf(kindOf(op)));

/** Opcode byte → index in KINDS, where the byte decides; MIXED where other fields do. */
const MIXED = 255;
const KIND_OF_CODE: Uint8Array = kindsByCode();

/** A backend from its parts. Compiling costs O(slots + branches) and what {@link relax} adds. */
export function defineBackend<R extends string, A extends CodeBuffer>(parts: BackendParts<R, A>): Backend<R> {
  const {
    arch,
    abi,
    capabilities,
    prologue,
    frameSlots,
    writeBranch,
    relocate,
    disassemble,
    poke,
    pokeMany,
    createCpu,
    trampoline,
  } = parts;
  const forms = branchForms(parts.branches);
  const lower = KINDS.map((kind) => (parts.lowering as Partial<Record<InsnKind, LowerInsn<A>>>)[kind]);
  const a = parts.assembler();

  function compile(verified: VerifiedProgram, options: CompileOptions = {}): Image {
    const { program, structure, facts = NO_FACTS } = verified;
    const { insns } = program;
    const layout = settingsOf("layout", capabilities.layout, options.layout);
    const features = settingsOf("features", capabilities.features, options.features);
    const scheme = schemeOf(capabilities, layout);
    const tailCalls = tailCallsOf(verified);
    if (tailCalls.length > 0) checkScheme(verified, scheme, tailCalls);
    const kinds = kindsOf(insns, arch);
    const slots = insns.length;
    const subprogs = structure.subprogs.length;
    a.reset(slots + subprogs);
    const direct = directOf(verified, layout, tailCalls);
    const landing = parts.landing(layout, features);
    const setting = { program, structure, facts, layout, features, scheme, landing, frame: parts.frame };
    const context = new Context<A>(setting, direct);
    const marks: SubprogMarks[] = [];

    for (let subprog = 0; subprog < subprogs; subprog++) {
      const { start, end } = structure.subprogs[subprog]!;
      a.bind(slots + subprog);
      context.enter(subprog, a.label());
      prologue(a, context);
      const body = a.here();
      for (let at = start; at < end; at++) {
        a.ensure(64);
        if (context.sharesNext) {
          context.sharesNext = false;
          a.bindWith(at, at - 1);
        } else a.bind(at);
        lower[kinds[at]!]!(a, insns, at, context);
        if (insns.width(at) === 2) {
          at++;
          a.bindWith(at, at - 1);
        }
      }
      const bodyEnd = a.here();
      context.emitOutOfLine(a);
      const counter = context.info.tailCallReachable ? parts.counterPlace(context) : undefined;
      const counterEnd = a.counterStart.length;
      marks.push({ body, bodyEnd, end: a.here(), frame: frameSlots(context), counter, counterEnd });
    }

    const relaxed = relax(a, forms);
    const code = emitCode(a, relaxed, forms, writeBranch);

    const place = (label: Label): number => positionOf(a, relaxed, label);
    const boundaries = new Uint32Array(slots);
    const ends = new Uint32Array(slots);
    const { labelOffset, labelBranch } = a;
    const { bytesBefore } = relaxed;
    for (let at = 0; at < slots; at++) boundaries[at] = labelOffset[at]! + bytesBefore[labelBranch[at]!]!;
    const imageSubprogs: ImageSubprog[] = [];
    for (const [subprog, { body, bodyEnd, end, frame, counter }] of marks.entries()) {
      const { name, start, end: endSlot } = structure.subprogs[subprog]!;
      let next = place(bodyEnd);
      for (let at = endSlot - 1; at >= start; at--) {
        ends[at] = next;
        if (at === start || insns.code(at - 1) !== LDIMM64) next = boundaries[at]!;
      }
      imageSubprogs.push({ name, start: place(slots + subprog), end: place(end), body: place(body), frame, counter });
    }
    const { relocations, patchSites } = fieldsOf(a, relaxed);
    const counterCode = a.counterEdge.map((edge, i) => ({
      edge,
      start: place(a.counterStart[i]!),
      end: place(a.counterEnd[i]!),
      subprog: marks.findIndex(({ counterEnd }) => i < counterEnd),
    }));
    const landed = a.landing < 0 ? -1 : place(a.landing) - place(slots);
    invariant(landed === landing, `tail calls landing ${landing} bytes behind the entry, not ${landed}`);
    return {
      arch,
      code,
      relocations,
      patchSites,
      pokes: pokesOf(direct, patchSites),
      landing,
      counterCode,
      subprogs: imageSubprogs,
      boundaries,
      ends,
      layout: nameSettings(layout, features),
    };
  }

  function link(image: Image, address: bigint, resolve: (symbol: SymbolRef) => bigint): Uint8Array {
    const code = image.code.slice();
    for (const { offset, kind, symbol } of image.relocations) relocate(code, offset, kind, address, resolve(symbol));
    return code;
  }

  const classifyArgs = (model: FuncModel): ArgPlaces => placeArgs(model, trampoline.rules);

  const planned = (spec: TrampolineSpec): TrampolinePlan =>
    planTrampoline(spec, classifyArgs(spec.model), trampoline.traits.jumps);

  function emitTrampoline(spec: TrampolineSpec, options: CompileOptions = {}): Image {
    const layout = settingsOf("layout", capabilities.layout, options.layout);
    const features = settingsOf("features", capabilities.features, options.features);
    const plan = planned(spec);
    const context: TrampolineContext = { plan, layout, features, scheme: schemeOf(capabilities, layout) };
    const image = imageOf("trampoline", context, trampoline.frame(context), () => trampoline.emit(a, context));
    if (image.code.length > MAX_TRAMPOLINE) {
      throw new BpfError("limit", `a trampoline of ${image.code.length} bytes (E2BIG)`, {
        expected: `at most ${MAX_TRAMPOLINE}`,
      });
    }
    return image;
  }

  function emitFunction(options: CompileOptions = {}): Image {
    const layout = settingsOf("layout", capabilities.layout, options.layout);
    const features = settingsOf("features", capabilities.features, options.features);
    const context: FunctionContext = { layout, features };
    return imageOf("function", context, [], () => trampoline.emitFunction(a, context));
  }

  /** Code that no program is behind. */
  function imageOf(
    name: string,
    { layout, features }: FunctionContext,
    frame: readonly FrameSlot[],
    emit: () => void,
  ): Image {
    a.reset(0);
    a.ensure(64);
    emit();
    const relaxed = relax(a, forms);
    const code = emitCode(a, relaxed, forms, writeBranch);
    return {
      arch,
      code,
      ...fieldsOf(a, relaxed),
      pokes: [],
      landing: 0,
      counterCode: [],
      subprogs: [{ name, start: 0, end: code.length, body: 0, frame, counter: undefined }],
      boundaries: new Uint32Array(0),
      ends: new Uint32Array(0),
      layout: nameSettings(layout, features),
    };
  }

  return {
    arch,
    abi,
    capabilities,
    trampolines: trampoline.traits,
    compile,
    link,
    disassemble,
    poke,
    pokeMany,
    createCpu,
    classifyArgs,
    funcModelEqual: (one, other) => samePlaces(classifyArgs(one), classifyArgs(other)),
    planTrampoline: planned,
    emitTrampoline,
    emitFunction,
  };
}

/** What the buffer knows besides bytes, in its places. */
function fieldsOf(a: CodeBuffer, relaxed: Relaxed): Pick<Image, "relocations" | "patchSites"> {
  const { bytesBefore } = relaxed;
  const place = (label: Label): number => positionOf(a, relaxed, label);
  return {
    relocations: a.relocationOffset.map((offset, i) => ({
      offset: offset + bytesBefore[a.relocationBranch[i]!]!,
      kind: a.relocationKind[i]!,
      symbol: a.relocationSymbol[i]!,
    })),
    patchSites: a.sites.map((site, i): PatchSite => {
      const [far, end] = [a.siteFar[i], a.siteEnd[i]];
      return {
        ...site,
        offset: place(a.siteStart[i]!),
        ...(far === undefined ? {} : { far: { code: place(far.code), slot: place(far.slot) } }),
        ...(end === undefined ? {} : { end: place(end) }),
      };
    }),
  };
}

interface SubprogMarks {
  readonly body: Label;
  readonly bodyEnd: Label;
  readonly end: Label;
  readonly frame: readonly FrameSlot[];
  readonly counter: CounterPlace | undefined;
  /** Stretches of counter code in this subprogram and those before it. */
  readonly counterEnd: number;
}

/** The scheme that a layout names. @throws {BpfError} `argument` for one that the backend does not have */
function schemeOf({ tailCallSchemes }: Capabilities, { tailCalls }: Settings): TailCallScheme {
  if (!tailCallSchemes.includes(tailCalls as TailCallSchemeName)) {
    throw new BpfError("argument", `layout setting tailCalls=${tailCalls}`, { expected: tailCallSchemes.join(", ") });
  }
  return TAIL_CALL_SCHEMES[tailCalls as TailCallSchemeName];
}

/** @throws {BpfError} `unsupported` for tail calls that cannot be counted */
function checkScheme(verified: VerifiedProgram, scheme: TailCallScheme, tailCalls: readonly TailCallSite[]): void {
  checkTailCalls(verified);
  const below = scheme.subprogs ? undefined : tailCalls.find(({ subprog }) => subprog > 0);
  if (below === undefined) return;
  const { name } = verified.structure.subprogs[below.subprog]!;
  throw new BpfError("unsupported", `a tail call in subprogram ${name} with tail calls counted ${scheme.name}`, {
    insn: below.insn,
    hint: "another layout setting tailCalls can count them",
  });
}

/** The tail calls that are made direct, by slot. Blinding hides constants, and an array and a slot are some (as in the kernel). */
function directOf(
  { passes }: VerifiedProgram,
  { directTailCalls }: Settings,
  tailCalls: readonly TailCallSite[],
): ReadonlyMap<number, TailCallSite> {
  if (directTailCalls !== true || passes.includes(blindConstants.name)) return new Map();
  return new Map(tailCalls.flatMap((site) => (site.key === undefined ? [] : [[site.insn, site]])));
}

/** Each direct tail call with its two sites. */
function pokesOf(direct: ReadonlyMap<number, TailCallSite>, sites: readonly PatchSite[]): PokeDescriptor[] {
  const bypasses = sites.filter(({ kind }) => kind === "bypass");
  const targets = sites.filter(({ kind }) => kind === "target");
  return bypasses.map((bypass, i) => {
    const target = targets[i];
    const site = direct.get(bypass.insn ?? -1);
    invariant(site !== undefined && target !== undefined, `a target for the bypass at ${bypass.insn}`);
    invariant(target.insn === bypass.insn, `two sites of the tail call at ${bypass.insn}`);
    return { insn: site.insn, subprog: site.subprog, map: site.map!, key: site.key!, bypass, target };
  });
}

/** What a whole compilation shares. */
interface ContextSetting
  extends Pick<LowerContext<never>, "program" | "structure" | "facts" | "layout" | "features" | "scheme" | "landing"> {
  readonly frame: BackendParts<string, CodeBuffer>["frame"];
}

class Context<A> implements LowerContext<A> {
  readonly program: Program;
  readonly structure: Structure;
  readonly facts: InsnFacts;
  readonly layout: Settings;
  readonly features: Settings;
  readonly scheme: TailCallScheme;
  readonly landing: number;
  subprog = 0;
  info: SubprogInfo;
  frame: Frame;
  epilogue: Label = 0;
  sharesNext = false;
  readonly #slots: number;
  readonly #guards: LowerGuard<A>[] = [];
  /** Three numbers a guard: slot, entry, back. */
  readonly #places: number[] = [];

  readonly #adjust: ContextSetting["frame"];
  readonly #direct: ReadonlyMap<number, TailCallSite>;

  constructor(setting: ContextSetting, direct: ReadonlyMap<number, TailCallSite>) {
    this.program = setting.program;
    this.structure = setting.structure;
    this.facts = setting.facts;
    this.layout = setting.layout;
    this.features = setting.features;
    this.scheme = setting.scheme;
    this.landing = setting.landing;
    this.#adjust = setting.frame;
    this.#direct = direct;
    this.#slots = this.program.insns.length;
    this.info = this.structure.subprogs[0]!;
    this.frame = this.#frameOf(this.info);
  }

  enter(subprog: number, epilogue: Label): void {
    this.subprog = subprog;
    this.info = this.structure.subprogs[subprog]!;
    this.frame = this.#frameOf(this.info);
    this.epilogue = epilogue;
  }

  #frameOf(info: SubprogInfo): Frame {
    const frame = frameOf(info);
    return this.#adjust?.(frame, info, this.layout) ?? frame;
  }

  label(slot: number): Label {
    return slot;
  }

  entry(subprog: number): Label {
    return this.#slots + subprog;
  }

  isDirect(slot: number): boolean {
    return this.#direct.has(slot);
  }

  shareNext(): void {
    this.sharesNext = true;
  }

  outOfLine(emit: LowerGuard<A>, at: number, entry: Label, back: Label): void {
    this.#guards.push(emit);
    this.#places.push(at, entry, back);
  }

  emitOutOfLine(a: A & CodeBuffer): void {
    for (let i = 0; i < this.#guards.length; i++) {
      a.ensure(64);
      a.bind(this.#places[3 * i + 1]!);
      this.#guards[i]!(a, this.program.insns, this.#places[3 * i]!, this, this.#places[3 * i + 2]!);
    }
    this.#guards.length = 0;
    this.#places.length = 0;
  }
}

function kindsByCode(): Uint8Array {
  const table = new Uint8Array(256).fill(MIXED);
  const seen = new Uint8Array(256);
  for (const [op, name] of OPS.entries()) {
    const { code } = INSNS[name];
    const index = KIND_OF_OP[op]!;
    table[code] = seen[code] === 0 || table[code] === index ? index : MIXED;
    seen[code] = 1;
  }
  return table;
}

/** Index in KINDS per slot where an instruction starts. @throws {BpfError} `unsupported` before anything is emitted */
function kindsOf(insns: Insns, arch: string): Uint8Array {
  const { words, length } = insns;
  const kinds = new Uint8Array(length);
  for (let at = 0; at < length; at++) {
    const code = words[2 * at]! & 0xff;
    let kind = KIND_OF_CODE[code]!;
    if (kind === MIXED) kind = mixedKind(insns, at, arch);
    else if (UNSUPPORTED[kind] === 1) refuse(insns, at, arch);
    kinds[at] = kind;
    if (code === LDIMM64) {
      if (insns.src(at) === BTF_ID) refuse(insns, at, arch);
      at++;
    }
  }
  return kinds;
}

const UNSUPPORTED: Uint8Array = Uint8Array.from(KINDS, (kind) =>
  (UNSUPPORTED_KINDS as readonly InsnKind[]).includes(kind) ? 1 : 0,
);

function mixedKind(insns: Insns, at: number, arch: string): number {
  const op = opAt(insns, at);
  if (op < 0) invariant(false, `an instruction at ${at} with opcode 0x${insns.code(at).toString(16)}`);
  const kind = KIND_OF_OP[op]!;
  if (UNSUPPORTED[kind] === 1) refuse(insns, at, arch);
  return kind;
}

function refuse(insns: Insns, at: number, arch: string): never {
  throw new BpfError("unsupported", `${OPS[opAt(insns, at)]!} at ${at} has no lowering on ${arch} yet`, { insn: at });
}

/** The defaults with the overrides in them. @throws {BpfError} `argument` for a key or a type of value that the backend does not declare */
function settingsOf(what: string, defaults: Settings, overrides: Settings = {}): Settings {
  for (const [key, value] of Object.entries(overrides)) {
    if (!Object.hasOwn(defaults, key)) {
      throw new BpfError("argument", `unknown ${what} setting ${key}`, {
        expected: Object.keys(defaults).join(", ") || "none",
      });
    }
    if (typeof value !== typeof defaults[key]) {
      throw new BpfError("argument", `${what} setting ${key} of type ${typeof value}`, {
        expected: typeof defaults[key],
      });
    }
  }
  return { ...defaults, ...overrides };
}

/** Settings as listings show them: `ibt sls`, `no-ibt sls`, `level=2`. */
function nameSettings(...settings: readonly Settings[]): string {
  const name = ([key, value]: [string, boolean | number | string]): string =>
    value === true ? key : value === false ? `no-${key}` : `${key}=${value}`;
  return settings.flatMap((entries) => Object.entries(entries).map(name)).join(" ");
}
