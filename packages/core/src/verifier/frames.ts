// Calls of subprograms and their ends: frames that come and go.
import { targetOf } from "../isa/targets.ts";
import type { FunctionSignature } from "../program.ts";
import { returnRange } from "../spec/kernel-profile.ts";
import type { ReturnRange } from "../spec/program-types.ts";
import { type CallFacts, checkContext, checkMemory, fillMemory } from "./args.ts";
import { findPrevious, widen } from "./converge.ts";
import { checkSections } from "./kfuncs.ts";
import { markPrecise } from "./precision.ts";
import { forgetPackets } from "./references.ts";
import { Errno, Refusal } from "./refusal.ts";
import { baseOf, copyRegister, Flag, REG_WORDS, SCALAR, setScalar, setUninit, Type, typeName } from "./register.ts";
import { isConstant, SMAX, SMAX32, SMIN, SMIN32 } from "./scalar.ts";
import { Frame, type FrameOrigin, type State } from "./state.ts";
import type { StoredState } from "./store.ts";
import type { Verification } from "./verification.ts";
import { bigOf } from "./words.ts";

/** Adds a frame to a state and enters its subprogram. */
export function pushFrame(v: Verification, state: State<StoredState>, origin: FrameOrigin): Frame {
  const depth = state.frames.length;
  if (depth >= v.profile.limits.callFrames) v.refuse(Errno.E2BIG, `the call stack of ${depth + 1} frames is too deep`);
  const frame = new Frame(origin, v.spare.pop());
  frame.begin(depth);
  state.frames.push(frame);
  state.insn = v.structure.subprogs[origin.subprog]!.start;
  return frame;
}

/** A call of a subprogram: a static one is walked, a global one has been verified on its own. Gives the slot where the path goes on. */
export function callSubprog(v: Verification, i: number): number {
  const target = targetOf(v.insns, i, v.ops[i]!)!;
  const subprog = v.structure.subprogAt(target);
  const signature = v.functions.get(subprog);
  if (signature !== undefined) return callGlobal(v, i, subprog, signature);
  const caller = v.frame.words;
  const frame = pushFrame(v, v.state, { callSite: i, subprog });
  for (let reg = 1; reg <= 5; reg++) copyRegister(frame.words, reg * REG_WORDS, caller, reg * REG_WORDS);
  for (let reg = 0; reg <= 5; reg++) setUninit(caller, reg * REG_WORDS);
  v.log.entered(v);
  return target;
}

/** `exit`: gives the slot where the caller goes on; −1 at the end of the program. */
export function exitFrame(v: Verification): number {
  const { state } = v;
  if (state.frames.length === 1) {
    endProgram(v);
    return -1;
  }
  const callee = state.frame;
  const { callback, callSite } = callee.origin;
  const r = callee.words;
  // A subprogram need not have a result: it is its caller that may not read it then.
  const r0 = callback === undefined && r[0] !== Type.UNINIT ? v.read(0) : 0;
  if (baseOf(r[r0]!) === Type.STACK) v.refuse(Errno.EINVAL, "cannot return stack pointer to the caller");
  if (callback !== undefined) {
    if (r[r0] !== Type.SCALAR) v.deny("R0 not a scalar value");
    markPrecise(v, 0);
    if (!isWithin(r, r0, callback.returns))
      v.refuse(Errno.EINVAL, outOfRange("At callback return", r, r0, callback.returns));
  }
  if (callback !== undefined && state.references.length > callback.references)
    leak(v, "BPF_EXIT instruction in main prog would lead to reference leak");
  v.log.returning(v);
  state.frames.pop();
  const caller = state.frame;
  if (callback === undefined) copyRegister(caller.words, 0, r, r0);
  v.spare.push(callee.words);
  const next = callback === undefined ? callSite + 1 : callSite;
  v.log.returned(v, next);
  if (callback !== undefined) {
    const before = findPrevious(state.parent, next, state.frames.length);
    if (before !== undefined) widen(before, state);
  }
  return next;
}

function isWithin(r: Int32Array, at: number, [min, max]: readonly [number, number]): boolean {
  const x = at + SCALAR;
  const least = BigInt.asIntN(64, bigOf(r[x + SMIN]!, r[x + SMIN + 1]!));
  const most = BigInt.asIntN(64, bigOf(r[x + SMAX]!, r[x + SMAX + 1]!));
  return least >= BigInt(min) && most <= BigInt(max);
}

function outOfRange(where: string, r: Int32Array, at: number, [min, max]: readonly [number, number]): string {
  const x = at + SCALAR;
  const least = BigInt.asIntN(64, bigOf(r[x + SMIN]!, r[x + SMIN + 1]!));
  const most = BigInt.asIntN(64, bigOf(r[x + SMAX]!, r[x + SMAX + 1]!));
  let has = "";
  if (least > -(1n << 63n)) has += ` smin=${least}`;
  if (most < (1n << 63n) - 1n) has += ` smax=${most}`;
  return `${where} the register R0 has${has === "" ? " unknown scalar value" : has} should have been in [${min}, ${max}]`;
}

function leak(v: Verification, reason: string): never {
  v.refuse(
    Errno.EINVAL,
    ...v.state.references.map(({ id, insn }) => `Unreleased reference id=${id} alloc_insn=${insn}`),
    ...(v.modern ? [reason] : []),
  );
}

function endProgram(v: Verification): void {
  const { references, lockId } = v.state;
  const leaks = references.length > 0;
  if (leaks && v.modern) leak(v, "BPF_EXIT instruction in main prog would lead to reference leak");
  checkSections(v);
  if (lockId !== 0)
    v.refuse(
      Errno.EINVAL,
      v.modern
        ? "BPF_EXIT instruction in main prog cannot be used inside bpf_spin_lock-ed region"
        : "bpf_spin_unlock is missing",
    );
  if (leaks) leak(v, "BPF_EXIT instruction in main prog would lead to reference leak");
  const r = v.frame.words;
  if (v.state.frame.origin.callback !== undefined) {
    const at = v.read(0);
    if (r[at] !== Type.SCALAR)
      v.refuse(Errno.EINVAL, `At async callback return the register R0 is not a known value (${typeName(r[at]!)})`);
    markPrecise(v, 0);
    if (!isWithin(r, at, v.state.frame.origin.callback.returns))
      v.refuse(Errno.EINVAL, outOfRange("At async callback return", r, at, v.state.frame.origin.callback.returns));
    return;
  }
  if (v.functions.get(v.root)?.returns === "void") return;
  const { target } = v;
  const isHook = v.type.name === "lsm" && v.attachType === "lsm_mac";
  // Nobody looks at the result of something that has none.
  if (v.root === 0 && target !== undefined && target.result === undefined && (isHook || v.type.name === "struct_ops"))
    return;
  const at = v.read(0);
  if (v.root !== 0) {
    if (r[at] !== Type.SCALAR)
      v.refuse(Errno.EINVAL, `At subprogram exit the register R0 is not a scalar value (${typeName(r[at]!)})`);
    return;
  }
  const range =
    target === undefined || v.type.name !== "lsm" ? returnRange(v.profile, v.type, v.attachType) : hookRange(v);
  if (range === undefined) return;
  if (r[at] !== Type.SCALAR)
    v.refuse(Errno.EINVAL, `At program exit the register R0 is not a known value (${typeName(r[at]!)})`);
  markPrecise(v, 0);
  const fits = isHook
    ? r[at + SCALAR + SMIN32]! >= range.min && r[at + SCALAR + SMAX32]! <= range.max
    : isWithin(r, at, [range.min, range.max]);
  if (fits) return;
  const isVoidOfGroup = v.attachType === "lsm_cgroup" && target !== undefined && target.result === undefined;
  const note = isVoidOfGroup ? ["Note, BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!"] : [];
  v.refuse(Errno.EINVAL, outOfRange("At program exit", r, at, [range.min, range.max]), ...note);
}

/** What a security hook may return; a program of a cgroup says only whether something is allowed. */
function hookRange({ target, attachType }: Verification): ReturnRange | undefined {
  if (attachType !== "lsm_cgroup") return target?.returns;
  return { min: target?.result === undefined ? 1 : 0, max: 1 };
}

/** A call of a global subprogram: the arguments must be what its signature says; r0 is any number afterwards. */
function callGlobal(v: Verification, i: number, subprog: number, signature: FunctionSignature): number {
  const { name } = v.structure.subprogs[subprog]!;
  const { args } = signature;
  const isVoid = signature.returns === "void";
  const blame = `Caller passes invalid args into func#${subprog} ('${name}')`;
  const refusal =
    isVoid && !v.modern
      ? `Global function ${name}() doesn't return scalar. Only those are supported.`
      : signature.refusal;
  if (refusal !== undefined) v.refuse(Errno.EINVAL, refusal, blame);
  v.calledGlobals.add(subprog);
  const r = v.frame.words;
  for (const [index, arg] of args.entries()) {
    const reg = index + 1;
    try {
      checkGlobalArg(v, reg, arg);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      throw new Refusal(arg === "ctx" ? error.errno : Errno.EINVAL, [...error.lines, blame]);
    }
  }
  v.clobber();
  if (v.changesPacket(subprog)) forgetPackets(v);
  if (!isVoid) setScalar(r, 0);
  v.log.mark(0);
  return i + 1;
}

function checkGlobalArg(v: Verification, reg: number, arg: string): void {
  const r = v.frame.words;
  const at = v.read(reg);
  const type = r[at]!;
  const memory = /^mem (\d+)( nonnull)?$/.exec(arg);
  if (memory !== null) {
    if (type === Type.CONTEXT && v.type.name !== "syscall") v.deny(`R${reg} type=ctx expected=fp`);
    checkGlobalMemory(v, reg, at, Number(memory[1]), memory[2] === undefined);
    return;
  }
  if (arg !== "ctx") {
    if (type !== Type.SCALAR) v.deny(`R${reg} is not a scalar`);
    return;
  }
  if (type !== Type.CONTEXT) v.refuse(Errno.EINVAL, `R${reg} type=${typeName(type)} expected=ctx`);
  checkContext(v, reg, at);
}

function checkGlobalMemory(v: Verification, reg: number, at: number, size: number, nullable: boolean): void {
  const r = v.frame.words;
  const type = r[at]!;
  // A null pointer that is a number passes in Linux 6.12, whatever the signature says.
  if (!nullable && ((type & Flag.MAYBE_NULL) !== 0 || (v.modern && type === Type.SCALAR)))
    v.deny(`arg#${reg - 1} is expected to be non-NULL`);
  if (
    (nullable || !v.modern) &&
    type === Type.SCALAR &&
    isConstant(r, at + SCALAR) &&
    (r[at + SCALAR]! | r[at + SCALAR + 1]!) === 0
  )
    return;
  const facts: CallFacts = {
    map: 0,
    allocSize: -1,
    released: 0,
    releasedArg: 0,
    callback: -1,
    fills: [],
    key: undefined,
  };
  r[at] = type & ~Flag.MAYBE_NULL;
  checkMemory(v, reg, at, size, false, false, facts);
  checkMemory(v, reg, at, size, true, false, facts);
  r[at] = type;
  fillMemory(v, facts);
}
