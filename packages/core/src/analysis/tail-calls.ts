// What a program's tail calls lead through, where that is known before it runs, and whether its shape allows them at all.
import { BpfError } from "../errors.ts";
import { kindOf, opAt } from "../isa/decode.ts";
import { MAP_TYPES } from "../isa/maps.ts";
import type { VerifiedProgram } from "../program.ts";
import { Fact } from "./facts.ts";
import { inferFacts } from "./infer-facts.ts";

/** A tail call in a program. */
export interface TailCallSite {
  /** Slot of the instruction. */
  readonly insn: number;
  readonly subprog: number;
  /** Index in `program.maps` of the prog array, where it is always the same. */
  readonly map: number | undefined;
  /** The slot of the array, where it is always the same and the array has it. */
  readonly key: number | undefined;
}

/** The tail calls of a program in order, reachable or not. O(slots); facts are inferred where the program has none and makes any tail call. */
export function tailCallsOf(verified: VerifiedProgram): readonly TailCallSite[] {
  const { program, structure } = verified;
  if (!structure.subprogs.some(({ hasTailCall }) => hasTailCall)) return [];
  const facts = verified.facts ?? inferFacts(verified);
  const { insns, maps } = program;
  const sites: TailCallSite[] = [];
  for (const [subprog, { start, end, hasTailCall }] of structure.subprogs.entries()) {
    for (let insn = start; hasTailCall && insn < end; insn += insns.width(insn)) {
      const op = opAt(insns, insn);
      if (op < 0 || kindOf(op) !== "tailCall") continue;
      const index = (facts.map[insn] ?? 0) - 1;
      const spec = maps[index];
      const isArray = spec?.type === MAP_TYPES.prog_array;
      const isKnown = ((facts.flags[insn] ?? 0) & Fact.INDEX_KNOWN) !== 0;
      const key = facts.index[insn]! >>> 0;
      sites.push({
        insn,
        subprog,
        map: isArray ? index : undefined,
        key: isArray && isKnown && key < spec.maxEntries ? key : undefined,
      });
    }
  }
  return sites;
}

/**
 * Callbacks are entered from outside BPF, where nobody hands the count of tail calls on.
 *
 * @throws {BpfError} `unsupported` when a tail call can happen below a callback; Linux refuses such programs, too
 */
export function checkTailCalls({ program, structure }: VerifiedProgram): void {
  const { subprogs } = structure;
  for (const { callbacks } of subprogs) {
    const callback = callbacks.find((index) => subprogs[index]!.tailCallReachable);
    if (callback === undefined) continue;
    throw new BpfError("unsupported", `a tail call within callback ${subprogs[callback]!.name} of '${program.name}'`, {
      insn: subprogs[callback]!.start,
      hint: "a helper calls it, and the count of tail calls does not pass through helpers",
    });
  }
}
