// Numbers and registers as the kernel's log prints them.
import {
  AUX,
  baseOf,
  DELTA,
  FIXED,
  Flag,
  FRAME,
  fixedOf,
  ID,
  LINK,
  PRECISE,
  REF,
  SCALAR,
  Type,
  typeName,
} from "./register.ts";
import { isConstant, MASK, SMAX, SMAX32, SMIN, SMIN32, UMAX, UMAX32, UMIN, UMIN32 } from "./scalar.ts";
import { structName } from "./struct-names.ts";
import type { Verification } from "./verification.ts";
import { bigOf } from "./words.ts";

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

/** Known bits, as (value; mask). */
export function bitsText(r: Int32Array, x: number): string {
  return `(${hex(bigOf(r[x]!, r[x + 1]!))}; ${hex(bigOf(r[x + MASK]!, r[x + MASK + 1]!))})`;
}

/** A signed number: decimal where it is short, hexadecimal where not. */
function signedText(value: bigint, width: 32 | 64): string {
  return value >= -0x8000n && value <= 0x7fffn ? `${value}` : hex(BigInt.asUintN(width, value));
}

function unsignedText(value: bigint): string {
  return value <= 0x7fffn ? `${value}` : hex(value);
}

interface Bound {
  readonly name: string;
  readonly value: bigint;
  readonly text: string;
  readonly full: boolean;
}

function boundsOf(r: Int32Array, x: number): readonly Bound[] {
  const wide = (c: number): bigint => bigOf(r[x + c]!, r[x + c + 1]!);
  const s = (name: string, c: number, limit: bigint): Bound => {
    const value = BigInt.asIntN(64, wide(c));
    return { name, value, text: signedText(value, 64), full: value === limit };
  };
  const u = (name: string, c: number, limit: bigint): Bound => {
    const value = wide(c);
    return { name, value, text: unsignedText(value), full: value === limit };
  };
  const s32 = (name: string, c: number, limit: bigint): Bound => {
    const value = BigInt(r[x + c]!);
    return { name, value, text: signedText(value, 32), full: value === limit };
  };
  const u32 = (name: string, c: number, limit: bigint): Bound => {
    const value = BigInt(r[x + c]! >>> 0);
    return { name, value, text: unsignedText(value), full: value === limit };
  };
  return [
    s("smin", SMIN, -(1n << 63n)),
    s("smax", SMAX, (1n << 63n) - 1n),
    u("umin", UMIN, 0n),
    u("umax", UMAX, (1n << 64n) - 1n),
    s32("smin32", SMIN32, -(1n << 31n)),
    s32("smax32", SMAX32, (1n << 31n) - 1n),
    u32("umin32", UMIN32, 0n),
    u32("umax32", UMAX32, (1n << 32n) - 1n),
  ];
}

/** Ranges that say something: bounds of one value share it, `smin=umin=5`. */
function rangesText(r: Int32Array, x: number): string[] {
  const bounds = boundsOf(r, x).filter(({ full }) => !full);
  const done = new Set<Bound>();
  const parts: string[] = [];
  for (const bound of bounds) {
    if (done.has(bound)) continue;
    const same = bounds.filter((other) => !done.has(other) && other.value === bound.value);
    for (const other of same) done.add(other);
    parts.push(`${same.map(({ name }) => name).join("=")}=${bound.text}`);
  }
  if ((r[x + MASK]! & r[x + MASK + 1]!) !== -1) parts.push(`var_off=${bitsText(r, x)}`);
  return parts;
}

function constantOf(r: Int32Array, x: number): bigint {
  return BigInt.asIntN(64, bigOf(r[x]!, r[x + 1]!));
}

/** A register as `R1=` is followed by it; `frame` is the one that it is in, whose own stack is `fp`. */
export function registerText(
  v: Verification,
  r: Int32Array,
  x: number,
  frame: number = v.state.frames.length - 1,
): string {
  const type = r[x]!;
  const s = x + SCALAR;
  const precise = r[x + PRECISE] !== 0 && type === Type.SCALAR ? "P" : "";
  if (type === Type.SCALAR && isConstant(r, s)) return `${precise}${signedText(constantOf(r, s), 64)}`;
  const base = baseOf(type);
  if (base === Type.STACK && isConstant(r, s)) {
    const own = r[x + FRAME] === frame ? "fp" : `fp[${r[x + FRAME]}]`;
    return `${own}${constantOf(r, s) + BigInt(r[x + FIXED]!)}`;
  }
  const parts: string[] = [];
  // Linux 7.2 has one number for both.
  const parent = v.modern && base === Type.MEMORY && (type & Flag.RECORD) === 0 ? r[x + FRAME]! || r[x + REF]! : 0;
  if (v.modern && r[x + REF] !== 0 && parent === 0) parts.push(`id=${r[x + REF]}`);
  else if (r[x + ID] !== 0) {
    const delta =
      type === Type.SCALAR && r[x + LINK] !== 0 ? (r[x + DELTA]! < 0 ? `${r[x + DELTA]}` : `+${r[x + DELTA]}`) : "";
    parts.push(`id=${r[x + ID]}${delta}`);
    if (parent !== 0) parts.push(`parent_id=${parent}`);
  }
  if (!v.modern && r[x + REF] !== 0) parts.push(`ref_obj_id=${r[x + REF]}`);
  if (base === Type.MAP || base === Type.MAP_VALUE || base === Type.MAP_KEY) {
    const map = v.map(r[x + AUX]!);
    parts.push(`ks=${map.keySize}`, `vs=${map.valueSize}`);
  }
  if (fixedOf(r, x) !== 0) parts.push(`off=${r[x + FIXED]}`);
  if (base === Type.PACKET || base === Type.PACKET_META) parts.push(`r=${r[x + AUX]}`);
  if (base === Type.MEMORY) parts.push(`sz=${r[x + AUX]}`);
  if (type === Type.SCALAR || !isConstant(r, s)) parts.push(...rangesText(r, s));
  else if (constantOf(r, s) !== 0n) parts.push(`imm=${signedText(constantOf(r, s), 64)}`);
  const name =
    base === Type.STACK ? "fp" : base === Type.BTF ? `${typeName(type)}${structName(v, r[x + AUX]!)}` : typeName(type);
  return `${precise}${name}(${parts.join(",")})`;
}

/** Whether a register can be null. */
export function mayBeNull(type: number): boolean {
  return (type & Flag.MAYBE_NULL) !== 0;
}
