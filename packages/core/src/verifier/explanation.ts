// What an explanation of a rejection says: where, what is known, what was asked for, and the steps that led there.

/** An instruction on the path, and where it comes from. */
export interface Place {
  /** Slot of the instruction. */
  readonly insn: number;
  /** As the kernel's log prints it: `(61) r2 = *(u32 *)(r1 +0)`. */
  readonly text: string;
  /** Name of the subprogram that it is in. */
  readonly subprog: string;
  /** The line that it was made from, where the program has lines. */
  readonly source?: SourcePlace;
}

export interface SourcePlace {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly column: number;
  /** The line itself; empty where it is not known. */
  readonly text: string;
}

/** What a step does to the value that it is about. */
export type StepRole =
  /** The value is what the program, a subprogram or a callback begins with. */
  | "entry"
  /** The value comes from here: a constant, memory, the result of a call. */
  | "origin"
  /** It is another value, moved, stored or loaded. */
  | "copy"
  /** It is computed from others. */
  | "compute"
  /** It is overwritten by something that nobody may read, or becomes less than it was. */
  | "lost"
  /** A branch told something of it. */
  | "refined"
  /** A branch told nothing of it, but the path would be another one without it. */
  | "control";

/** One instruction that matters for a rejection. */
export interface CausalStep extends Place {
  /** Which of the processed instructions it was, counted from 1 over all paths: steps of a path stand in this order. */
  readonly step: number;
  readonly role: StepRole;
  /** What the step is about: `R2`, `fp-8`, `R2 of f` in a call of `f`, `references`. */
  readonly value: string;
  /** Calls that the value is inside of; 0 for the program itself. */
  readonly frame: number;
  /** The values that it was made from, or compared with. */
  readonly from: readonly string[];
  /** What happened, in words. */
  readonly what: string;
  /** The value before and after the instruction, as the log prints it; left out where there is none. */
  readonly before?: string;
  readonly after?: string;
  /** How often the instruction did the same on the path between this step and the next one that is shown; left out for none. */
  readonly repeats?: number;
  /** Steps in front of this one that were left out because there are too many; left out for none. */
  readonly omitted?: number;
}

/** Why a program was rejected. */
export interface Explanation {
  /** Id of the message in the catalogue; `other` for one that is not in it. */
  readonly kind: string;
  /** What sort of rule was broken, and how: the two halves of a headline. */
  readonly class: string;
  readonly short: string;
  /** The kernel's own words. */
  readonly reason: string;
  /** The instruction that was rejected; left out where it is the program as a whole. */
  readonly at?: Place;
  /** Instructions around it, in order of their slots. */
  readonly context: readonly { readonly insn: number; readonly text: string }[];
  /** The register that the rejection is about: `R2`. */
  readonly register?: string;
  /** What the verifier knows there. */
  readonly fact?: string;
  /** What it would have to know. */
  readonly requirement?: string;
  /** The steps that matter, in the order in which they were walked; empty where the shape of the program is the reason. */
  readonly path: readonly CausalStep[];
  readonly suggestion: string;
}
