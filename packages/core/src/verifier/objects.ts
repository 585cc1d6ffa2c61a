// Loads through pointers to sockets.
import { contextFieldAt } from "../spec/context-fields.ts";
import { CONTEXTS } from "../spec/contexts.ts";
import type { Access } from "./memory.ts";
import { baseOf, SCALAR, setScalar, Type, typeName } from "./register.ts";
import { SMIN } from "./scalar.ts";
import type { Verification } from "./verification.ts";
import { signed } from "./words.ts";

/** Bytes of `struct bpf_tcp_sock`, and where its two numbers of 64 bits are. */
const TCP_BYTES = 112;
const COUNTERS: ReadonlySet<number> = new Set([80, 88]);

export function accessSocket(
  v: Verification,
  at: number,
  reg: number,
  off: number,
  size: number,
  access: Access,
): void {
  const r = v.frame.words;
  const type = r[at]!;
  if (access.write) v.deny(`R${reg} cannot write into ${typeName(type)}`);
  const x = at + SCALAR;
  if (signed(r[x + SMIN]!, r[x + SMIN + 1]!) < 0)
    v.deny(`R${reg} min value is negative, either use unsigned index or do a if (index >=0) check.`);
  const place = off + signed(r[x]!, r[x + 1]!);
  const spec = CONTEXTS.cgroup_sock;
  const common = baseOf(type) === Type.SOCK_COMMON && ((place >= 8 && place < 24) || place >= 76);
  const isTcp = baseOf(type) === Type.TCP_SOCK;
  const fits = isTcp
    ? place >= 0 &&
      place + size <= TCP_BYTES &&
      place % size === 0 &&
      size === (COUNTERS.has(place) ? 8 : 4) &&
      !COUNTERS.has(place - 4)
    : !common &&
      spec.fields.some((field) => contextFieldAt({ ...spec, fields: [open(field)] }, undefined, place, size, false));
  if (!fits) v.deny(`R${reg} invalid ${typeName(type)} access off=${place} size=${size}`);
  if (access.value >= 0) setScalar(r, access.value);
}

/** A field without the attach types that may read it: those bind the context, not a socket. */
function open<T extends { readonly name: string }>(field: T): T {
  const { readBy: _, ...rest } = field as T & { readBy?: unknown };
  return rest as unknown as T;
}
