// What a verification gives.
import type { InsnFacts } from "../analysis/facts.ts";
import type { VerifiedProgram } from "../program.ts";
import type { Explanation } from "./explanation.ts";
import type { PruneMisses } from "./not-pruned.ts";
import type { VerifierStates } from "./states.ts";

/** Counts, in veristat's terms where it has them. */
export interface VerifierStats {
  /** Instructions processed, over all paths. */
  readonly totalInsns: number;
  /** States stored; most at one time; most at one instruction. */
  readonly totalStates: number;
  readonly peakStates: number;
  readonly maxStatesPerInsn: number;
  /** Bytes of all stored states. */
  readonly storedBytes: number;
  readonly milliseconds: number;
  /** How often each instruction was processed, by slot. */
  readonly visits: Uint32Array;
  /** Bytes of stack of each subprogram, and of the worst chain of calls. */
  readonly stackBytes: readonly number[];
  readonly chainBytes: number;
}

/** What a second walk tells; each member makes one when it is first asked for. They are no own enumerable members: copies lack them. */
export interface LookedAt {
  /** Typed states per instruction. */
  readonly states: VerifierStates;
  /** Where comparisons of states failed, and because of what: what keeps a loop from converging. */
  readonly notPruned: PruneMisses;
}

/** The same, of a rejected program. */
export interface Explained extends LookedAt {
  /** Why, with the steps that led there. */
  readonly explanation: Explanation;
}

/** What is common to both outcomes. */
export interface Verdict extends LookedAt {
  /** Version of the kernel whose rules decided. */
  readonly kernel: string;
  readonly stats: VerifierStats;
  /** The log, in lines, as the kernel prints it; of a rejected program its last line before the statistics is the reason. */
  readonly log: readonly string[];
}

/** The program can be run: it stays inside its memory, and ends. */
export interface Verified extends Verdict {
  readonly ok: true;
  readonly program: VerifiedProgram;
  /**
   * Those of `program`. Made when somebody asks for them, within the same budget: where paths ended at states that differed in numbers that no decision
   * depended on, the program is walked once more, with nothing left out.
   */
  readonly facts: InsnFacts;
}

/** The program was not accepted. */
export interface Rejected extends Verdict, Explained {
  readonly ok: false;
  /** The last line of the reason, as the kernel words it. */
  readonly reason: string;
  /** Error number that the kernel gives, positive. */
  readonly errno: number;
  /** Slot of the instruction, where the reason is one. */
  readonly insn?: number;
  /** What ran out, where that is the reason: the caller's budget, not a limit of the kernel. */
  readonly budget?: "instructions" | "states" | "milliseconds";
}
