// References: acquired by helpers, given back by others; and what becomes of their copies.
import { AUX, baseOf, DELTA, Flag, ID, REF, SCALAR, setScalar, Type } from "./register.ts";
import { setConstant } from "./scalar.ts";
import type { Reference, State } from "./state.ts";
import type { StoredState } from "./store.ts";
import type { Verification } from "./verification.ts";

/** A new reference, which the path has to give back. */
export function acquire(v: Verification, insn: number): number {
  const id = v.nextId();
  v.state.references = [...v.state.references, { id, insn }];
  return id;
}

/** Gives a reference back: every copy of the pointer is a number from now on. False when the path does not hold it. */
export function release(v: Verification, id: number): boolean {
  const { state } = v;
  if (!state.references.some((reference) => reference.id === id)) return false;
  state.references = without(state.references, id, v.modern);
  state.each((words, at) => {
    if (v.tables.guards.endsWith(words[at + REF]!, id)) setScalar(words, at);
  });
  return true;
}

/** In 6.12 the last one takes the place of one that is given back, as messages about several that are left show. */
function without(references: readonly Reference[], id: number, modern: boolean): readonly Reference[] {
  const rest = references.filter((reference) => reference.id !== id);
  const place = references.findIndex((reference) => reference.id === id);
  if (modern || place === references.length - 1) return rest;
  const [last] = rest.splice(-1);
  rest.splice(place, 0, last!);
  return rest;
}

/** A pointer that may be null, and all its copies: on this side of a comparison it is null, or it is not. */
export function settleNull(
  v: Verification,
  state: State<StoredState>,
  words: Int32Array,
  at: number,
  isNull: boolean,
): void {
  const id = words[at + ID]!;
  const reference = words[at + REF]!;
  if (isNull && reference !== 0 && reference === id) {
    state.references = state.references.filter((held) => held.id !== reference);
  }
  state.each((other, x) => {
    if ((other[x]! & Flag.MAYBE_NULL) === 0 || !v.tables.guards.tellsAbout(id, other[x + ID]!)) return;
    if (isNull) {
      setScalar(other, x);
      setConstant(other, x + SCALAR, 0, 0);
      return;
    }
    other[x]! &= ~Flag.MAYBE_NULL;
    // Linux 7.2 keeps the id. Older kernels do where a spin lock in a map's value is told by it.
    if (v.modern) return;
    const isValue = (other[x]! & 0xff) === Type.MAP_VALUE && other[x + AUX] !== 0;
    if (!isValue || v.map(other[x + AUX]!).fields === undefined) other[x + ID] = 0;
  });
}

/** Pointers into the packet are worth nothing any more. */
export function forgetPackets(v: Verification): void {
  v.state.each((words, at) => {
    const base = baseOf(words[at]!);
    // Of a dynptr of the packet: see special-slots.ts.
    const isSlice = base === Type.MEMORY && words[at + DELTA] === 1;
    if (isSlice || v.tables.guards.endsWithPacket(base)) setScalar(words, at);
  });
}
