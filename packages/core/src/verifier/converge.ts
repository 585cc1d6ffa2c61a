// How walks through loops end that have a bound of their own (may_goto, callbacks): numbers that nothing depended on become unknown.
import { PRECISE, REG_WORDS, SCALAR, setScalar, TYPE, Type } from "./register.ts";
import { SCALAR_WORDS } from "./scalar.ts";
import { isSpill, KINDS, regAt, type State, spillAt } from "./state.ts";
import { eachStored, type StoredState } from "./store.ts";

const scratch = new Int32Array(REG_WORDS);

/** The last state on the way that was stored at an instruction, with as many frames. */
export function findPrevious(from: StoredState | undefined, insn: number, frames: number): StoredState | undefined {
  for (let stored = from; stored !== undefined; stored = stored.parent) {
    if (stored.insn === insn && stored.frames === frames) return stored;
  }
  return undefined;
}

/** Numbers that changed since `before` and that no decision depended on may be anything from now on. */
export function widen(before: StoredState, state: State<StoredState>): void {
  eachStored(before, scratch, (f, reg, slot, kinds) => {
    if (scratch[TYPE] !== Type.SCALAR || scratch[PRECISE] !== 0) return;
    const frame = state.frames[f]!;
    if (slot >= 0 && (slot >= frame.depth || !isSpill(kinds) || !isSpill(frame.words[KINDS + slot]!))) return;
    const at = slot < 0 ? regAt(reg) : spillAt(slot);
    const r = frame.words;
    if (r[at + TYPE] !== Type.SCALAR || r[at + PRECISE] !== 0) return;
    for (let i = 0; i < SCALAR_WORDS; i++) {
      if (r[at + SCALAR + i] === scratch[SCALAR + i]) continue;
      setScalar(r, at);
      return;
    }
  });
}
