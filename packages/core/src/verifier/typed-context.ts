// The context of programs that are attached to something with types: an array of 64-bit words, one an argument, and the result behind them.

import type { KernelType } from "../spec/kernel-types.ts";
import { sync } from "./deduce.ts";
import type { Access } from "./memory.ts";
import { AUX, Flag, ID, SCALAR, setPointer, setScalar, Type } from "./register.ts";
import { lowerSmax, raiseSmin } from "./scalar.ts";
import type { Verification } from "./verification.ts";

/** No context has more. */
const MOST_ARGUMENTS = 12;
const MAX_OFFSET = 2 ** 29;

/** Attach types whose programs see the result. */
const WITH_RESULT: ReadonlySet<string> = new Set([
  "trace_fexit",
  "trace_fsession",
  "modify_return",
  "lsm_mac",
  "lsm_cgroup",
]);

type Refuse = (...lines: string[]) => never;

/** A load at `place` of the context; refuses what is no argument. */
export function accessTypedContext(v: Verification, place: number, size: number, access: Access): void {
  const r = v.frame.words;
  const bad: Refuse = (...lines) => v.deny(...lines, `invalid bpf_context access off=${place} size=${size}`);
  if (place < 0 || place >= 8 * MOST_ARGUMENTS || access.write || place % size !== 0) bad();
  const { target, attachType } = v;
  if (target === undefined) {
    if (place % 8 !== 0) bad();
    if (access.value >= 0) setScalar(r, access.value);
    return;
  }
  if (place % 8 !== 0) bad(`func '${target.name}' offset ${place} is not multiple of 8`);
  const n = place / 8;
  const { args, result } = target;
  const isResult = n === args.length && attachType !== undefined && WITH_RESULT.has(attachType);
  const type = n < args.length ? args[n] : isResult ? (result ?? { kind: "void" as const }) : undefined;
  if (type === undefined) bad(`func '${target.name}' doesn't have ${n + 1}-th argument`);
  if (type.kind === "void") bad(`func '${target.name}' arg${n} '' has type VOID. Only pointer access is allowed`);
  if (type.kind === "number" || type.kind === "struct") {
    if (access.value < 0) return;
    setScalar(r, access.value);
    if (isResult && attachType === "lsm_mac" && target.returns !== undefined)
      boundTo(r, access.value, target.returns.min, target.returns.max);
    return;
  }
  if (size !== 8) bad(`func '${target.name}' size ${size} must be 8`);
  if (access.value >= 0) give(v, r, access.value, type);
}

function give(v: Verification, r: Int32Array, at: number, type: KernelType): void {
  if (type.kind === "pointer") {
    const tag = type.tag === "user" ? Flag.USER : type.tag === "percpu" ? Flag.PERCPU : 0;
    const trusted = passesTrusted(v) ? Flag.TRUSTED : 0;
    const orNull = type.nullable === true ? Flag.MAYBE_NULL : 0;
    setPointer(r, at, Type.BTF | trusted | orNull | tag, v.structs.numberOf(type.to));
    if (orNull !== 0) r[at + ID] = v.nextId();
  } else if (type.kind === "buffer") {
    const orNull = type.nullable ? Flag.MAYBE_NULL : 0;
    setPointer(r, at, Type.BUFFER | (type.readOnly ? Flag.READ_ONLY : 0) | orNull);
    // How far it reaches is a matter of the map that the program is attached to.
    r[at + AUX] = MAX_OFFSET;
    if (orNull !== 0) r[at + ID] = v.nextId();
  } else setScalar(r, at);
}

/** What these programs get is valid while they run; at the entry and exit of functions anything may be passed. */
function passesTrusted({ type, attachType, target }: Verification): boolean {
  if (type.name === "struct_ops") return true;
  if (type.name === "lsm") return target?.untrusted !== true;
  return attachType === "trace_raw_tp" || attachType === "trace_iter";
}

function boundTo(r: Int32Array, at: number, min: number, max: number): void {
  raiseSmin(r, at + SCALAR, min, min >> 31);
  lowerSmax(r, at + SCALAR, max, max >> 31);
  sync(r, at + SCALAR);
}
