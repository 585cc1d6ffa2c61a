// What a program type hands its programs in r1, and what the host gets back from it.
import type { ContextLayout, Memory } from "@bpfkit/core";

/** What one test run passes in (the kernel's `BPF_PROG_TEST_RUN`). */
export interface ContextInput {
  /** The packet, for program types that have one. */
  readonly data?: Uint8Array;
  /** The context structure as user space sees it. */
  readonly context?: Uint8Array;
  readonly repeat?: number;
}

/** A context in guest memory, during one run. */
export interface Context {
  /** What r1 holds. */
  readonly address: bigint;
  /** Copies of what the program left. */
  dataOut(): Uint8Array | undefined;
  contextOut(): Uint8Array | undefined;
  /** Where an address is relative to the context's buffers, in words, for traps; undefined when it is in none of them. */
  describe(address: bigint): string | undefined;
}

/** A program type. One instance per CPU keeps its buffers between runs. */
export interface ContextKind {
  readonly type: string;
  /** Whether the legacy packet loads (RFC 9669 section 5.5) work: they need a socket buffer. */
  readonly packetLoads: boolean;
  /** What lies behind the structure that programs see, in kernel terms; programs that were not rewritten do without. */
  readonly layout: ContextLayout;
  /**
   * Makes what prepares runs on one CPU; the function it gives throws a {@link BpfError} `argument` for input that the kernel's test
   * run refuses.
   */
  create(memory: Memory, cpu: number): (input: ContextInput) => Context;
}
