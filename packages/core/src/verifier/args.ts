// Arguments of helpers: what each may be, and the memory that a pointer must lead to.
import { MAP_FLAGS, MAP_TYPES } from "../isa/maps.ts";
import type { HelperArg, HelperSpec } from "../spec/helper-words.ts";
import { TAKES_PACKETS } from "../spec/helpers.ts";
import { mapType } from "../spec/map-types.ts";
import { checkReleased, dynptrFor, type KnownDynptr, newDynptr } from "./dynptrs.ts";
import { formatArguments } from "./format.ts";
import { checkAlignment, checkFields, checkPacket, checkRegion } from "./memory.ts";
import { markPrecise } from "./precision.ts";
import { Errno } from "./refusal.ts";
import { AUX, baseOf, FIXED, Flag, fixedOf, isPacket, REF, REG_WORDS, SCALAR, Type, typeName } from "./register.ts";
import { isConstant, SMIN, UMAX, UMIN } from "./scalar.ts";
import { fillStack, constantKey as keyOnStack, passStack, refuseFill, stackRange } from "./stack.ts";
import { structName } from "./struct-names.ts";
import { accessStruct, leadsTo } from "./structs.ts";
import { bitsText } from "./text.ts";
import type { Verification } from "./verification.ts";
import { bigOf, signed, unsigned } from "./words.ts";

const MAX_SIZE = 2 ** 29;

/** What the arguments have told so far. */
export interface CallFacts {
  /** AUX of the map among the arguments; 0 for none. */
  map: number;
  /** Size that a constant argument gave to the result; −1 for none. */
  allocSize: number;
  /** Reference that is given back. */
  released: number;
  releasedArg: number;
  callback: number;
  /** Memory that is filled when all arguments are right. */
  readonly fills: { readonly reg: number; readonly at: number; readonly size: number }[];
  /** The dynptr among the arguments. */
  dynptr?: KnownDynptr;
  /** The constant key, where it is one. */
  key: number | undefined;
}

const MEMORY = "fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_";
const SOCKETS = "sock_common, sock, tcp_sock, xdp_sock, ptr_, trusted_ptr_";

/** Arguments whose rules are not here: programs that pass them are rejected. */
const UNKNOWN_KINDS: ReadonlySet<string> = new Set(["kptr", "percpu"]);

const WRITTEN = /^(key|value|value-out|(out|inout)(:.*)?)$/;

/** One argument: register `reg`, of which the helper says `arg`. */
export function checkArgument(
  v: Verification,
  spec: HelperSpec,
  args: readonly HelperArg[],
  n: number,
  facts: CallFacts,
): void {
  const arg = args[n - 1]!;
  const reg = n;
  if (spec.name === "trace_printk" && n > 2) return;
  const at = v.read(reg);
  const r = v.frame.words;
  const nullable = arg.endsWith("?");
  const kind = nullable ? arg.slice(0, -1) : arg;
  if (kind === "any") return;
  if (isPacket(baseOf(r[at]!)) && !mayReadPacket(v, spec)) v.deny("helper access to the packet is not allowed");
  const isSocket = facts.map !== 0 && mapType(v.map(facts.map).type)?.update === "socket";
  if (isSocket && kind === "value-out") v.refuse(Errno.EINVAL, "invalid arg_type for sockmap/sockhash");
  if (nullable && isNull(r, at)) return;
  if (UNKNOWN_KINDS.has(kind)) v.refuse(Errno.EOPNOTSUPP, `${kind} arguments are not verified here yet`);
  const wanted = isSocket && kind === "value" && spec.name === "map_update_elem" ? "btf-sock" : kind;
  checkType(v, reg, at, wanted, nullable);
  // What a helper may write to is no structure of the kernel.
  if (baseOf(r[at]!) === Type.BTF && WRITTEN.test(wanted))
    v.deny(`bpf_${spec.name}() may write into memory pointed by R${reg} type=${typeName(r[at]!)}`);
  if (wanted === "btf-sock" && kind === "value") return;
  if (kind === "context") checkContext(v, reg, at);
  if (kind === "dynptr") {
    facts.dynptr = spec.releases === n ? checkReleased(v, n) : dynptrFor(v, n);
    return;
  }
  if (kind === "dynptr-out") {
    const source = v.frame.words[REG_WORDS]!;
    if (spec.name === "dynptr_from_mem" && source !== Type.MAP_VALUE)
      v.deny(`Unsupported reg type ${typeName(source)} for bpf_dynptr_from_mem data`);
    newDynptr(v, `bpf_${spec.name}`, n, v.state.insn, undefined);
    return;
  }
  if (spec.releases === n) {
    if (r[at + REF] === 0) {
      const text =
        spec.name === "sk_release" && v.modern
          ? `release helper bpf_sk_release expects referenced PTR_TO_BTF_ID passed to R${reg}`
          : undefined;
      v.refuse(Errno.EINVAL, text ?? `R${reg} must be referenced when passed to release function`);
    }
    if (!v.modern && !isConstant(r, at + SCALAR))
      v.deny(`variable ${typeName(r[at]!)} access var_off=${bitsText(r, at + SCALAR)} disallowed`);
    if (!isConstant(r, at + SCALAR) || (r[at + SCALAR]! | r[at + SCALAR + 1]! | r[at + FIXED]!) !== 0)
      v.refuse(Errno.EINVAL, `R${reg} must have zero offset when passed to release func or trusted arg to kfunc`);
    facts.released = r[at + REF]!;
    facts.releasedArg = reg;
  }
  switch (kind) {
    case "map":
      facts.map = r[at + AUX]!;
      return;
    case "key":
      checkKey(v, reg, at, facts);
      return;
    case "value":
    case "value-out": {
      if (facts.map === 0) v.deny("invalid map_ptr to access map->value");
      const size = v.map(facts.map).valueSize;
      checkMemory(v, reg, at, size, kind === "value-out", false, facts);
      return;
    }
    case "size":
    case "size0":
      checkSize(v, reg, at, args[n - 2]!, kind === "size0", facts);
      return;
    case "alloc-size":
      if (!isConstant(r, at + SCALAR)) v.deny(`R${reg} is not a known constant'`);
      facts.allocSize = unsigned(r[at + SCALAR]!, r[at + SCALAR + 1]!);
      markPrecise(v, reg);
      return;
    case "string":
      checkString(v, reg, at);
      return;
    case "map-memory":
      return;
    case "callback":
      checkUnmoved(v, reg, at);
      facts.callback = r[at + AUX]!;
      return;
    case "spin-lock":
    case "timer":
    case "kptr":
      checkField(v, reg, at, kind);
      return;
    default: {
      const sized = /^(in|out|inout):(\d+)$/.exec(kind);
      if (sized !== null) checkMemory(v, reg, at, Number(sized[2]), sized[1] !== "in", false, facts, true);
    }
  }
}

/** Whether a helper may be given a packet's address, in programs of this type. */
function mayReadPacket(v: Verification, spec: HelperSpec): boolean {
  if (v.type.packet === "none") return false;
  return v.type.name === "cgroup_sockopt" || TAKES_PACKETS.has(spec.name);
}

/** A pointer to a subprogram that is not moved. */
function checkUnmoved(v: Verification, reg: number, at: number): void {
  const r = v.frame.words;
  const name = typeName(r[at]!);
  if (!isConstant(r, at + SCALAR)) v.deny(`variable ${name} access var_off=${bitsText(r, at + SCALAR)} disallowed`);
  const moved = signed(r[at + SCALAR]!, r[at + SCALAR + 1]!);
  if (moved !== 0) v.deny(`dereference of modified ${name} ptr R${reg} off=${moved} disallowed`);
}

/** A kernel structure in a map's value, at the place where BTF says that it is. */
function checkField(v: Verification, reg: number, at: number, kind: string): void {
  const r = v.frame.words;
  const name = kind === "spin-lock" ? "bpf_spin_lock" : `bpf_${kind}`;
  if (!isConstant(r, at + SCALAR))
    v.refuse(Errno.EINVAL, `R${reg} doesn't have constant offset. ${name} has to be at the constant offset`);
  if (kind === "kptr") return;
  const map = v.map(r[at + AUX]!);
  const place = kind === "timer" ? map.fields?.timer : map.fields?.spin_lock;
  if (map.fields === undefined) v.refuse(Errno.EINVAL, `map '' has to have BTF in order to use ${name}`);
  if (place === undefined) v.refuse(Errno.EINVAL, `map '' has no valid ${name}`);
  const offset = signed(r[at + SCALAR]!, r[at + SCALAR + 1]!) + r[at + FIXED]!;
  if (offset !== place) v.refuse(Errno.EINVAL, `off ${offset} doesn't point to 'struct ${name}' that is at ${place}`);
}

function isNull(r: Int32Array, at: number): boolean {
  return r[at] === Type.SCALAR && isConstant(r, at + SCALAR) && (r[at + SCALAR]! | r[at + SCALAR + 1]!) === 0;
}

const MEMORY_TYPES: ReadonlySet<number> = new Set<number>([
  Type.STACK,
  Type.PACKET,
  Type.PACKET_META,
  Type.MAP_KEY,
  Type.MAP_VALUE,
  Type.MEMORY,
  Type.MEMORY | Flag.READ_ONLY,
  Type.MEMORY | Flag.RECORD,
  Type.BUFFER,
  Type.BUFFER | Flag.READ_ONLY,
  Type.BTF | Flag.TRUSTED,
]);
const SOCKET_TYPES: ReadonlySet<number> = new Set<number>([
  Type.SOCK_COMMON,
  Type.SOCKET,
  Type.TCP_SOCK,
  Type.XDP_SOCK,
  Type.BTF,
  Type.BTF | Flag.TRUSTED,
]);

/** The context as the program got it, not moved. */
export function checkContext(v: Verification, reg: number, at: number): void {
  const r = v.frame.words;
  if (!isConstant(r, at + SCALAR)) v.deny(`variable ctx access var_off=${bitsText(r, at + SCALAR)} disallowed`);
  const moved = signed(r[at + SCALAR]!, r[at + SCALAR + 1]!) + r[at + FIXED]!;
  if (moved !== 0) v.deny(`dereference of modified ctx ptr R${reg} off=${moved} disallowed`);
}

function checkType(v: Verification, reg: number, at: number, kind: string, nullable: boolean): void {
  const given = v.frame.words[at]!;
  const type = nullable ? given & ~Flag.MAYBE_NULL : given;
  const need = (types: ReadonlySet<number> | number, expected: string): void => {
    const fits = typeof types === "number" ? type === types : types.has(type);
    if (!fits) v.deny(`R${reg} type=${typeName(given)} expected=${expected}`);
  };
  switch (kind) {
    case "context":
      need(Type.CONTEXT, "ctx");
      return;
    case "map":
      need(Type.MAP, "map_ptr");
      return;
    case "size":
    case "size0":
    case "alloc-size":
    case "number":
      need(Type.SCALAR, "scalar");
      return;
    case "map-memory":
      need(MEMORY_TYPES, v.modern ? `${MEMORY}, ctx` : MEMORY);
      return;
    case "string":
      need(Type.MAP_VALUE, "map_value");
      return;
    case "callback":
      need(Type.FUNCTION, "func");
      return;
    case "stack":
      need(Type.STACK, "fp");
      return;
    case "spin-lock":
      need(Type.MAP_VALUE, "map_value, ptr_");
      return;
    case "timer":
    case "kptr":
      need(Type.MAP_VALUE, "map_value");
      return;
    case "record":
      need(Type.MEMORY | Flag.RECORD, "ringbuf_mem");
      return;
    case "dynptr":
    case "dynptr-out":
      need(new Set([Type.STACK, Type.DYNPTR]), "fp, dynptr_ptr");
      return;
    case "socket":
      need(Type.SOCKET, "sock");
      return;
    case "sock-common":
      need(
        new Set([Type.SOCK_COMMON, Type.SOCKET, Type.TCP_SOCK, Type.XDP_SOCK]),
        "sock_common, sock, tcp_sock, xdp_sock",
      );
      return;
    case "btf-sock":
      need(SOCKET_TYPES, SOCKETS);
      return;
    case "percpu":
      need(
        new Set([Type.BTF | Flag.PERCPU, Type.BTF | Flag.PERCPU | Flag.TRUSTED]),
        "percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_",
      );
      return;
    default:
      if (kind.startsWith("btf:")) {
        need(new Set([Type.BTF, Type.BTF | Flag.TRUSTED, Type.BTF | Flag.RCU]), "ptr_, trusted_ptr_, rcu_ptr_");
        checkStruct(v, reg, at, kind.slice("btf:".length));
        return;
      }
      if (type === Type.CONTEXT && v.type.name === "syscall") return;
      if (type === Type.CONTEXT && v.modern) return;
      need(MEMORY_TYPES, v.modern ? `${MEMORY}, ctx` : MEMORY);
      return;
  }
}

/** A pointer to the structure that a helper wants, or to one that begins with it. */
function checkStruct(v: Verification, reg: number, at: number, wanted: string): void {
  const r = v.frame.words;
  const place = signed(r[at + SCALAR]!, r[at + SCALAR + 1]!) + r[at + FIXED]!;
  if (wanted !== "any" && !leadsTo(v, r[at + AUX]!, place, wanted))
    v.deny(`R${reg} is of type ${structName(v, r[at + AUX]!)} but ${wanted} is expected`);
}

function checkKey(v: Verification, reg: number, at: number, facts: CallFacts): void {
  if (facts.map === 0) v.deny("invalid map_ptr to access map->key");
  const map = v.map(facts.map);
  checkMemory(v, reg, at, map.keySize, false, false, facts);
  facts.key = constantKey(v, at, map.keySize);
}

/** A key of 4 bytes on the stack that is exactly known. */
function constantKey(v: Verification, at: number, keySize: number): number | undefined {
  const r = v.frame.words;
  if (keySize !== 4 || baseOf(r[at]!) !== Type.STACK || !isConstant(r, at + SCALAR)) return undefined;
  return keyOnStack(v, at, 4);
}

/** Memory of `size` bytes that the helper reads, or fills when `fills`. */
export function checkMemory(
  v: Verification,
  reg: number,
  at: number,
  size: number,
  fills: boolean,
  zero: boolean,
  facts: CallFacts,
  aligned: boolean = false,
): void {
  const r = v.frame.words;
  const type = r[at]!;
  const base = baseOf(type);
  const off = fixedOf(r, at);
  switch (base) {
    case Type.STACK: {
      if (size === 0 && !zero) v.deny("invalid zero-sized read");
      const range = stackRange(v, at, reg, off, size, fills, true);
      if (size === 0) return;
      if (aligned) checkAlignment(v, at, 0, size, true);
      if (fills) {
        refuseFill(v, range, size);
        facts.fills.push({ reg, at, size });
      } else passStack(v, range, size, false, reg);
      return;
    }
    case Type.PACKET:
    case Type.PACKET_META:
      if (v.type.packet === "none" || (fills && v.type.packet !== "write"))
        v.deny(fills ? "cannot write into packet" : "helper access to the packet is not allowed");
      checkPacket(v, at, reg, off, size);
      return;
    case Type.MAP_KEY:
      if (fills) v.deny(`R${reg} cannot write into ${typeName(type)}`);
      checkRegion(v, at, reg, off, size, v.map(r[at + AUX]!).keySize, zero);
      return;
    case Type.MAP_VALUE: {
      const map = v.map(r[at + AUX]!);
      if (fills && (map.flags & MAP_FLAGS.rdonly_prog) !== 0)
        v.deny(
          `write into map forbidden, value_size=${map.valueSize} off=${off + signed(r[at + SCALAR]!, r[at + SCALAR + 1]!)} size=${size}`,
        );
      if (!fills && (map.flags & MAP_FLAGS.wronly_prog) !== 0)
        v.deny(
          `read from map forbidden, value_size=${map.valueSize} off=${off + signed(r[at + SCALAR]!, r[at + SCALAR + 1]!)} size=${size}`,
        );
      checkRegion(v, at, reg, off, size, map.valueSize, zero);
      checkFields(v, at, off, size);
      return;
    }
    case Type.MEMORY:
    case Type.BUFFER:
      if (fills && (type & Flag.READ_ONLY) !== 0) v.deny(`R${reg} cannot write into ${typeName(type)}`);
      checkRegion(v, at, reg, off, size, r[at + AUX]!, zero);
      return;
    case Type.CONTEXT:
      if (v.type.name !== "syscall") v.deny(`R${reg} type=ctx expected=fp`);
      checkRegion(v, at, reg, off, size, 0xffff, zero);
      return;
    case Type.BTF:
      accessStruct(v, at, reg, 0, size, { write: false, value: -1, reg: -1 });
      return;
    default:
      if (size === 0 && zero && isNull(r, at)) return;
      v.deny(`R${reg} type=${typeName(type)} expected=fp`);
  }
}

/** All memory that helpers fill, once every argument has been checked. */
export function fillMemory(v: Verification, facts: CallFacts): void {
  for (const { reg, at, size } of facts.fills)
    fillStack(v, stackRange(v, at, reg, fixedOf(v.frame.words, at), size, true), size);
}

function checkSize(v: Verification, reg: number, at: number, memory: HelperArg, zero: boolean, facts: CallFacts): void {
  const r = v.frame.words;
  const x = at + SCALAR;
  if (r[x + SMIN + 1]! < 0) v.deny(`R${reg} min value is negative, either use unsigned or 'var &= const'`);
  if (!zero && (r[x + UMIN]! | r[x + UMIN + 1]!) === 0)
    v.deny(
      `R${reg} invalid zero-sized read: u64=[${bigOf(r[x + UMIN]!, r[x + UMIN + 1]!)},${bigOf(r[x + UMAX]!, r[x + UMAX + 1]!)}]`,
    );
  const size = v.tables.guards.helperBytes(r, x);
  if (size >= MAX_SIZE) v.deny(`R${reg} unbounded memory access, use 'var &= const' or 'if (var < const)'`);
  const pointer = v.read(reg - 1);
  const kind = memory.replace("?", "");
  const fills = kind === "out" && isConstant(r, x);
  if (!(isNull(r, pointer) && size === 0)) {
    checkMemory(v, reg - 1, pointer, size, fills || kind === "inout" || kind === "out", zero, facts);
    // What is written only in part has to hold something before, and holds anything after.
    if ((kind === "out" || kind === "inout") && !fills && baseOf(r[pointer]!) === Type.STACK && size > 0)
      passStack(v, stackRange(v, pointer, reg - 1, fixedOf(r, pointer), size, true), size, true, reg - 1);
  }
  markPrecise(v, reg);
}

function checkString(v: Verification, reg: number, at: number): void {
  const r = v.frame.words;
  const map = v.map(r[at + AUX]!);
  if ((map.flags & MAP_FLAGS.rdonly_prog) === 0 || map.frozen !== true)
    v.deny(`R${reg} does not point to a readonly map'`);
  if (!isConstant(r, at + SCALAR)) v.deny(`R${reg} is not a constant address'`);
  if (map.type !== MAP_TYPES.array) v.deny("no direct value access support for this map type");
  const offset = signed(r[at + SCALAR]!, r[at + SCALAR + 1]!) + r[at + FIXED]!;
  checkRegion(v, at, reg, r[at + FIXED]!, map.valueSize - offset, map.valueSize, false);
  const { initial } = map;
  if (initial !== undefined && initial.indexOf(0, offset) < 0) v.refuse(Errno.EINVAL, "string is not zero-terminated");
}

/** The format of bpf_snprintf takes no more arguments than there are. */
export function checkFormat(v: Verification): void {
  const r = v.frame.words;
  const [format, bytes] = [3 * REG_WORDS, 5 * REG_WORDS + SCALAR];
  const count = r[bytes]!;
  if (count % 8 !== 0) v.refuse(Errno.EINVAL);
  const { initial } = v.map(r[format + AUX]!);
  if (initial === undefined) return;
  const from = r[format + SCALAR]! + r[format + FIXED]!;
  const text = String.fromCharCode(...initial.subarray(from, initial.indexOf(0, from)));
  const wanted = formatArguments(text);
  if (wanted === undefined || 8 * wanted > count) v.refuse(Errno.EINVAL, "Invalid format string");
}
