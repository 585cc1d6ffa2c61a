// What guards tell of pointers, and what makes them worthless; what a part of a spilled number still is.
import { Type } from "./register.ts";
import { UMAX } from "./scalar.ts";
import { Byte, kindAt } from "./state.ts";
import { bitsOf, unsigned } from "./words.ts";

/** Rules that a test can break. */
export interface Guards {
  /** Bytes of the packet that are there when a pointer at most `max` bytes into it is at its end or before; `below`: before it. */
  readonly packetBytes: (max: number, below: boolean) => number;
  /** Most bytes that a helper touches whose size argument is the scalar at `x`. */
  readonly helperBytes: (r: Int32Array, x: number) => number;
  /** Whether a null check of a pointer tells about another one, by their ids. */
  readonly tellsAbout: (checked: number, other: number) => boolean;
  /** Whether pointers of a type are worth nothing when the packet has changed. */
  readonly endsWithPacket: (base: number) => boolean;
  /** Whether a pointer with reference `held` is worth nothing when `released` has been given back. */
  readonly endsWith: (held: number, released: number) => boolean;
  /** Kinds of a slot's bytes when the register that was spilled there is not whole any more. */
  readonly withoutSpill: (kinds: number) => number;
  /** Whether `bytes` bytes hold all of the number at `x`. */
  readonly fits: (r: Int32Array, x: number, bytes: number) => boolean;
}

/** As they should be. */
export const GUARDS: Guards = {
  packetBytes: (max, below) => max + (below ? 1 : 0),
  helperBytes: (r, x) => unsigned(r[x + UMAX]!, r[x + UMAX + 1]!),
  tellsAbout: (checked, other) => checked === other,
  endsWithPacket: (base) => base === Type.PACKET || base === Type.PACKET_META || base === Type.PACKET_END,
  endsWith: (held, released) => held === released,
  withoutSpill: (kinds) => {
    let left = kinds;
    for (let byte = 0; byte < 8; byte++) {
      if (kindAt(kinds, byte) === Byte.SPILL) left = (left & ~(15 << (4 * byte))) | (Byte.MISC << (4 * byte));
    }
    return left;
  },
  fits: (r, x, bytes) => bitsOf(r[x + UMAX]!, r[x + UMAX + 1]!) <= 8 * bytes,
};
