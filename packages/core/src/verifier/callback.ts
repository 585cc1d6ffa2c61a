// Helpers that call back: the callback is walked as if it were called any number of times.
import type { HelperArg, HelperSpec } from "../spec/helper-words.ts";
import type { CallFacts } from "./args.ts";
import { pushFrame } from "./frames.ts";
import { markPrecise } from "./precision.ts";
import { Errno } from "./refusal.ts";
import { copyRegister, Flag, ID, REG_WORDS, SCALAR, setPointer, setScalar, Type } from "./register.ts";
import { UMAX } from "./scalar.ts";
import { Dynptr } from "./special-slots.ts";
import { type CallbackSite, Frame, State } from "./state.ts";
import type { Verification } from "./verification.ts";
import { unsigned } from "./words.ts";

type Setup = (r: Int32Array, caller: Int32Array, facts: CallFacts, v: Verification) => void;

const at = (reg: number): number => reg * REG_WORDS;

interface CallbackKind {
  readonly setup: Setup;
  readonly returns: readonly [number, number];
  /** It runs later, on its own. */
  readonly async?: true;
}

const CALLBACKS: Readonly<Record<string, CallbackKind>> = {
  loop: {
    setup: (r, caller) => {
      setScalar(r, at(1));
      copyRegister(r, at(2), caller, at(3));
    },
    returns: [0, 1],
  },
  user_ringbuf_drain: {
    setup: (r, caller, _, v) => {
      setPointer(r, at(1), Type.DYNPTR, Dynptr.LOCAL);
      r[at(1) + ID] = v.nextId();
      copyRegister(r, at(2), caller, at(3));
    },
    returns: [0, 1],
  },
  for_each_map_elem: {
    setup: (r, caller, { map }) => {
      setPointer(r, at(1), Type.MAP, map);
      setPointer(r, at(2), Type.MAP_KEY, map);
      setPointer(r, at(3), Type.MAP_VALUE, map);
      copyRegister(r, at(4), caller, at(3));
    },
    returns: [0, 1],
  },
  find_vma: {
    setup: (r, caller, _facts, v) => {
      copyRegister(r, at(1), caller, at(1));
      setPointer(r, at(2), Type.BTF | Flag.TRUSTED, v.structs.numberOf("vm_area_struct"));
      copyRegister(r, at(3), caller, at(4));
    },
    returns: [0, 1],
  },
  timer_set_callback: {
    setup: (r, caller) => {
      const map = caller[at(1) + 3]!;
      setPointer(r, at(1), Type.MAP, map);
      setPointer(r, at(2), Type.MAP_KEY, map);
      setPointer(r, at(3), Type.MAP_VALUE, map);
    },
    returns: [0, 0],
    async: true,
  },
};

/** Queues the walk through the callback that was passed to a helper; the path itself goes on as if it had not been called (again). */
export function enterCallback(
  v: Verification,
  i: number,
  spec: HelperSpec,
  _args: readonly HelperArg[],
  facts: CallFacts,
): void {
  const kind = CALLBACKS[spec.name];
  if (kind === undefined) v.refuse(Errno.EOPNOTSUPP, `callbacks of bpf_${spec.name} are not verified here yet`);
  const caller = v.frame;
  const site: CallbackSite = {
    helper: spec.name,
    returns: kind.returns,
    repeats: kind.async === undefined,
    references: v.state.references.length,
  };
  const origin = { callSite: i, subprog: facts.callback, callback: site };
  if (kind.async) {
    const frame = new Frame({ ...origin, callSite: -1 });
    frame.begin(0);
    kind.setup(frame.words, caller.words, facts, v);
    const state = new State<never>([frame]) as typeof v.state;
    state.insn = v.structure.subprogs[facts.callback]!.start;
    state.previous = i;
    state.first = state.insn;
    v.pending.push(state);
    return;
  }
  if (spec.name === "loop") {
    markPrecise(v, 1);
    const most = unsigned(caller.words[at(1) + SCALAR + UMAX]!, caller.words[at(1) + SCALAR + UMAX + 1]!);
    if (caller.callbackDepth >= most) {
      caller.callbackDepth = 0;
      return;
    }
  }
  const state = v.fork(i, i);
  const frame = pushFrame(v, state, origin);
  kind.setup(frame.words, state.frames[state.frames.length - 2]!.words, facts, v);
  state.frames[state.frames.length - 2]!.callbackDepth++;
  state.callbackUnroll++;
  caller.callbackDepth = 0;
}
