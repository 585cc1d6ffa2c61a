// The door for programs that are proved safe, by the rules of a kernel version.
import type { InsnFacts } from "../analysis/facts.ts";
import { type Structure, structureOf } from "../analysis/structure.ts";
import { BpfError } from "../errors.ts";
import type { FunctionSignature, Program, VerifiedProgram } from "../program.ts";
import { ATTACH_TYPES, type AttachTypeName } from "../spec/attach-types.ts";
import type { KernelProfile } from "../spec/kernel-profile.ts";
import type { AttachTarget, KernelTypes } from "../spec/kernel-types.ts";
import { LINUX_6_12 } from "../spec/linux-6.12.ts";
import { LINUX_7_2 } from "../spec/linux-7.2.ts";
import { programType } from "../spec/program-types.ts";
import { trustWith } from "../trust.ts";
import { checkLoad, checkTarget } from "./check-load.ts";
import { checkStacks } from "./check-stacks.ts";
import { checkFlow, checkInsns } from "./check-structure.ts";
import { FactCollector, factsOf } from "./collect-facts.ts";
import { liveRegisters, pointsOf } from "./control-flow.ts";
import { formatExplanation } from "./diagnostics.ts";
import { entryState, exploreAll } from "./entry.ts";
import { explain } from "./explain.ts";
import type { Explanation } from "./explanation.ts";
import { withLazy } from "./lazy.ts";
import { Log, type LogDialect, type LogLevel } from "./log.ts";
import { notPrunedOf } from "./not-pruned.ts";
import { Refusal } from "./refusal.ts";
import { RecordingLog, type Replay } from "./replay.ts";
import type { Explained, LookedAt, Rejected, Verified, VerifierStats } from "./result.ts";
import { statesOf } from "./states.ts";
import { TABLES, type Tables } from "./tables.ts";
import { type Budget, Verification, type Watcher } from "./verification.ts";

/** Kernels whose rules are here. */
export const KERNELS: Readonly<Record<string, KernelProfile>> = { "6.12": LINUX_6_12, "7.2": LINUX_7_2 };

/** How {@link verify} decides. */
export interface VerifyOptions {
  /** `7.2` unless told. */
  readonly kernel?: KernelProfile | string;
  /** 0 unless told: only the reason of a rejection. 1: the path that led there. 2: all paths. */
  readonly logLevel?: LogLevel;
  /**
   * `7.3`: in front of the statistics, the log of a rejected program has the report that Linux 7.3 prints there, whatever the level. It
   * costs two more walks. `7.2` unless told.
   */
  readonly logDialect?: LogDialect;
  /** Characters of log that are kept, the last ones; 16 million unless told. */
  readonly logLimit?: number;
  /** What the caller will spend, beside the kernel's own limits. */
  readonly budget?: Partial<Budget>;
  /** Accesses must be naturally aligned (`BPF_F_STRICT_ALIGNMENT`). */
  readonly strictAlignment?: boolean;
  /**
   * Signatures of global subprograms by name, in place of the program's own: each is verified alone, and its callers rely on the signature
   * only.
   */
  readonly functions?: Readonly<Record<string, FunctionSignature>>;
  /** In place of what the program says of itself: types of its functions (BTF) come with it. */
  readonly typed?: boolean;
  /** CPUs that the machine can have: what bounds `bpf_get_smp_processor_id`. 8192 unless told. */
  readonly cpus?: number;
  /**
   * What a tracing, security or struct_ops program is attached to. Left out: its arguments are numbers, as many as a context can hold, and
   * nothing is asked of the target.
   */
  readonly target?: AttachTarget;
  /** Structures of the kernel; left out: what is loaded from them is a number. */
  readonly types?: KernelTypes;
  /** States that `result.states` keeps of each instruction; 64 unless told. */
  readonly stateLimit?: number;
}

/** For tests: rules with a mistake, and a watcher of every state. */
export interface VerifyInternals {
  readonly tables?: Tables;
  readonly watch?: Watcher;
  readonly now?: () => number;
  /** Paths end only where another one covers all of them, even what no decision depended on: every recorded state counts. */
  readonly complete?: boolean;
}

const DEFAULT_BUDGET: Budget = { insns: Number.POSITIVE_INFINITY, states: 4_000_000, milliseconds: 60_000 };
const MOST_CPUS = 8192;
const LOG_LIMIT = 16_000_000;
const STATE_LIMIT = 64;

/**
 * Walks every path of a program as the kernel's verifier does. A rejection is a value, not an exception.
 *
 * @throws {BpfError} `argument` for an unknown kernel, program type or attach type
 * @example
 * ```ts
 * import { assemble, verify } from "@bpfkit/core";
 * const result = verify(assemble("r0 = r3\nexit", { type: "socket_filter" }));
 * console.log(result.ok || result.reason); // R3 !read_ok
 * ```
 */
export function verify(program: Program, options: VerifyOptions = {}): Verified | Rejected {
  return verifyWith(program, options, {});
}

/** {@link verify}, with its inner parts exposed. */
export function verifyWith(program: Program, options: VerifyOptions, internals: VerifyInternals): Verified | Rejected {
  const profile = profileOf(options.kernel ?? "7.2");
  const type = programType(program.type);
  if (type === undefined) throw new BpfError("argument", `program type ${program.type} is not known`);
  const attachType = attachTypeOf(program.attachType);
  const now = internals.now ?? (() => Date.now());
  const started = now();
  const log = new Log(options.logLevel ?? 0, options.logLimit ?? LOG_LIMIT);
  const budget: Budget = { ...DEFAULT_BUDGET, ...options.budget };
  const typed = options.typed ?? program.typed !== false;
  const visits = new Uint32Array(program.insns.length);
  let v: Verification | undefined;
  let stackBytes: readonly number[] = [];
  let chainBytes = 0;
  let stage: "shape" | "paths" | "stacks" = "shape";
  let replay: Replay = () => undefined;
  let spent: Rejected["budget"];
  const lookedAt: { readonly [K in keyof LookedAt]: () => LookedAt[K] } = {
    states: () => statesOf(program, replay, options.stateLimit ?? STATE_LIMIT),
    notPruned: () => notPrunedOf(replay),
  };
  const stats = (): VerifierStats => ({
    totalInsns: v?.counters.insns ?? 0,
    totalStates: v?.counters.totalStates ?? 0,
    peakStates: v?.counters.peakStates ?? 0,
    maxStatesPerInsn: v?.counters.maxStatesPerInsn ?? 0,
    storedBytes: 4 * (v?.counters.storedWords ?? 0),
    milliseconds: now() - started,
    visits,
    stackBytes,
    chainBytes,
  });
  try {
    const { ops, late } = checkInsns(program, profile);
    const structure = structureOf(program);
    checkFlow(program, structure, ops, typed, profile);
    const modern = profile.version !== "6.12";
    checkLoad(program, type, modern);
    if (options.target !== undefined) checkTarget(program, options.target, modern);
    const live = liveRegisters(program.insns, ops, structure, program.kfuncs);
    const points = pointsOf(program.insns, ops, program.kfuncs);
    const functions = signaturesOf(program, structure, options.functions);
    const tables = internals.tables ?? TABLES;
    const facts = new FactCollector(program, ops);
    const parts = {
      program,
      structure,
      ops,
      late,
      live,
      points,
      profile,
      type,
      attachType,
      tables,
      budget,
      log,
      strictAlignment: options.strictAlignment === true,
      functions,
      typed,
      cpus: options.cpus ?? MOST_CPUS,
      target: options.target,
      types: options.types,
    };
    const deadline = started + budget.milliseconds;
    const verification = new Verification(parts, entryState());
    v = verification;
    v.complete = internals.complete === true;
    v.watch = (at) => {
      visits[at.state.insn]!++;
      facts.see(at);
      internals.watch?.(at);
    };
    replay = (recorder) => {
      const insns = Math.min(budget.insns, verification.counters.insns - (spent === "milliseconds" ? 1 : 0));
      const again = new Verification(
        {
          ...parts,
          log: new RecordingLog(recorder),
          budget: { ...budget, insns, milliseconds: Number.POSITIVE_INFINITY },
        },
        entryState(),
      );
      again.complete = verification.complete;
      again.watch = recorder.step;
      try {
        exploreAll(again, Number.POSITIVE_INFINITY, () => 0);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
      }
      return again;
    };
    stage = "paths";
    exploreAll(v, deadline, now);
    stage = "stacks";
    const stacks = checkStacks(v);
    stackBytes = stacks.bytes;
    chainBytes = stacks.chain;
    const trusted = trustWith(program, structure);
    const vouched = withLazy<Omit<VerifiedProgram, "facts">, { readonly facts: InsnFacts }>(
      { ...trusted, basis: { kind: "verified", profile: profile.version } },
      {
        facts: () =>
          factsOf(verification, facts, trusted, () => {
            // Walked again, with nothing left out: what holds in all states then holds in all runs.
            const insns = 4 * verification.counters.insns + 1000;
            const again = new Verification(
              { ...parts, log: new Log(0, 0), budget: { ...budget, insns } },
              entryState(),
            );
            again.complete = true;
            return { again, run: () => exploreAll(again, now() + budget.milliseconds, now) };
          }),
      },
      true,
    );
    log.accepted();
    log.add(statsLine(v));
    return withLazy<Omit<Verified, keyof LookedAt | "facts">, LookedAt & Pick<Verified, "facts">>(
      { ok: true, kernel: profile.version, program: vouched, stats: stats(), log: log.lines },
      { ...lookedAt, facts: () => vouched.facts },
    );
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    spent = error.budget;
    const insn = error.insn ?? (stage === "paths" ? v?.state.insn : undefined);
    let explained: Explanation | undefined;
    const explanation = (): Explanation => {
      explained ??= explain({ program, profile, refusal: error, insn, replay: stage === "paths" ? replay : undefined });
      return explained;
    };
    for (const line of error.lines) log.add(line);
    if (options.logDialect === "7.3") for (const line of ["", ...formatExplanation(explanation()), ""]) log.add(line);
    if (v !== undefined) log.add(statsLine(v));
    const rejected = withLazy<Omit<Rejected, keyof Explained>, Explained>(
      {
        ok: false,
        kernel: profile.version,
        reason: error.reason,
        errno: error.errno,
        ...(insn === undefined ? {} : { insn }),
        ...(error.budget === undefined ? {} : { budget: error.budget }),
        stats: stats(),
        log: log.lines,
      },
      { ...lookedAt, explanation },
    );
    return rejected;
  } finally {
    v?.release();
  }
}

/** Signatures of global subprograms by index, given by name or by the program itself. */
function signaturesOf(
  { subprogs }: Program,
  structure: Structure,
  given: VerifyOptions["functions"],
): Map<number, FunctionSignature> {
  const own = new Map(subprogs.map(({ start, signature }) => [start, signature]));
  const functions = new Map<number, FunctionSignature>();
  for (const [index, { name, start }] of structure.subprogs.entries()) {
    const signature = given === undefined ? own.get(start) : Object.hasOwn(given, name) ? given[name] : undefined;
    if (signature !== undefined && index > 0) functions.set(index, signature);
  }
  return functions;
}

function statsLine({ counters, profile }: Verification): string {
  return (
    `processed ${counters.insns} insns (limit ${profile.limits.processedInsns}) max_states_per_insn ${counters.maxStatesPerInsn} ` +
    `total_states ${counters.totalStates} peak_states ${counters.peakStates} mark_read 0`
  );
}

function profileOf(kernel: KernelProfile | string): KernelProfile {
  if (typeof kernel !== "string") return kernel;
  const profile = KERNELS[kernel];
  if (profile === undefined)
    throw new BpfError("argument", `no rules of Linux ${kernel}`, { expected: Object.keys(KERNELS).join(" or ") });
  return profile;
}

function attachTypeOf(name: string | undefined): AttachTypeName | undefined {
  if (name === undefined) return undefined;
  if (!(name in ATTACH_TYPES)) throw new BpfError("argument", `attach type ${name} is not known`);
  return name as AttachTypeName;
}
