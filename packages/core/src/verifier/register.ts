// What a register or a spilled slot holds: its type and the words that go with it, in an Int32Array.
//
//   word 0 TYPE    a value of `Type` with bits of `Flag`        4 FRAME    of a stack pointer: the frame it points into
//        1 ID      shared by copies of one unknown value        5 DELTA    of a linked scalar: its distance from the others
//        2 REF     the reference it holds, 0 for none           6 PRECISE  whether a decision depended on this very value
//        3 AUX     map + 1, packet range, memory size, structure, …        7 LINK     1 where DELTA is defined; 2 where it is one of 32 bits; of a pointer: FIXED
//        8..23     the scalar, or the offset from where the pointer came from
import { setConstant, setUnknown } from "./scalar.ts";

export const TYPE: 0 = 0;
export const ID: 1 = 1;
export const REF: 2 = 2;
export const AUX: 3 = 3;
export const FRAME: 4 = 4;
export const DELTA: 5 = 5;
export const PRECISE: 6 = 6;
export const LINK: 7 = 7;
/** Of a pointer, by the rules of Linux 6.12: what constants have moved it by; its scalar is the rest. 0 by the rules of later versions. */
export const FIXED: 7 = 7;
/** Where the scalar begins. */
export const SCALAR: 8 = 8;
/** Words of a register. */
export const REG_WORDS: 24 = 24;

/** Types of registers. */
export const Type = {
  UNINIT: 0,
  SCALAR: 1,
  CONTEXT: 2,
  MAP: 3,
  MAP_VALUE: 4,
  MAP_KEY: 5,
  STACK: 6,
  PACKET_META: 7,
  PACKET: 8,
  PACKET_END: 9,
  FLOW_KEYS: 10,
  SOCKET: 11,
  SOCK_COMMON: 12,
  TCP_SOCK: 13,
  XDP_SOCK: 14,
  TP_BUFFER: 15,
  BTF: 16,
  MEMORY: 17,
  BUFFER: 18,
  FUNCTION: 19,
  /** Of stack slots: see special-slots.ts. A register can hold the address of a dynptr that is elsewhere. */
  ITERATOR: 20,
  DYNPTR: 21,
} as const;

/** Bits beside a type. */
export const Flag = {
  MAYBE_NULL: 0x100,
  READ_ONLY: 0x200,
  /** Memory reserved in a ring buffer; of a structure: the program has allocated it. */
  RECORD: 0x400,
  TRUSTED: 0x800,
  PERCPU: 0x1000,
  /** May be gone, or something else: loads cannot fault, nothing else may be done with it. */
  UNTRUSTED: 0x2000,
  /** Valid until the read section ends. */
  RCU: 0x4000,
  /** Of a process. */
  USER: 0x8000,
} as const;

/** The type without its flags. */
export function baseOf(type: number): number {
  return type & 0xff;
}

const NAMES: readonly string[] = [
  "?",
  "scalar",
  "ctx",
  "map_ptr",
  "map_value",
  "map_key",
  "fp",
  "pkt_meta",
  "pkt",
  "pkt_end",
  "flow_keys",
  "sock",
  "sock_common",
  "tcp_sock",
  "xdp_sock",
  "tp_buffer",
  "ptr_",
  "mem",
  "buf",
  "func",
  "iter",
  "dynptr_ptr",
];

/** A type as the kernel's log names it. */
export function typeName(type: number): string {
  const base = baseOf(type);
  // A map inside of a map is a value until it is known to be there.
  if (type === (Type.MAP | Flag.MAYBE_NULL)) return "map_value_or_null";
  const prefix =
    (type & Flag.READ_ONLY ? "rdonly_" : "") +
    (type & Flag.RECORD && base !== Type.BTF ? "ringbuf_" : "") +
    (type & Flag.USER ? "user_" : "") +
    (type & Flag.PERCPU ? "percpu_" : "") +
    (type & Flag.RCU ? "rcu_" : "") +
    (type & Flag.UNTRUSTED ? "untrusted_" : "") +
    (type & Flag.TRUSTED ? "trusted_" : "");
  const orNull = type & Flag.MAYBE_NULL ? (base === Type.BTF ? "or_null_" : "_or_null") : "";
  return `${prefix}${NAMES[base]}${orNull}`;
}

export function isPointer(type: number): boolean {
  return type > Type.SCALAR;
}

/** Types whose pointers point into the packet. */
export function isPacket(type: number): boolean {
  return type === Type.PACKET || type === Type.PACKET_META;
}

/** What constants have moved a pointer by, beside its scalar. */
export function fixedOf(r: Int32Array, x: number): number {
  return isPointer(r[x]!) ? r[x + FIXED]! : 0;
}

export function copyRegister(to: Int32Array, at: number, from: Int32Array, x: number): void {
  for (let i = 0; i < REG_WORDS; i++) to[at + i] = from[x + i]!;
}

function clearHeader(r: Int32Array, x: number, type: number): void {
  r[x] = type;
  for (let i = 1; i < SCALAR; i++) r[x + i] = 0;
}

/** Nothing has been written. */
export function setUninit(r: Int32Array, x: number): void {
  clearHeader(r, x, Type.UNINIT);
  setUnknown(r, x + SCALAR);
}

/** A number of which nothing is known. */
export function setScalar(r: Int32Array, x: number): void {
  clearHeader(r, x, Type.SCALAR);
  setUnknown(r, x + SCALAR);
}

/** One number. */
export function setNumber(r: Int32Array, x: number, low: number, high: number): void {
  clearHeader(r, x, Type.SCALAR);
  setConstant(r, x + SCALAR, low, high);
}

/** A pointer at offset 0 of what it points into. */
export function setPointer(r: Int32Array, x: number, type: number, aux: number = 0): void {
  clearHeader(r, x, type);
  r[x + AUX] = aux;
  setConstant(r, x + SCALAR, 0, 0);
}

/** A number that nobody else shares. */
export function unlink(r: Int32Array, x: number): void {
  r[x + ID] = 0;
  r[x + DELTA] = 0;
  r[x + LINK] = 0;
}
