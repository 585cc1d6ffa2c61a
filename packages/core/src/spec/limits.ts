// How much of everything a kernel's verifier allows, and what else differs from kernel version to kernel version.

/** Most frames of calls that any kernel here allows, and that engines run: of one program, since one that is tail-called begins to count anew. */
export const MAX_CALL_FRAMES: 16 = 16;

/** Bounds of verification. All are counts, unless told. */
export interface Limits {
  /** Instructions that a program may have. */
  readonly programInsns: number;
  /** Instructions processed, over all paths. */
  readonly processedInsns: number;
  /** Branches that wait to be explored, at one time. */
  readonly pendingBranches: number;
  /** Stored states of one instruction before the search for an equal one is cut short. */
  readonly statesPerInsn: number;
  /** Frames of calls. */
  readonly callFrames: number;
  /** Bytes of stack, of one subprogram and of a chain of calls. */
  readonly stackBytes: number;
  /** Bytes of stack of a subprogram that makes tail calls and of those above it, each chain as a whole. */
  readonly stackBytesAboveTailCall: number;
  /** Subprograms. */
  readonly subprograms: number;
  /** Maps that one program uses. */
  readonly maps: number;
  /** Largest offset of a pointer, in bytes, either way. */
  readonly pointerOffset: number;
  /** Largest memory that a size argument may name, in bytes. */
  readonly memorySize: number;
  /** Bytes that can be known of a packet. */
  readonly packetOffset: number;
  /** Tail calls of one invocation. */
  readonly tailCalls: number;
  /** Iterations that `may_goto` grants. */
  readonly mayGotoIterations: number;
  /** Iterations that `bpf_loop` grants. */
  readonly loopIterations: number;
}
