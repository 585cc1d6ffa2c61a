// The law of backtraces: from every instruction of trampolines, programs and functions, frame pointers lead to the callers that there are. What the
// kernel's layout loses is counted, and nothing else may be missing.
import {
  type Backend,
  type CompileOptions,
  formatListing,
  type Image,
  type LinkKind,
  notesOf,
  parseFuncModel,
  type TrampolineSpec,
} from "@bpfkit/core";
import type { TracedCall } from "./call-model.ts";
import { LINK_LISTS, MOST_LINKS } from "./cases.ts";
import type { TrampolineBreach } from "./law.ts";
import { TELL, TrampolineWorld } from "./world.ts";

/** Whose return addresses a backtrace can come to: that into a program, the trampoline, the function, and those of the function's callers. */
export type FrameName = "program" | "trampoline" | "function" | "caller" | "caller's caller" | "start";

/** What code an instruction is of. */
export type CodeName = "entry of the function" | "trampoline" | "program" | "subprogram" | "function";

/** Where in its code: besides its own, a trampoline can make a frame for the function. */
export type FramePlace = "before its frame" | "between two frames" | "in its frame" | "behind its frame";

/** How a trampoline is entered: by the entry of a function, or through a pointer in a table. */
export type Entered = "call" | "jump" | "pointer";

/** Callers that a backtrace does not find. */
export interface LostFrames {
  readonly code: CodeName;
  readonly place: FramePlace;
  /** How the trampolines were entered for which it is so. */
  readonly entered: readonly Entered[];
  readonly missing: readonly FrameName[];
  /** The instructions, as mnemonics; empty for `in its frame`, where it is all of them. */
  readonly instructions: string;
}

export interface BacktraceOptions {
  readonly compile?: CompileOptions;
  readonly models?: readonly string[];
  readonly lists?: readonly (readonly LinkKind[])[];
  /** One trampoline of so many, beginning with number `index`; each unless told. */
  readonly part?: { readonly index: number; readonly count: number };
}

export interface BacktraceReport {
  readonly trampolines: number;
  /** Instructions from which a backtrace was made. */
  readonly instructions: number;
  readonly lost: readonly LostFrames[];
  readonly breach: TrampolineBreach | undefined;
}

/** One whose arguments fit into registers everywhere, and one that needs the stack. */
const MODELS: readonly string[] = ["int (u64, struct{u64, u32})", "int (u64, u64, u64, u64, u64, u64, u64, u64, int)"];
/** Longest backtrace that is followed. */
const DEEPEST = 12;

/** A program that calls nothing, one that calls a subprogram and the host, and one that calls the host. */
const PROGRAMS: readonly string[] = [
  "r6 = r1\n*(u64 *)(r10 - 8) = r6\nr0 = 0\nexit",
  `r6 = r1\ncall sub\nr1 = r6\nr2 = 1\ncall ${TELL}\nexit\nsub:\nr7 = 1\n*(u64 *)(r10 - 8) = r7\nr0 = 0\nexit`,
  `r2 = 2\ncall ${TELL}\nexit`,
];

/**
 * Calls functions through trampolines, one instruction at a time. In frames, nothing may be missing but what a trampoline with one frame hides:
 * the function where its entry jumped, else the caller. Elsewhere callers may be missing, which the report lists; a wrong one never stands in between.
 */
export function checkBacktraces(backend: Backend, options: BacktraceOptions = {}): BacktraceReport {
  const { compile, models = MODELS, lists = LINK_LISTS, part = { index: 0, count: 1 } } = options;
  const asked = [
    ...(["known", "from-stack"] as const).flatMap((original) =>
      lists.map((kinds) => ({ kinds, original, indirect: false })),
    ),
    { kinds: ["fentry"] as const, original: "known" as const, indirect: true },
  ];
  const found = new Found();
  let [number, trampolines, instructions] = [0, 0, 0];
  for (const text of models) {
    const model = parseFuncModel(text);
    const world = new TrampolineWorld(backend, { compile, program: (link) => PROGRAMS[link]! });
    for (const { kinds, original, indirect } of asked) {
      if (number++ % part.count !== part.index) continue;
      trampolines++;
      const spec: TrampolineSpec = { model, links: kinds.map((kind) => ({ kind })), original, indirect };
      world.attach(spec, "function");
      const follower = new Follower(world, found);
      world.run(callOf(spec, world.places.slots.length), (pc) => follower.step(pc));
      instructions += follower.instructions;
      const wrong = follower.end();
      if (wrong === undefined) continue;
      const what = `${text}: ${kinds.join(", ")}; ${indirect ? "through a pointer" : original}: ${wrong.what}`;
      const { image } = world.trampoline;
      const listing = formatListing(backend.disassemble(image.code), notesOf(image));
      return { trampolines, instructions, lost: found.rows, breach: { ...wrong, what, listing } };
    }
  }
  return { trampolines, instructions, lost: found.rows, breach: undefined };
}

function callOf({ links, indirect = false }: TrampolineSpec, words: number): TracedCall {
  return {
    links,
    funcIp: false,
    indirect,
    fromRow: false,
    words: new Array<bigint>(words).fill(7n),
    allowed: new Array<boolean>(MOST_LINKS).fill(true),
    returns: new Array<bigint>(MOST_LINKS).fill(0n),
    result: 0n,
    off: new Set(),
    offFrom: "start",
  };
}

/** A stretch of code with at most one frame of its own at a time. */
interface Unit {
  readonly code: CodeName;
  readonly start: bigint;
  readonly end: bigint;
  /** The callers that there are, the innermost first. */
  readonly callers: readonly FrameName[];
  /** Of those, the ones that no backtrace from its frame finds. */
  readonly hidden: readonly FrameName[];
}

/** One time through a unit. */
interface Passage {
  readonly unit: Unit;
  /** The frame register as it came. */
  readonly from: bigint;
  readonly samples: { readonly pc: bigint; readonly frame: bigint; readonly found: readonly string[] }[];
}

const CALLERS: readonly FrameName[] = ["caller", "caller's caller", "start"];

type Wrong = Omit<TrampolineBreach, "listing">;

/** Follows frame pointers from every instruction of one call. */
class Follower {
  instructions = 0;
  wrong: Wrong | undefined = undefined;
  readonly #world: TrampolineWorld;
  readonly #found: Found;
  readonly #units: readonly Unit[];
  readonly #passages = new Map<Unit, Passage>();
  readonly #visited = new Set<number>();
  readonly #entered: Entered;

  constructor(world: TrampolineWorld, found: Found) {
    this.#world = world;
    this.#found = found;
    this.#entered = world.spec.indirect === true ? "pointer" : world.entered;
    this.#units = unitsOf(world, this.#entered);
  }

  step(pc: bigint): void {
    const unit = this.#units.find(({ start, end }) => pc >= start && pc < end);
    if (unit === undefined) return;
    this.instructions++;
    const frame = this.#world.cpu.get(this.#world.backend.abi.frameChain.register);
    let passage = this.#passages.get(unit);
    if (passage === undefined || pc === unit.start) {
      if (passage !== undefined) this.#judge(passage);
      passage = { unit, from: frame, samples: [] };
      this.#passages.set(unit, passage);
    }
    passage.samples.push({ pc, frame, found: this.#backtrace() });
    if (unit.code === "trampoline") this.#visited.add(Number(pc - unit.start));
  }

  /** Ends the call. What is wrong is a backtrace, or an instruction of the trampoline that was not run: every program runs, and so does the function. */
  end(): Wrong | undefined {
    for (const passage of this.#passages.values()) this.#judge(passage);
    if (this.wrong !== undefined) return this.wrong;
    const { backend, trampoline } = this.#world;
    for (const { offset, text } of backend.disassemble(trampoline.image.code)) {
      if (!this.#visited.has(offset))
        return { what: `${text} at ${offset}`, expected: "it runs", found: "it does not" };
    }
    return undefined;
  }

  #judge({ unit, from, samples }: Passage): void {
    // The stack grows down, so the last frame that a trampoline makes is the lowest.
    let own = from;
    for (const { frame } of samples) if (frame < own) own = frame;
    let isBehind = false;
    let run: string[] = [];
    let last: { readonly place: FramePlace; readonly missing: readonly FrameName[] } | undefined;
    const flush = (): void => {
      if (last !== undefined) this.#found.add(unit.code, last.place, this.#entered, last.missing, run.join(", "));
      run = [];
    };
    for (const { pc, frame, found } of samples) {
      const isFramed = frame === own && own !== from;
      isBehind ||= isFramed;
      const place: FramePlace = isFramed
        ? "in its frame"
        : frame !== from
          ? "between two frames"
          : isBehind
            ? "behind its frame"
            : "before its frame";
      const missing = missingOf(unit.callers, found);
      const isRight = isFramed ? missing?.join() === unit.hidden.join() : missing !== undefined;
      if (!isRight || missing === undefined) {
        const expected = isFramed ? unit.callers.filter((name) => !unit.hidden.includes(name)) : unit.callers;
        this.wrong ??= {
          what: `a backtrace ${place} of the ${unit.code}, ${pc - unit.start} bytes from its start`,
          expected: expected.join(" < "),
          found: found.join(" < "),
        };
        return;
      }
      if (last?.place !== place || last.missing.join() !== missing.join()) {
        flush();
        last = { place, missing };
      }
      if (!isFramed) run.push(this.#mnemonic(pc));
    }
    flush();
  }

  #mnemonic(pc: bigint): string {
    const { backend, memory } = this.#world;
    const [line] = backend.disassemble(memory.view(pc, 16), pc);
    return line!.text.split(" ")[0]!;
  }

  /** Names of return addresses, from the frame register up. */
  #backtrace(): readonly string[] {
    const { cpu, memory, backend } = this.#world;
    const { frameChain, returnAddress } = backend.abi;
    const names: string[] = [];
    let frame = cpu.get(frameChain.register);
    while (frame !== 0n && names.length < DEEPEST) {
      if (!this.#world.isInStack(frame)) return [...names, `a frame at 0x${frame.toString(16)}`];
      let back = memory.load(8, frame + BigInt(frameChain.returnAddress));
      let next = memory.load(8, frame + BigInt(frameChain.caller));
      const isInnermost = names.length === 0;
      if (isInnermost && frameChain.shortLeaves && returnAddress.in === "register" && this.#world.isInStack(back)) {
        [back, next] = [cpu.get(returnAddress.register), back];
      }
      names.push(this.#nameOf(back, frame));
      frame = next;
    }
    return names;
  }

  #nameOf(back: bigint, frame: bigint): string {
    const { frames, function: target, trampoline, programs } = this.#world;
    const isIn = (start: bigint, size: number): boolean => back > start && back <= start + BigInt(size);
    if (back === this.#world.hostReturn) {
      return frame === frames.outer ? "start" : frame === frames.caller ? "caller's caller" : "caller";
    }
    if (back === target.original) return "function";
    if (isIn(trampoline.address, trampoline.image.code.length)) return "trampoline";
    if (programs.some(({ image, imageAddress }) => isIn(imageAddress!, image!.code.length))) return "program";
    return `0x${back.toString(16)}`;
  }
}

/** Callers that were not found; undefined where what was found is no part of them, in order. */
function missingOf(callers: readonly FrameName[], found: readonly string[]): readonly FrameName[] | undefined {
  const missing: FrameName[] = [];
  let next = 0;
  for (const caller of callers) {
    if (found[next] === caller) next++;
    else missing.push(caller);
  }
  return next === found.length ? missing : undefined;
}

function unitsOf(world: TrampolineWorld, entered: Entered): readonly Unit[] {
  const { backend, trampoline, programs, spec, targets } = world;
  const callers: readonly FrameName[] = entered === "pointer" ? CALLERS : ["function", ...CALLERS];
  const hidden: readonly FrameName[] =
    backend.trampolines.frames === 2 || entered === "pointer" ? [] : [entered === "jump" ? "function" : "caller"];
  const inTrampoline = { callers: ["trampoline", ...callers] as const, hidden };
  const units: Unit[] = [
    unit("trampoline", trampoline.address, 0, trampoline.image.code.length, { callers, hidden }),
    ...programs.flatMap(({ image, imageAddress }) => unitsOfProgram(image!, imageAddress!, inTrampoline)),
  ];
  const { place } = targets.function;
  const behind = Number(world.function.original - place.address);
  const isCalled = spec.links.some(({ kind }) => kind !== "fentry");
  units.push(
    unit("entry of the function", place.address, 0, behind, { callers: CALLERS, hidden: [] }),
    unit("function", place.address, behind, place.size, isCalled ? inTrampoline : { callers: CALLERS, hidden: [] }),
  );
  return units;
}

function unitsOfProgram(
  { subprogs }: Image,
  address: bigint,
  below: Pick<Unit, "callers" | "hidden">,
): readonly Unit[] {
  return subprogs.map(({ start, end }, i) =>
    i === 0
      ? unit("program", address, start, end, below)
      : unit("subprogram", address, start, end, { ...below, callers: ["program", ...below.callers] }),
  );
}

function unit(code: CodeName, base: bigint, start: number, end: number, rest: Pick<Unit, "callers" | "hidden">): Unit {
  return { code, start: base + BigInt(start), end: base + BigInt(end), ...rest };
}

/** What was lost, from all calls. */
class Found {
  readonly #rows = new Map<string, { readonly row: LostFrames; readonly entered: Set<Entered> }>();

  add(code: CodeName, place: FramePlace, entered: Entered, missing: readonly FrameName[], run: string): void {
    if (missing.length === 0) return;
    const key = `${code}/${place}/${missing.join()}/${run}`;
    const known = this.#rows.get(key);
    if (known !== undefined) known.entered.add(entered);
    else
      this.#rows.set(key, {
        row: { code, place, entered: [], missing, instructions: run },
        entered: new Set([entered]),
      });
  }

  get rows(): readonly LostFrames[] {
    return [...this.#rows.values()].map(({ row, entered }) => ({ ...row, entered: [...entered].sort() }));
  }
}
