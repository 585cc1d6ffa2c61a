// What a register or a slot holds, in words.
import type { VerifierValue } from "./states.ts";

const S64: readonly [bigint, bigint] = [-(1n << 63n), (1n << 63n) - 1n];
const U64: readonly [bigint, bigint] = [0n, (1n << 64n) - 1n];

/** Numbers that nobody reads in decimal. */
const LONG = 0xf_ffffn;

function numberText(value: bigint): string {
  const size = value < 0n ? -value : value;
  return size > LONG ? `${value < 0n ? "-" : ""}0x${size.toString(16)}` : `${value}`;
}

function isSame(a: readonly [bigint, bigint], b: readonly [bigint, bigint]): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

/** What is known of a number, as `5`, `from 0 to 255`, `at least 3`; undefined where nothing is. */
export function boundsText({ signed64, unsigned64, signed32, unsigned32, tnum }: VerifierValue): string | undefined {
  if (signed64[0] === signed64[1]) return numberText(signed64[0]);
  const [least, most] = signed64[0] >= 0n || isSame(unsigned64, U64) ? signed64 : unsigned64;
  if (least !== S64[0] && most !== S64[1] && !(least === 0n && most === U64[1]))
    return `from ${numberText(least)} to ${numberText(most)}`;
  if (least !== S64[0] && least !== 0n) return `at least ${numberText(least)}`;
  if (most !== S64[1] && most !== U64[1]) return `at most ${numberText(most)}`;
  if (least === 0n && most === S64[1]) return "not negative";
  if (unsigned32[0] > 0n || unsigned32[1] < 0xffff_ffffn)
    return `with lower 32 bits from ${numberText(unsigned32[0])} to ${numberText(unsigned32[1])}`;
  if (signed32[0] > -0x8000_0000n || signed32[1] < 0x7fff_ffffn)
    return `with lower 32 bits from ${numberText(signed32[0])} to ${numberText(signed32[1])}`;
  if (tnum.mask !== U64[1]) return `with known bits 0x${tnum.value.toString(16)}, mask 0x${tnum.mask.toString(16)}`;
  return undefined;
}

const NAMES: Readonly<Record<string, string>> = {
  ctx: "the context",
  pkt: "a pointer to the packet",
  pkt_meta: "a pointer to the packet's metadata",
  pkt_end: "the end of the packet",
  fp: "a pointer to the stack",
  flow_keys: "a pointer to the flow keys",
  sock: "a socket",
  sock_common: "a socket of any state",
  tcp_sock: "a TCP socket",
  xdp_sock: "an XDP socket",
  tp_buffer: "a pointer to the tracepoint's buffer",
  func: "a function",
};

/** What a value is: `a number from 0 to 255`, `a pointer to a value of map "m", or null`. */
export function valueWords(value: VerifierValue | undefined): string {
  if (value === undefined) return "nothing that may be read";
  if (value.type === "scalar") {
    const bounds = boundsText(value);
    if (bounds === undefined) return "any number";
    return value.signed64[0] === value.signed64[1] ? `the number ${bounds}` : `a number ${bounds}`;
  }
  const orNull = value.type.includes("or_null");
  const name = value.type.replace(/_or_null|or_null_/, "").replace(/^(rdonly_|ringbuf_|percpu_)+/, "");
  return `${pointerWords(name, value)}${offsetWords(name, value)}${orNull ? ", or null" : ""}`;
}

function pointerWords(name: string, { map, size, type }: VerifierValue): string {
  const of = map === undefined ? "" : ` "${map}"`;
  switch (name) {
    case "map_ptr":
      return `the map${of}`;
    case "map_value":
      return `a pointer to a value of map${of}`;
    case "map_key":
      return `a pointer to a key of map${of}`;
    case "mem":
    case "buf":
      return `a pointer to ${size} bytes of ${type.startsWith("ringbuf_") ? "a ring buffer" : "memory"}`;
    default:
      return NAMES[name] ?? (name.includes("ptr_") ? "a pointer to a kernel object" : `a ${name}`);
  }
}

function offsetWords(name: string, value: VerifierValue): string {
  if (name === "fp")
    return value.offset === undefined ? offsetRange(value) : `, fp${value.offset === 0n ? "" : value.offset}`;
  if (value.offset === undefined) return offsetRange(value);
  return value.offset === 0n ? "" : ` at offset ${numberText(value.offset)}`;
}

function offsetRange(value: VerifierValue): string {
  const bounds = boundsText(value);
  return bounds === undefined ? " at any offset" : ` at an offset ${bounds}`;
}
