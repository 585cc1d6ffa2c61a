// What passes and lowerings may know of each instruction. Every column reads 0 where nothing is known, and 0 is always the safe choice.

/** Bits of {@link InsnFacts.flags}. Each one is a promise about every run of the program. */
export const Fact = {
  /** Never runs. */
  UNREACHABLE: 1,
  /** A conditional jump that always jumps. */
  ALWAYS_TAKEN: 2,
  /** A conditional jump that never jumps. */
  NEVER_TAKEN: 4,
  /** Writes 32 bits, and nobody reads the upper half of its register before it is written again. */
  UPPER_UNUSED: 8,
  /** A division or modulo whose divisor, in the operation's width, is not 0. */
  DIVISOR_NONZERO: 16,
  /** A signed division or modulo whose divisor is not −1. */
  DIVISOR_NOT_MINUS_ONE: 32,
  /** A shift by register whose count is below the operation's width. */
  SHIFT_IN_RANGE: 64,
  /** {@link InsnFacts.index} holds a number. */
  INDEX_KNOWN: 128,
  /** {@link InsnFacts.offset} holds a number. */
  OFFSET_KNOWN: 256,
  /** Writes 32 bits, of which the highest is 0: with its sign extended the result is the one with zeros above it. */
  TOP_CLEAR: 512,
  /** A tail call whose index, all 64 bits of it, is below the size of its array. */
  INDEX_IN_RANGE: 1024,
} as const;

/** What a pointer points into: values of {@link InsnFacts.pointer}. */
export const PointerKind = {
  UNKNOWN: 0,
  CONTEXT: 1,
  STACK: 2,
  MAP: 3,
  MAP_VALUE: 4,
  PACKET: 5,
} as const;

/** Columns by slot; the second slot of a two-slot load has none. */
export interface InsnFacts {
  /** Bits of {@link Fact}. */
  readonly flags: Uint16Array;
  /** {@link PointerKind} of the address register of a load, store or atomic. */
  readonly pointer: Uint8Array;
  /** With OFFSET_KNOWN: where the access begins, in bytes from the start of the context or of the value, or from r10. */
  readonly offset: Int32Array;
  /** Map that a call gets in its map argument, or whose value an access reaches: 1 + its index in `program.maps`. */
  readonly map: Int32Array;
  /** With INDEX_KNOWN: the constant key of a map helper whose map has 4-byte keys, or the constant index of a tail call. */
  readonly index: Int32Array;
}

/** No columns at all: every read gives undefined, which is no fact either. */
export const NO_FACTS: InsnFacts = noFacts(0);

/** Facts of a program of `slots` slots of which nothing is known. */
export function noFacts(slots: number): InsnFacts {
  return {
    flags: new Uint16Array(slots),
    pointer: new Uint8Array(slots),
    offset: new Int32Array(slots),
    map: new Int32Array(slots),
    index: new Int32Array(slots),
  };
}
