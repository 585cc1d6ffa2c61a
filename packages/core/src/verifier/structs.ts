// Loads through pointers to structures of the kernel: which member is hit, and what a pointer that comes out of it is worth.
import type { KernelMember, KernelStruct, KernelType, KernelTypes } from "../spec/kernel-types.ts";
import { isGplCompatible } from "./license.ts";
import type { Access } from "./memory.ts";
import { Errno } from "./refusal.ts";
import { AUX, FIXED, Flag, ID, REF, SCALAR, setPointer, setScalar, Type } from "./register.ts";
import { isConstant } from "./scalar.ts";
import { structName } from "./struct-names.ts";
import { bitsText } from "./text.ts";
import type { Verification } from "./verification.ts";
import { signed } from "./words.ts";

/** What a load finds. */
export type Found =
  | { readonly kind: "number" }
  | { readonly kind: "address" }
  | {
      readonly kind: "pointer";
      readonly to: string;
      readonly flags: number;
      readonly member: string;
      readonly of: string;
    };

/** Types of programs that may write some fields, none of which is known here. */
const OWN_RULES: ReadonlySet<string> = new Set(["struct_ops", "sched_cls", "sched_act", "xdp"]);
const TAGS: Readonly<Record<string, number>> = { user: Flag.USER, percpu: Flag.PERCPU, rcu: Flag.RCU };

/** Whether nothing can be wrong with what a register points to: it is held, or was handed in as valid. */
export function isTrusted(r: Int32Array, at: number): boolean {
  const type = r[at]!;
  const unsafe = type & (Flag.UNTRUSTED | Flag.MAYBE_NULL | Flag.RCU | Flag.PERCPU | Flag.USER | Flag.READ_ONLY);
  return r[at + REF] !== 0 || ((type & (Flag.TRUSTED | Flag.RECORD)) !== 0 && unsafe === 0);
}

/** Structures that nobody waits for stay as long as the path is in such a section; programs that do not sleep always are. */
export function inReadSection({ state, program }: Verification): boolean {
  return program.sleepable !== true || state.rcuSections > 0 || state.preemptSections > 0 || state.lockId !== 0;
}

/** An access of `size` bytes at a pointer to a structure. */
export function accessStruct(
  v: Verification,
  at: number,
  reg: number,
  off: number,
  size: number,
  access: Access,
): void {
  const r = v.frame.words;
  const type = r[at]!;
  const key = v.structs.key(r[at + AUX]!);
  const name = structName(v, r[at + AUX]!);
  const x = at + SCALAR;
  const owned = (type & Flag.RECORD) !== 0;
  if (!owned && !isGplCompatible(v.program.license))
    v.refuse(Errno.EINVAL, `Cannot access kernel 'struct ${name}' from non-GPL compatible program`);
  const fixed = isConstant(r, x);
  const moved = off + r[at + FIXED]!;
  const place = moved + (fixed ? signed(r[x]!, r[x + 1]!) : 0);
  if (fixed && place < 0) v.deny(`R${reg} is ptr_${name} invalid negative access: off=${place}`);
  if (!fixed) v.deny(`R${reg} is ptr_${name} invalid variable offset: off=${moved}, var_off=${bitsText(r, x)}`);
  if ((type & Flag.USER) !== 0) v.deny(`R${reg} is ptr_${name} access user memory: off=${place}`);
  if ((type & Flag.PERCPU) !== 0) v.deny(`R${reg} is ptr_${name} access percpu memory: off=${place}`);
  if (access.write && !(owned && r[at + REF] !== 0)) {
    if (v.modern && OWN_RULES.has(v.type.name))
      v.deny(`R${reg} cannot write into ptr_${name} at off=${place} size=${size}`);
    v.deny("only read is supported");
  }
  const found = key === undefined || v.types === undefined ? NUMBER : findMember(v, v.types, key, place, size);
  if (access.write || access.value < 0) return;
  give(v, r, at, access.value, owned ? NUMBER : found);
}

const NUMBER: Found = { kind: "number" };

/** A register gets what was found; `from` is the pointer that it was found through. */
function give(v: Verification, r: Int32Array, from: number, to: number, found: Found): void {
  if (found.kind === "number") setScalar(r, to);
  else if (found.kind === "address") {
    if (v.modern) setPointer(r, to, Type.MEMORY | Flag.READ_ONLY | Flag.UNTRUSTED);
    else setScalar(r, to);
  } else {
    const flags = flagsOf(v, r, from, found);
    setPointer(r, to, Type.BTF | flags, v.structs.numberOf(found.to));
    if ((flags & Flag.MAYBE_NULL) !== 0) r[to + ID] = v.nextId();
  }
}

/** What a pointer that was loaded from a structure is worth: most are worth little, some fields keep what they point to alive. */
function flagsOf(
  v: Verification,
  r: Int32Array,
  from: number,
  found: { readonly flags: number; readonly member: string; readonly of: string },
): number {
  const type = r[from]!;
  const types = v.types!;
  const safe = (list: string): boolean =>
    types.struct(`${found.of}__safe_${list}`)?.members.some(({ name }) => name === found.member) === true;
  if ((type & Flag.UNTRUSTED) !== 0) return Flag.UNTRUSTED;
  // Old programs walk from pointers without a mark; the kernel lets them.
  if (!isTrusted(r, from) && (type & Flag.RCU) === 0) return found.flags & ~(Flag.RCU | Flag.TRUSTED);
  if (safe("trusted")) return found.flags | Flag.TRUSTED;
  if (safe("trusted_or_null")) return found.flags | Flag.TRUSTED | Flag.MAYBE_NULL;
  if (!inReadSection(v) || (type & Flag.MAYBE_NULL) !== 0) return Flag.UNTRUSTED;
  if (safe("rcu")) return found.flags | Flag.RCU;
  const orNull = safe("rcu_or_null");
  if ((found.flags & Flag.RCU) !== 0 || orNull)
    return ((found.flags | Flag.RCU | Flag.MAYBE_NULL) & ~(orNull ? Flag.UNTRUSTED : 0)) >>> 0;
  if ((found.flags & (Flag.PERCPU | Flag.USER)) !== 0) return found.flags;
  return found.flags & ~(Flag.RCU | Flag.TRUSTED | Flag.UNTRUSTED);
}

/** The member that `size` bytes at `off` lie in; refuses what lies in none. */
export function findMember(v: Verification, types: KernelTypes, key: string, off: number, size: number): Found {
  let struct = types.struct(key);
  let of = key;
  let place = off;
  let flags = 0;
  for (;;) {
    if (struct === undefined) v.refuse(Errno.EOPNOTSUPP, `the members of struct ${of} are not known here`);
    const name = struct.name === "" ? "(anon)" : struct.name;
    // A pointer out of a union may be something else.
    if (struct.union === true && struct.members.length !== 1) flags |= Flag.UNTRUSTED;
    if (place + size > struct.size) {
      const tail: KernelType | "number" | undefined = tailOf(struct, place);
      if (tail === "number") return NUMBER;
      const element: KernelStruct | undefined = tail?.kind === "struct" ? types.struct(tail.struct) : undefined;
      if (tail?.kind !== "struct" || element === undefined)
        v.deny(`access beyond struct ${name} at off ${place} size ${size}`);
      place = (place - struct.members.at(-1)!.bit / 8) % element.size;
      of = tail.struct;
      struct = element;
      continue;
    }
    const inner = within(v, types, struct, name, of, place, size, flags);
    if (!("next" in inner)) return inner;
    of = inner.next;
    place = inner.place;
    struct = types.struct(of);
  }
}

/** What lies behind the end of a structure whose last member is an array of any length. */
function tailOf({ members }: KernelStruct, place: number): KernelType | "number" | undefined {
  const last = members.at(-1);
  if (last === undefined || last.type.kind !== "array" || last.type.count !== 0 || place < last.bit / 8)
    return undefined;
  return last.type.of.kind === "number" ? "number" : last.type.of;
}

/** One structure: the member, or where the search goes on. */
function within(
  v: Verification,
  types: KernelTypes,
  struct: KernelStruct,
  name: string,
  of: string,
  place: number,
  size: number,
  flags: number,
): Found | { readonly next: string; readonly place: number } {
  for (const member of struct.members) {
    const start = Math.floor(member.bit / 8);
    if (place + size <= start) break;
    if (member.bits !== undefined) {
      if (place <= start && Math.ceil((member.bit + member.bits) / 8) <= place + size) return NUMBER;
      continue;
    }
    if (place < start) break;
    const [count, type] = flat(member);
    const each = sizeOf(types, type);
    const end = start + count * each;
    if (place >= end) continue;
    const at = start + Math.floor((place - start) / each) * each;
    if (type.kind === "struct") return { next: type.struct, place: place - at };
    if (type.kind === "pointer" || type.kind === "address") {
      if (each !== size || place !== at)
        v.deny(
          `cannot access ptr member ${member.name === "" ? "(anon)" : member.name} with moff ${at} in struct ${name} with off ${place} size ${size}`,
        );
      if (type.kind === "address") return { kind: "address" };
      const tag = type.tag === undefined ? 0 : TAGS[type.tag]!;
      return { kind: "pointer", to: type.to, flags: flags | tag, member: member.name, of };
    }
    if (place + size > end && (flags & Flag.UNTRUSTED) === 0)
      v.deny(
        `access beyond the end of member ${member.name === "" ? "(anon)" : member.name} (mend:${end}) in struct ${name} with off ${place} size ${size}`,
      );
    return NUMBER;
  }
  return v.refuse(Errno.EINVAL, `struct ${name} doesn't have field at offset ${place}`);
}

/** Elements of an array of arrays, and what each is. */
function flat({ type }: KernelMember): [number, KernelType] {
  let count = 1;
  let of = type;
  while (of.kind === "array") {
    count *= of.count;
    of = of.of;
  }
  return [count, of];
}

function sizeOf(types: KernelTypes, type: KernelType): number {
  if (type.kind === "number") return type.size;
  if (type.kind === "struct") return types.struct(type.struct)?.size ?? 1;
  return 8;
}

/** Whether a pointer to one structure is one to another: the same, or the first member of the first member … */
export function leadsTo(v: Verification, aux: number, off: number, wanted: string): boolean {
  const { types } = v;
  let key = v.structs.key(aux);
  if (key === undefined || types === undefined) return true;
  let place = off;
  for (;;) {
    if (place === 0 && (types.struct(key)?.name ?? key) === wanted) return true;
    const struct = types.struct(key);
    const member: KernelMember | undefined = struct?.members.find((one) => {
      const [count, type] = flat(one);
      const start = one.bit / 8;
      return type.kind === "struct" && place >= start && place < start + count * sizeOf(types, type);
    });
    if (member === undefined) return false;
    const [, type] = flat(member);
    if (type.kind !== "struct") return false;
    place = (place - member.bit / 8) % Math.max(1, sizeOf(types, type));
    key = type.struct;
  }
}
