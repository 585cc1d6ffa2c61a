// What a log of level 2 begins with: where functions begin, and which registers are in use before each instruction.
import { printInsn } from "../asm/print.ts";
import { targetOf } from "../isa/targets.ts";
import { ROWS } from "./rows.ts";
import type { Verification } from "./verification.ts";

/** The lines in front of the first state. Older kernels than 7.2 print the functions only. */
export function preambleLines(v: Verification): string[] {
  const lines = v.structure.subprogs.map(({ start }, n) => `func#${n} @${start}`);
  if (!v.modern) return lines;
  lines.push("Live regs before insn:");
  const loops = componentsOf(v);
  for (let i = 0; i < v.insns.length; i += v.insns.width(i)) {
    const loop = loops[i] === 0 ? "    " : `${String(loops[i]).padStart(3)} `;
    let live = "";
    for (let reg = 0; reg < 10; reg++) live += ((v.live[i]! >> reg) & 1) === 1 ? reg : ".";
    lines.push(
      `${loop}${`${i}`.padStart(3)}: ${live} ${printInsn(v.insns, i, { dialect: "kernel", program: v.program })}`,
    );
  }
  return lines;
}

/**
 * Loops: instructions from which one can come back, numbered from 1 in the order in which a walk from the first instruction has left them
 * behind; 0 for those that are in none. Strongly connected components, after Tarjan, without recursion.
 */
function componentsOf({ insns, ops }: Verification): Int32Array {
  const component = new Int32Array(insns.length);
  const order = new Int32Array(insns.length);
  const low = new Int32Array(insns.length);
  const isOpen = new Uint8Array(insns.length);
  const open: number[] = [];
  let visited = 0;
  let found = 0;
  const waysOn = (i: number): number[] => {
    const { kind } = ROWS[ops[i]!]!;
    if (kind === "exit") return [];
    const next = i + insns.width(i);
    const target = kind === "callSubprog" || kind === "loadImm64" ? undefined : targetOf(insns, i, ops[i]!);
    const ways = kind === "jump" || kind === "gotox" ? [] : [next];
    if (target !== undefined && target !== next) ways.push(target);
    return ways.filter((way) => way < insns.length);
  };
  const enter = (i: number): { readonly i: number; readonly ways: number[] } => {
    order[i] = ++visited;
    low[i] = visited;
    isOpen[i] = 1;
    open.push(i);
    return { i, ways: waysOn(i) };
  };
  for (let root = 0; root < insns.length; root += insns.width(root)) {
    const walk = order[root] === 0 ? [enter(root)] : [];
    for (let top = walk.at(-1); top !== undefined; top = walk.at(-1)) {
      const { i, ways } = top;
      const way = ways.shift();
      if (way !== undefined) {
        if (order[way] === 0) walk.push(enter(way));
        else if (isOpen[way] === 1) low[i] = Math.min(low[i]!, order[way]!);
        continue;
      }
      walk.pop();
      const above = walk.at(-1);
      if (above !== undefined) low[above.i] = Math.min(low[above.i]!, low[i]!);
      if (low[i] !== order[i]) continue;
      const members = open.splice(open.lastIndexOf(i));
      const loops = members.length > 1 || waysOn(i).includes(i);
      if (loops) found++;
      for (const member of members) {
        isOpen[member] = 0;
        if (loops) component[member] = found;
      }
    }
  }
  return component;
}
