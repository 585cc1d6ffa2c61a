// What the shape of a program says before any path is walked: registers in use, and where states are worth storing.
import { Mark, type Structure } from "../analysis/structure.ts";
import type { Insns } from "../isa/insns.ts";
import { targetOf } from "../isa/targets.ts";
import { KFUNCS } from "../spec/kfuncs.ts";
import { helperSpec } from "./prototypes.ts";
import { ROWS } from "./rows.ts";

/** Bits of what {@link pointsOf} gives. */
export const Point = {
  /** States are compared and stored here. */
  PRUNE: 1,
  /** A state is always stored here. */
  FORCE: 2,
  /** A call whose helper calls back. */
  CALLBACK: 4,
  /** Control comes here from elsewhere. */
  JUMP: 8,
} as const;

const CALLER_SAVED = 0b11_1110;
const CALLEE_SAVED = 0b11_1100_0000;

/** Registers that the instruction reads and writes, as two sets: read | written << 16. */
export function usesOf(insns: Insns, ops: Int16Array, i: number, kfuncs: readonly string[] = []): number {
  const row = ROWS[ops[i]!]!;
  const dst = 1 << insns.dst(i);
  const src = 1 << insns.src(i);
  switch (row.kind) {
    case "alu":
    case "div":
    case "shift":
      return dst | (row.immediate ? 0 : src) | (dst << 16);
    case "neg":
    case "end":
      return dst | (dst << 16);
    case "mov":
      return (row.immediate ? 0 : src) | (dst << 16);
    case "movsx":
    case "addrSpaceCast":
    case "load":
    case "loadSx":
    case "loadAcquire":
      return src | (dst << 16);
    case "loadImm64":
      return dst << 16;
    case "store":
    case "storeRelease":
      return dst | src;
    case "storeImm":
      return dst;
    case "atomic": {
      if (!row.fetches) return dst | src;
      return row.operation === "cmpxchg" ? dst | src | 1 | (1 << 16) : dst | src | (src << 16);
    }
    case "jumpIf":
      return dst | (row.immediate ? 0 : src);
    case "exit":
      return 1;
    case "packetLoad":
      // The kernel takes all registers to be in use there.
      return 0x3ff | ((1 | CALLER_SAVED) << 16);
    case "callHelper":
    case "tailCall":
      return argumentsOf(insns.imm(i)) | ((1 | CALLER_SAVED) << 16);
    case "callKfunc":
      return kfuncArguments(kfuncs[insns.imm(i)]) | ((1 | CALLER_SAVED) << 16);
    case "callSubprog":
    case "callx":
      return CALLER_SAVED | ((1 | CALLER_SAVED) << 16);
    default:
      return row.kind === "gotox" ? dst : 0;
  }
}

function argumentsOf(helper: number): number {
  const spec = helperSpec(helper);
  if (spec === undefined) return CALLER_SAVED;
  // What it prints is no argument to the verifier.
  const count = spec.name === "trace_printk" ? 2 : spec.args.length;
  return ((1 << (count + 1)) - 1) & ~1;
}

function kfuncArguments(name: string | undefined): number {
  const spec = name !== undefined && Object.hasOwn(KFUNCS, name) ? KFUNCS[name] : undefined;
  return spec === undefined ? CALLER_SAVED : ((1 << (spec.args.length + 1)) - 1) & ~1;
}

/** Per slot, the registers that somebody reads before they are written; of a subprogram's own frame. Iterates until nothing changes. */
export function liveRegisters(
  insns: Insns,
  ops: Int16Array,
  structure: Structure,
  kfuncs: readonly string[] = [],
): Uint16Array {
  const live = new Uint16Array(insns.length);
  for (const { start, end } of structure.subprogs) {
    for (let changed = true; changed; ) {
      changed = false;
      for (let i = end - 1; i >= start; i--) {
        if ((structure.marks[i]! & Mark.START) === 0) continue;
        const row = ROWS[ops[i]!]!;
        const uses = usesOf(insns, ops, i, kfuncs);
        let after = 0;
        const target = row.kind === "callSubprog" || row.kind === "loadImm64" ? undefined : targetOf(insns, i, ops[i]!);
        if (target !== undefined) after |= live[target]!;
        if (row.kind !== "exit" && row.kind !== "jump" && row.kind !== "gotox") after |= live[i + insns.width(i)] ?? 0;
        if (row.kind === "gotox") after |= 0x3ff;
        const before = (after & ~(uses >>> 16)) | (uses & 0xffff);
        if (before !== live[i]) {
          live[i] = before;
          changed = true;
        }
      }
    }
  }
  return live;
}

/** Registers of a caller that are in use while the call at `site` runs. */
export function liveAcross(live: Uint16Array, site: number): number {
  return live[site + 1]! & CALLEE_SAVED;
}

/** Where states are compared and stored: where paths fork and where they come together. */
export function pointsOf(insns: Insns, ops: Int16Array, kfuncs: readonly string[] = []): Uint8Array {
  const points = new Uint8Array(insns.length + 1);
  for (let i = 0; i < insns.length; i += insns.width(i)) {
    const row = ROWS[ops[i]!]!;
    const target = targetOf(insns, i, ops[i]!);
    switch (row.kind) {
      case "jumpIf":
        points[i]! |= Point.PRUNE;
        points[target!]! |= Point.PRUNE | Point.JUMP;
        break;
      case "mayGoto":
        points[i]! |= Point.PRUNE | Point.FORCE;
        points[target!]! |= Point.PRUNE | Point.JUMP;
        break;
      case "jump":
        points[target!]! |= Point.PRUNE | Point.JUMP;
        break;
      case "callSubprog":
        points[i]! |= Point.PRUNE;
        points[target!]! |= Point.PRUNE | Point.JUMP;
        points[i + 1]! |= Point.PRUNE | Point.JUMP;
        break;
      case "loadImm64":
        if (target !== undefined) points[target]! |= Point.PRUNE | Point.FORCE;
        break;
      case "callHelper":
      case "tailCall":
      case "callKfunc": {
        points[i + 1]! |= Point.PRUNE | Point.JUMP;
        const kfunc = row.kind === "callKfunc" ? kfuncs[insns.imm(i)] : undefined;
        if (kfunc !== undefined && Object.hasOwn(KFUNCS, kfunc) && KFUNCS[kfunc]!.iterator === "next")
          points[i]! |= Point.PRUNE | Point.FORCE;
        if (row.kind !== "callHelper" || helperSpec(insns.imm(i))?.args.includes("callback") !== true) break;
        points[i]! |= Point.PRUNE | Point.FORCE | Point.CALLBACK;
        break;
      }
      default:
    }
  }
  return points;
}
