// All passes by name, in the order in which they work together.
import type { Pass } from "../patch/patch.ts";
import { blindConstants } from "./blind-constants.ts";
import { type ContextLayouts, convertContext } from "./convert-context.ts";
import { expandMayGoto } from "./expand-may-goto.ts";
import { guardDivision } from "./guard-division.ts";
import { inlineArrayLookup } from "./inline-array-lookup.ts";
import { maskTailCalls } from "./mask-tail-calls.ts";
import { removeDeadCode } from "./remove-dead-code.ts";
import { zeroExtend } from "./zero-extend.ts";

/** What passes need besides the program. */
export interface PassOptions {
  /** 32 random bits, for `blind-constants`. */
  readonly random: () => number;
  /** What the kernel has for the contexts of program types, for `convert-ctx-access`; nothing unless told. */
  readonly layouts?: ContextLayouts;
}

/** Every pass there is. Each sees what those before it made; `patch` takes them in any order. */
export function allPasses({ random, layouts = {} }: PassOptions): readonly Pass[] {
  return [
    removeDeadCode,
    convertContext(layouts),
    inlineArrayLookup,
    maskTailCalls,
    guardDivision,
    expandMayGoto,
    zeroExtend,
    blindConstants(random),
  ];
}
