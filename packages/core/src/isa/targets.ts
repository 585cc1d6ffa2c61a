// Where instructions go, and the subprograms that this implies.
import type { Subprog } from "../program.ts";
import { kindOf, opAt } from "./decode.ts";
import type { Insns } from "./insns.ts";

const GOTOL = 0x06;
const PSEUDO_FUNC = 4;

/**
 * Slot that the instruction at `i` jumps to, calls, or takes the address of; undefined when it does none of these. `op` is its index
 * in OPS. The target may lie outside the program.
 */
export function targetOf(insns: Insns, i: number, op: number): number | undefined {
  switch (kindOf(op)) {
    case "jumpIf":
    case "mayGoto":
      return i + 1 + insns.off(i);
    case "jump":
      return i + 1 + (insns.code(i) === GOTOL ? insns.imm(i) : insns.off(i));
    case "callSubprog":
      return i + 1 + insns.imm(i);
    case "loadImm64":
      return insns.src(i) === PSEUDO_FUNC ? i + 1 + insns.imm(i) : undefined;
    default:
      return undefined;
  }
}

/**
 * The declared subprograms and those that calls and callback loads imply, sorted by start; `nameOf` names the latter. Targets outside
 * the program are passed over. Linear.
 */
export function subprogsOf(
  insns: Insns,
  declared: readonly Subprog[],
  nameOf: (start: number) => string = (start) => (start === 0 ? "main" : `sub_${start}`),
): readonly Subprog[] {
  const starts = new Uint8Array(insns.length);
  const names = new Map<number, string>();
  for (const { name, start } of declared) {
    if (!Number.isInteger(start) || start < 0 || start >= insns.length) continue;
    starts[start] = 1;
    names.set(start, name);
  }
  if (insns.length > 0) starts[0] = 1;
  for (let i = 0; i < insns.length; i += insns.width(i)) {
    const op = opAt(insns, i);
    if (op < 0) continue;
    const kind = kindOf(op);
    if (kind !== "callSubprog" && kind !== "loadImm64") continue;
    const target = targetOf(insns, i, op);
    if (target !== undefined && target >= 0 && target < insns.length) starts[target] = 1;
  }
  const subprogs: Subprog[] = [];
  for (let start = starts.indexOf(1); start >= 0; start = starts.indexOf(1, start + 1)) {
    subprogs.push({ name: names.get(start) ?? nameOf(start), start });
  }
  return subprogs;
}
