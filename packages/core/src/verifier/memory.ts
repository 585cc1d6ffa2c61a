// Loads and stores through a register: what it points to decides what they may do and what a load gives.

import { MAP_FLAGS, MAP_TYPES } from "../isa/maps.ts";
import { contextAccess } from "../spec/kernel-profile.ts";
import { mapStruct } from "../spec/map-structs.ts";
import { mapType } from "../spec/map-types.ts";
import { accessSocket } from "./objects.ts";
import { Errno } from "./refusal.ts";
import {
  AUX,
  baseOf,
  FIXED,
  Flag,
  fixedOf,
  ID,
  isPacket,
  REG_WORDS,
  SCALAR,
  setNumber,
  setPointer,
  setScalar,
  Type,
  typeName,
} from "./register.ts";
import { isConstant, MASK, SMIN, UMAX } from "./scalar.ts";
import { loadFromStack, stackRange, storeToStack } from "./stack.ts";
import { accessStruct, findMember } from "./structs.ts";
import { bitsText } from "./text.ts";
import { accessTypedContext } from "./typed-context.ts";
import type { Verification } from "./verification.ts";
import { signed, unsigned } from "./words.ts";

/** What an access does. */
export interface Access {
  readonly write: boolean;
  /** Word offset of the register that is stored, or that a load fills; −1: nothing is kept. */
  readonly value: number;
  /** The register of `value`; −1 where it is no register of the program. */
  readonly reg: number;
  /** Natural alignment is asked for, whatever the memory. */
  readonly aligned?: boolean;
  /** A load that extends the sign. */
  readonly signed?: boolean;
}

/** Programs whose context is what the kernel has, so that its address may be moved by constants. */
const AS_IT_IS: ReadonlySet<string> = new Set(["kprobe", "tracepoint", "raw_tracepoint", "raw_tracepoint_writable"]);

/** An access of `size` bytes at register `reg` + `off`; a load fills `value` and does not extend it. */
export function accessMemory(v: Verification, reg: number, off: number, size: number, access: Access): void {
  const type = v.frame.words[reg * REG_WORDS]!;
  accessThrough(v, reg, off, size, access);
  recordType(v, type);
}

function accessThrough(v: Verification, reg: number, off: number, size: number, access: Access): void {
  const at = v.read(reg);
  const r = v.frame.words;
  const type = r[at]!;
  const base = baseOf(type);
  checkAlignment(v, at, off, size, access.aligned === true);
  if ((type & Flag.MAYBE_NULL) !== 0 || base === Type.SCALAR) v.deny(`R${reg} invalid mem access '${typeName(type)}'`);
  const place = off + fixedOf(r, at);
  switch (base) {
    case Type.STACK: {
      const range = stackRange(v, at, reg, place, size, access.write);
      if (access.write) storeToStack(v, range, size, access.value, access.reg);
      else if (access.value >= 0) loadFromStack(v, range, size, access.value);
      return;
    }
    case Type.CONTEXT:
      accessContext(v, at, reg, off, size, access);
      return;
    case Type.MAP_VALUE:
      accessMapValue(v, at, reg, place, size, access);
      return;
    case Type.MAP_KEY:
      if (access.write) v.deny(`write to change key R${reg} not allowed`);
      checkRegion(v, at, reg, place, size, v.map(r[at + AUX]!).keySize, false);
      unknown(v, access);
      return;
    case Type.MEMORY:
    case Type.BUFFER:
      if (base === Type.BUFFER && !(access.write && (type & Flag.READ_ONLY) !== 0)) checkBuffer(v, at, reg, off, size);
      if (access.write && (type & Flag.READ_ONLY) !== 0) v.deny(`R${reg} cannot write into ${typeName(type)}`);
      // A load from an address that nobody vouches for gives 0 where it faults.
      if ((type & Flag.UNTRUSTED) === 0) checkRegion(v, at, reg, place, size, r[at + AUX]!, false);
      unknown(v, access);
      return;
    case Type.PACKET:
    case Type.PACKET_META:
      if (access.write && v.type.packet !== "write") v.deny("cannot write into packet");
      checkPacket(v, at, reg, place, size);
      unknown(v, access);
      return;
    case Type.SOCKET:
    case Type.SOCK_COMMON:
    case Type.TCP_SOCK:
    case Type.XDP_SOCK:
      accessSocket(v, at, reg, off, size, access);
      return;
    case Type.BTF:
      accessStruct(v, at, reg, off, size, access);
      return;
    case Type.MAP:
      if (access.write) v.deny(`only read from ${mapStruct(v.map(r[at + AUX]!).type)} is supported`);
      readMap(v, at, reg, place, size);
      unknown(v, access);
      return;
    case Type.TP_BUFFER:
    case Type.FLOW_KEYS:
      checkRegion(v, at, reg, place, size, base === Type.FLOW_KEYS ? 56 : 4096, false);
      unknown(v, access);
      return;
    default:
      v.deny(`R${reg} invalid mem access '${typeName(type)}'`);
  }
}

/** A map as the structure that it is in the kernel: its pointers can only be read whole. */
function readMap(v: Verification, at: number, reg: number, place: number, size: number): void {
  const struct = mapStruct(v.map(v.frame.words[at + AUX]!).type);
  if (place < 0) v.deny(`R${reg} is ${struct} invalid negative access: off=${place}`);
  if (v.types?.struct(struct) !== undefined) {
    findMember(v, v.types, struct, place, size);
    return;
  }
  for (const [key, name] of Object.entries(v.profile.mapPointers)) {
    const member = Number(key);
    if (place >= member + 8 || place + size <= member || (place === member && size === 8)) continue;
    v.deny(`cannot access ptr member ${name} with moff ${member} in struct bpf_map with off ${place} size ${size}`);
  }
}

/** Memory of a map that nobody knows yet: the access has to be at a known place that is not before it. */
function checkBuffer(v: Verification, at: number, reg: number, off: number, size: number): void {
  const r = v.frame.words;
  const x = at + SCALAR;
  if (!isConstant(r, x)) {
    const place = off + r[at + FIXED]!;
    v.deny(`R${reg} invalid variable buffer offset: off=${place}, var_off=${bitsText(r, x)}`);
  }
  const moved = signed(r[x]!, r[x + 1]!) + r[at + FIXED]!;
  if (off + moved >= 0) return;
  const what = (r[at]! & Flag.READ_ONLY) === 0 ? "rdwr" : "rdonly";
  v.deny(
    v.modern
      ? `R${reg} invalid negative ${what} buffer offset: off=${off}, var_off=${moved}`
      : `R${reg} invalid ${what} buffer access: off=${off + moved}, size=${size}`,
  );
}

function unknown(v: Verification, { write, value }: Access): void {
  if (!write && value >= 0) setScalar(v.frame.words, value);
}

const KIND_NAMES: Readonly<Record<number, string>> = {
  [Type.PACKET]: "packet ",
  [Type.PACKET_META]: "packet ",
  [Type.MAP_VALUE]: "value ",
  [Type.MAP_KEY]: "key ",
  [Type.CONTEXT]: "context ",
  [Type.STACK]: "stack ",
  [Type.SOCKET]: "sock ",
  [Type.SOCK_COMMON]: "sock_common ",
  [Type.TCP_SOCK]: "tcp_sock ",
};

/** Types whose accesses are rewritten: an instruction must not mix them with others. */
const REWRITTEN: ReadonlySet<number> = new Set<number>([
  Type.CONTEXT,
  Type.SOCKET,
  Type.SOCK_COMMON,
  Type.TCP_SOCK,
  Type.XDP_SOCK,
  Type.BTF,
]);

function recordType(v: Verification, type: number): void {
  const before = v.pointerTypes[v.state.insn]!;
  if (before === 0) v.pointerTypes[v.state.insn] = type;
  else if (
    before !== type &&
    (REWRITTEN.has(baseOf(before)) || REWRITTEN.has(baseOf(type))) &&
    baseOf(before) !== baseOf(type)
  )
    v.refuse(Errno.EINVAL, "same insn cannot be used with different pointers");
}

/** The stack wants natural alignment always, other memory where the program is loaded with strict alignment. */
export function checkAlignment(v: Verification, at: number, off: number, size: number, strict: boolean): void {
  const r = v.frame.words;
  const base = baseOf(r[at]!);
  if (size === 1 || !(base === Type.STACK || v.strictAlignment || strict)) return;
  const x = at + SCALAR;
  // Packets begin two bytes behind an aligned address, so that the IP header is aligned.
  const shift = isPacket(base) ? 2 : 0;
  const fixed = fixedOf(r, at);
  const low = (r[x]! + off + fixed + shift) | r[x + MASK]!;
  if ((low & (size - 1)) === 0) return;
  const bits = tnumText(r, x);
  const before = isPacket(base) ? `${shift}+${bits}` : bits;
  v.deny(`misaligned ${KIND_NAMES[base] ?? ""}access off ${before}${v.modern ? "" : `+${fixed}`}+${off} size ${size}`);
}

function tnumText(r: Int32Array, x: number): string {
  return isConstant(r, x) ? `${signed(r[x]!, r[x + 1]!)}` : bitsText(r, x);
}

/** Memory of `limit` bytes. */
export function checkRegion(
  v: Verification,
  at: number,
  reg: number,
  off: number,
  size: number,
  limit: number,
  sizeZero: boolean,
): void {
  const r = v.frame.words;
  const x = at + SCALAR;
  const outside = v.tables.regions.within(r, x, off, size, limit, sizeZero);
  if (outside === undefined) return;
  const min = signed(r[x + SMIN]!, r[x + SMIN + 1]!);
  const max = unsigned(r[x + UMAX]!, r[x + UMAX + 1]!);
  const base = baseOf(r[at]!);
  const first = (offset: number): string =>
    base === Type.MAP_VALUE
      ? `invalid access to map value, value_size=${limit} off=${offset} size=${size}`
      : base === Type.MAP_KEY
        ? `invalid access to map key, key_size=${limit} off=${offset} size=${size}`
        : isPacket(base)
          ? `invalid access to packet, off=${offset} size=${size}, R${reg}(id=${r[at + ID]},off=${v.modern ? offset : r[at + FIXED]},r=${r[at + AUX]})`
          : `invalid access to memory, mem_size=${limit} off=${offset} size=${size}`;
  if (outside === "negative")
    v.deny(`R${reg} min value is negative, either use unsigned index or do a if (index >=0) check.`);
  if (outside === "below") v.deny(first(min + off), `R${reg} min value is outside of the allowed memory range`);
  if (outside === "unbounded") v.deny(`R${reg} unbounded memory access, make sure to bounds check any such access`);
  v.deny(first(max + off), `R${reg} max value is outside of the allowed memory range`);
}

/** As many bytes as comparisons with the packet's end have shown to be there. */
export function checkPacket(v: Verification, at: number, reg: number, off: number, size: number): void {
  const r = v.frame.words;
  const x = at + SCALAR;
  const min = signed(r[x + SMIN]!, r[x + SMIN + 1]!);
  if (v.modern) {
    checkRegion(v, at, reg, off, size, r[at + AUX]!, true);
    return;
  }
  // Only what constants moved it by is held against what is there: that counts from where the rest of the offset ends.
  if (min < 0) v.deny(`R${reg} min value is negative, either use unsigned index or do a if (index >=0) check.`);
  const range = r[at + AUX]!;
  if (off < 0 || off + size > range)
    v.deny(
      `invalid access to packet, off=${off} size=${size}, R${reg}(id=${r[at + ID]},off=${r[at + FIXED]},r=${range})`,
      `R${reg} offset is outside of the packet`,
    );
}

function accessContext(v: Verification, at: number, reg: number, off: number, size: number, access: Access): void {
  const r = v.frame.words;
  const x = at + SCALAR;
  if (v.type.name === "syscall" && v.modern) {
    checkRegion(v, at, reg, off, size, 0xffff, false);
    unknown(v, access);
    return;
  }
  if (!isConstant(r, x)) {
    v.deny(`variable ctx access var_off=${bitsText(r, x)} disallowed`);
  }
  const moved = signed(r[x]!, r[x + 1]!) + r[at + FIXED]!;
  if (moved !== 0 && !(v.modern && AS_IT_IS.has(v.type.name)))
    v.deny(`dereference of modified ctx ptr R${reg} off=${moved} disallowed`);
  const place = off + moved;
  if (v.type.context.typed) {
    accessTypedContext(v, place, size, access);
    return;
  }
  const field = contextAccess(v.profile, v.type, v.attachType, place, size, access.write);
  if (field === undefined || (access.signed === true && field.as.startsWith("packet")))
    v.deny(`invalid bpf_context access off=${place} size=${size}`);
  if (access.write || access.value < 0) return;
  const value = access.value;
  switch (field.as) {
    case "packet":
      setPointer(r, value, Type.PACKET);
      return;
    case "packet-end":
      setPointer(r, value, Type.PACKET_END);
      return;
    case "packet-meta":
      setPointer(r, value, Type.PACKET_META);
      return;
    case "flow-keys":
      setPointer(r, value, Type.FLOW_KEYS);
      return;
    case "tp-buffer":
      setPointer(r, value, Type.TP_BUFFER);
      return;
    case "scalar":
      setScalar(r, value);
      return;
    default: {
      const name = field.as.replace("?", "");
      const base = name === "socket" ? Type.SOCKET : name === "sock-common" ? Type.SOCK_COMMON : Type.BTF;
      setPointer(
        r,
        value,
        base | (field.as.endsWith("?") ? Flag.MAYBE_NULL : base === Type.BTF ? Flag.TRUSTED : 0),
        base === Type.BTF ? v.structs.numberOf(name.slice("btf:".length)) : 0,
      );
      if (field.as.endsWith("?")) r[value + ID] = v.nextId();
    }
  }
}

function accessMapValue(v: Verification, at: number, reg: number, off: number, size: number, access: Access): void {
  const r = v.frame.words;
  const map = v.map(r[at + AUX]!);
  const place = off + signed(r[at + SCALAR]!, r[at + SCALAR + 1]!);
  const isReadOnly = (map.flags & MAP_FLAGS.rdonly_prog) !== 0 || mapType(map.type)?.lookup === "constant";
  if (access.write && isReadOnly)
    v.deny(`write into map forbidden, value_size=${map.valueSize} off=${place} size=${size}`);
  if (!access.write && (map.flags & MAP_FLAGS.wronly_prog) !== 0)
    v.deny(`read from map forbidden, value_size=${map.valueSize} off=${place} size=${size}`);
  checkRegion(v, at, reg, off, size, map.valueSize, false);
  checkFields(v, at, off, size);
  if (access.write || access.value < 0) return;
  const { initial } = map;
  const known = map.frozen === true && isReadOnly && map.type === MAP_TYPES.array && map.maxEntries === 1;
  if (known && initial !== undefined && isConstant(r, at + SCALAR)) {
    let low = 0;
    let high = 0;
    for (let i = 0; i < size; i++) {
      const byte = initial[place + i] ?? 0;
      if (i < 4) low |= byte << (8 * i);
      else high |= byte << (8 * (i - 4));
    }
    setNumber(r, access.value, low, high);
    return;
  }
  setScalar(r, access.value);
}

/** Bytes of kernel structures in a map's value: only helpers touch them. */
const FIELD_BYTES: Readonly<Record<string, number>> = { spin_lock: 4, timer: 16 };

export function checkFields(v: Verification, at: number, off: number, size: number): void {
  const r = v.frame.words;
  const { fields } = v.map(r[at + AUX]!);
  if (fields === undefined) return;
  const x = at + SCALAR;
  const from = signed(r[x + SMIN]!, r[x + SMIN + 1]!) + off;
  const to = unsigned(r[x + UMAX]!, r[x + UMAX + 1]!) + off + size;
  for (const [name, place] of Object.entries(fields)) {
    if (from < place + FIELD_BYTES[name]! && to > place)
      v.deny(`bpf_${name} cannot be accessed directly by load/store`);
  }
}
