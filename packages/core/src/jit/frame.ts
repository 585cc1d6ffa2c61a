// The stack frame of a subprogram, as far as all backends agree on it; where its parts lie is a backend's business.
import type { SubprogInfo } from "../analysis/structure.ts";

/** What a subprogram's code needs to keep. Sizes in bytes. */
export interface Frame {
  /** Below BPF r10: what the program itself can touch. Multiple of 8. */
  readonly stack: number;
  /** Hidden below that: the counter of may_goto, 8 bytes or 0. */
  readonly counter: number;
  /** The callee-saved BPF registers r6..r9 that it uses, ascending. */
  readonly saved: readonly number[];
  /** Whether r10 is named in it. */
  readonly usesR10: boolean;
  readonly hasCalls: boolean;
}

/** The frame of a subprogram. */
export function frameOf(info: SubprogInfo): Frame {
  const { stackDepth, registers, hasCalls, hasMayGoto } = info;
  return {
    stack: (stackDepth + 7) & ~7,
    counter: hasMayGoto ? 8 : 0,
    saved: [6, 7, 8, 9].filter((register) => (registers >>> register) & 1),
    usesR10: ((registers >>> 10) & 1) !== 0,
    hasCalls,
  };
}
