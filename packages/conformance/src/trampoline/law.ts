// The law of trampolines: whatever is linked to whatever function, a call of it does what the direct model says.
import {
  type Backend,
  BpfError,
  type CompileOptions,
  type FuncModel,
  formatListing,
  type LinkKind,
  notesOf,
  parseFuncModel,
  type TrampolineLink,
  type TrampolineSpec,
} from "@bpfkit/core";
import { Random } from "../random.ts";
import { expectedOutcome, type Outcome, type TracedCall } from "./call-model.ts";
import { FUNCTION_MODELS, LINK_LISTS, MOST_LINKS } from "./cases.ts";
import { type Target, TrampolineWorld } from "./world.ts";

/** What to try. */
export interface TrampolineLawOptions {
  readonly compile?: CompileOptions;
  /** Function types; {@link FUNCTION_MODELS} unless told. */
  readonly models?: readonly string[];
  /** Lists of links; all of at most three unless told. */
  readonly lists?: readonly (readonly LinkKind[])[];
  /** One trampoline of so many, beginning with number `index`; each unless told. */
  readonly part?: { readonly index: number; readonly count: number };
}

/** A call that came out differently. */
export interface TrampolineBreach {
  /** Function type, links, where the original is, and the behaviour. */
  readonly what: string;
  /** The first event that differs, and its number; or the result. */
  readonly expected: string;
  readonly found: string;
  /** The trampoline's code, with names for what it calls. */
  readonly listing: string;
}

/** A breach for people, several lines. */
export function formatTrampolineBreach({ what, expected, found, listing }: TrampolineBreach): string {
  return [what, `  expected ${expected}`, `  found    ${found}`, "", listing].join("\n");
}

/** How much was tried, and the first breach. */
export interface TrampolineReport {
  readonly trampolines: number;
  readonly calls: number;
  readonly breach: TrampolineBreach | undefined;
}

/** A trampoline around a function. */
interface Asked extends Pick<TrampolineSpec, "original" | "indirect" | "fromRow"> {
  readonly kinds: readonly LinkKind[];
}

const ORIGINALS: readonly TrampolineSpec["original"][] = ["known", "from-stack"];
const INDIRECT: readonly Asked[] = ORIGINALS.map((original) => ({ kinds: ["fentry"], original, indirect: true }));
const COOKIES: readonly bigint[] = [0n, 0x1234n, 0xfedc_ba98_7654_3210n, 0xffff_ffff_8000_0000n];
/** Trampolines that one memory has room for. */
const IN_A_WORLD = 150;
/** Registers that a program has for its arguments. */
const BPF_ARGS = 5;

/**
 * Makes trampolines and calls functions through them. All of them, with the default models: 85 lists x 34 functions, original known and from the
 * stack, those 40 that rows can hold also from rows, and for each function two that are called through a pointer; some seconds per backend.
 */
export function checkTrampolines(backend: Backend, options: TrampolineLawOptions = {}): TrampolineReport {
  const { compile, models = FUNCTION_MODELS, lists = LINK_LISTS, part = { index: 0, count: 1 } } = options;
  let world: TrampolineWorld | undefined;
  let [number, trampolines, calls] = [0, 0, 0];
  const inRows = lists.filter((kinds) => !kinds.includes("fmod_ret"));
  const asked: readonly Asked[] = [
    ...ORIGINALS.flatMap((original) => lists.map((kinds) => ({ kinds, original }))),
    ...inRows.map((kinds) => ({ kinds, original: "from-stack", fromRow: true }) as const),
    ...INDIRECT,
  ];
  for (const text of models) {
    const model = parseFuncModel(text);
    for (const one of asked) {
      if (number++ % part.count !== part.index) continue;
      if (world === undefined || trampolines % IN_A_WORLD === 0) world = new TrampolineWorld(backend, { compile });
      trampolines++;
      const tried = tryTrampoline(world, model, one, number);
      calls += tried.calls;
      const { breach } = tried;
      if (breach !== undefined) return { trampolines, calls, breach: { ...breach, what: `${text}: ${breach.what}` } };
    }
  }
  return { trampolines, calls, breach: undefined };
}

/** Every call through one trampoline, up to one that is wrong. */
function tryTrampoline(
  world: TrampolineWorld,
  model: FuncModel,
  { kinds, original, indirect = false, fromRow = false }: Asked,
  seed: number,
): { readonly calls: number; readonly breach: TrampolineBreach | undefined } {
  const random = new Random(seed);
  const spec: TrampolineSpec = {
    model,
    links: kinds.map((kind) => ({
      kind,
      cookie: random.pick(COOKIES),
      findsCookie: random.below(4) === 0 && !fromRow,
    })),
    original,
    funcIp: random.below(2) === 1 || fromRow,
    indirect,
    fromRow,
  };
  const { slots, stack } = world.backend.classifyArgs(model);
  const targets: readonly Target[] =
    slots.length <= BPF_ARGS && stack === 0 && !indirect ? ["function", "program"] : ["function"];
  let calls = 0;
  for (const target of targets) {
    try {
      world.attach(spec, target);
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      const what = describeSpec(spec, target);
      return { calls, breach: { what, expected: "a trampoline", found: error.message, listing: "" } };
    }
    for (const call of callsOf(random, spec, slots.length, target === "function" ? world.blocks : 0)) {
      calls++;
      // Of a program, a caller outside of BPF sees 32 bits.
      const { result } = call;
      const given = target === "program" ? { ...call, result: signExtended(result) } : call;
      const breach = breachOf(world, spec, target, given);
      if (breach !== undefined) return { calls, breach };
    }
  }
  return { calls, breach: undefined };
}

/** One where every program runs and none takes the function's place; one where the host refuses some; one with a block that is turned off. */
function callsOf(random: Random, spec: TrampolineSpec, words: number, blocks: number): readonly TracedCall[] {
  const plain = plainCall(spec, words);
  const mixed: TracedCall = {
    ...plain,
    allowed: plain.allowed.map(() => random.below(4) > 0),
    returns: plain.returns.map(() => (random.below(2) === 0 ? 0n : resultOf(spec.model, random))),
    result: resultOf(spec.model, random),
  };
  if (spec.indirect)
    return [
      { ...plain, returns: [mixed.result] },
      { ...plain, returns: [1n], allowed: [false] },
    ];
  if (blocks === 0) return [plain, mixed];
  const all = Array.from({ length: blocks }, (_, block) => block);
  const off = random.below(8) === 0 ? all : [random.pick(all)];
  return [plain, mixed, { ...plain, off: new Set(off), offFrom: random.below(2) === 0 ? "start" : "original" }];
}

/** A call in which every program runs and returns 0, and so does the function, with another result. */
export function plainCall(
  { links, funcIp = false, indirect = false, fromRow = false, model }: TrampolineSpec,
  words: number,
): TracedCall {
  return {
    links,
    funcIp,
    indirect,
    fromRow,
    words: Array.from({ length: words }, (_, i) => wordOf(i)),
    allowed: new Array<boolean>(MOST_LINKS).fill(true),
    returns: new Array<bigint>(MOST_LINKS).fill(0n),
    result: narrowed(model, 0xfedc_ba98_8765_4321n),
    off: new Set(),
    offFrom: "start",
  };
}

/** Words that differ from each other, as numbers of every size negative, with garbage above what is small. */
const wordOf = (i: number): bigint =>
  BigInt.asUintN(64, 0x9e37_79b9_7f4a_7c15n * BigInt(i + 1)) | 0x8000_0080_8080_8080n;

/** A result as functions of a type give it in a register on every architecture: 8 and 16 bits as the type says, else 32 extended by the sign. */
function narrowed({ result: { size, signed } }: FuncModel, value: bigint): bigint {
  if (size === 8) return value;
  return size === 1 || size === 2
    ? signed
      ? signExtended(value, 8 * size)
      : BigInt.asUintN(8 * size, value)
    : signExtended(value);
}

const signExtended = (value: bigint, bits = 32): bigint => BigInt.asUintN(64, BigInt.asIntN(bits, value));

function resultOf(model: FuncModel, random: Random): bigint {
  const value = (BigInt(random.below(0x1_0000)) << 48n) | (BigInt(random.below(0x1_0000)) << 16n) | 1n;
  return narrowed(model, value | (BigInt(random.below(2)) << 31n));
}

function breachOf(
  world: TrampolineWorld,
  spec: TrampolineSpec,
  target: Target,
  call: TracedCall,
): TrampolineBreach | undefined {
  const { backend, places } = world;
  const expected = expectedOutcome(call, places, backend.trampolines, world.function.address);
  const found = world.run(call);
  const difference = differenceOf(expected, found);
  if (difference === undefined) return undefined;
  const { image } = world.trampoline;
  return {
    what: `${describeSpec(spec, target)}; ${describeCall(call)}`,
    ...difference,
    listing: formatListing(backend.disassemble(image.code), notesOf(image)),
  };
}

/** The first thing that differs. */
function differenceOf(expected: Outcome, found: Outcome): Pick<TrampolineBreach, "expected" | "found"> | undefined {
  const count = Math.max(expected.events.length, found.events.length);
  for (let i = 0; i < count; i++) {
    const [one, other] = [expected.events[i], found.events[i]];
    if (one === other) continue;
    return { expected: `event ${i}, ${one ?? "none"}`, found: `event ${i}, ${other ?? "none"}` };
  }
  if (expected.result === found.result) return undefined;
  return { expected: `result ${expected.result.toString(16)}`, found: `result ${found.result.toString(16)}` };
}

function describeSpec({ links, original, funcIp, indirect, fromRow }: TrampolineSpec, target: Target): string {
  const kinds = links.map(({ kind }) => kind).join(", ") || "no link";
  const where = indirect ? "through a pointer" : fromRow ? "from a row" : original;
  return `${kinds}; ${where}${funcIp ? ", func ip" : ""}${target === "program" ? ", around a program" : ""}`;
}

function describeCall({ links, allowed, returns, off, offFrom }: TracedCall): string {
  const ways = links.map((_, i) => (allowed[i] ? `${i} returns ${returns[i]!.toString(16)}` : `${i} may not run`));
  if (off.size > 0) ways.push(`block ${[...off].join(", ")} off from the ${offFrom} on`);
  return ways.join("; ");
}

/**
 * One image that finds the original by what the call at an entry left, around several functions: each is called with its own arguments. Where it goes by
 * rows, each also has its own programs.
 */
export function sharedImageBreach(
  backend: Backend,
  { compile }: Pick<TrampolineLawOptions, "compile"> = {},
): TrampolineBreach | undefined {
  for (const text of FUNCTION_MODELS.filter((_, i) => i % SHARED_PART === 0)) {
    const world = new TrampolineWorld(backend, { compile });
    const model = parseFuncModel(text);
    for (const { lists, fromRow } of SHARED) {
      const linksOf = (list: number): TrampolineLink[] =>
        lists[list % lists.length]!.map((kind, i) => ({ kind, findsCookie: i === 0 && !fromRow }));
      world.attach({ model, links: linksOf(0), original: "from-stack", funcIp: true, fromRow }, "function");
      for (const [i, target] of (["function", "second function", "third function"] as const).entries()) {
        if (i > 0) world.share(target, linksOf(i));
        const { spec } = world;
        const plain = plainCall(spec, world.places.slots.length);
        const words = plain.words.map((word) => word ^ BigInt(i << 16));
        const breach = breachOf(world, spec, target, { ...plain, words, result: narrowed(model, BigInt(100 + i)) });
        if (breach !== undefined) return { ...breach, what: `${text}: ${target} of three: ${breach.what}` };
      }
    }
  }
  return undefined;
}

/** One function type of so many. */
const SHARED_PART = 4;
/** The lists of the functions, in turn. */
const SHARED: readonly { readonly lists: readonly (readonly LinkKind[])[]; readonly fromRow: boolean }[] = [
  { lists: [["fentry"]], fromRow: false },
  { lists: [["fexit"]], fromRow: false },
  { lists: [["fmod_ret", "fsession"]], fromRow: false },
  { lists: [["fexit", "fentry"], ["fentry"], ["fsession", "fexit", "fsession"]], fromRow: true },
];
