// Calls of helpers: who may call which one, what the arguments must be, what is known afterwards.
import { MAP_FLAGS, MAP_TYPES } from "../isa/maps.ts";
import type { HelperName } from "../spec/helper-names.ts";
import { type HelperSpec, helperArgs } from "../spec/helper-words.ts";
import { allowedHelpers, type KernelProfile } from "../spec/kernel-profile.ts";
import { mapType } from "../spec/map-types.ts";
import { type CallFacts, checkArgument, checkFormat, fillMemory } from "./args.ts";
import { enterCallback } from "./callback.ts";
import { sync } from "./deduce.ts";
import { giveBack, isOfPacket, takenFrom } from "./dynptrs.ts";
import { isGplCompatible } from "./license.ts";
import { markPreciseSlot } from "./precision.ts";
import { helperSpec } from "./prototypes.ts";
import { acquire, forgetPackets, release } from "./references.ts";
import { Errno } from "./refusal.ts";
import {
  AUX,
  FIXED,
  Flag,
  FRAME,
  ID,
  REF,
  REG_WORDS,
  SCALAR,
  setPointer,
  setScalar,
  setUninit,
  Type,
} from "./register.ts";
import { lowerSmax, raiseSmin, SMAX } from "./scalar.ts";
import type { Verification } from "./verification.ts";

/** Helpers by kernel, and by type and attach type of the program. */
const allowed = new WeakMap<KernelProfile, Map<string, ReadonlySet<string>>>();

function namesFor({ profile, type, attachType }: Verification): ReadonlySet<string> {
  let sets = allowed.get(profile);
  if (sets === undefined) {
    sets = new Map();
    allowed.set(profile, sets);
  }
  const key = `${type.name} ${attachType}`;
  let names = sets.get(key);
  if (names === undefined) {
    names = allowedHelpers(profile, type.name, attachType);
    sets.set(key, names);
  }
  return names;
}

/** A call of a helper at slot `i`. */
export function callHelper(v: Verification, i: number): void {
  const id = v.insns.imm(i);
  const spec = helperSpec(id);
  if (spec === undefined)
    v.refuse(
      Errno.EINVAL,
      id === 0 ? "program of this type cannot use helper bpf_unspec#0" : `invalid func unknown#${id}`,
    );
  checkPermission(v, spec);
  const args = helperArgs(spec, v.type.name);
  const facts: CallFacts = {
    map: 0,
    allocSize: -1,
    released: 0,
    releasedArg: 0,
    callback: -1,
    fills: [],
    key: undefined,
  };
  for (let n = 1; n <= args.length; n++) checkArgument(v, spec, args, n, facts);
  if (facts.map !== 0) checkMap(v, spec, facts);
  if (spec.name === "snprintf") checkFormat(v);
  if (spec.name === "timer_init" && v.frame.words[REG_WORDS + AUX] !== facts.map)
    v.refuse(Errno.EINVAL, "timer pointer in R1 map_uid=0 doesn't match map pointer in R2 map_uid=0");
  fillMemory(v, facts);
  if (spec.name === "tail_call") checkTailCall(v);
  if (spec.releases !== undefined && facts.released !== 0 && !release(v, facts.released))
    v.refuse(Errno.EINVAL, `func ${named(spec)} reference has not been acquired before`);
  if (spec.releases !== undefined && facts.dynptr !== undefined) giveBack(v, facts.dynptr);
  checkLock(v, spec);
  if (facts.callback >= 0) enterCallback(v, i, spec, args, facts);
  setResult(v, i, spec, facts);
  const writesPacket = spec.name === "dynptr_write" && facts.dynptr !== undefined && isOfPacket(facts.dynptr);
  if ((spec.changesPacket || writesPacket) && spec.name !== "tail_call") forgetPackets(v);
}

/** A helper's name as messages have it. */
export function named(spec: HelperSpec): string {
  return `bpf_${spec.name}#${spec.id}`;
}

function checkPermission(v: Verification, spec: HelperSpec): void {
  if (!namesFor(v).has(spec.name as never))
    v.refuse(Errno.EINVAL, `program of this type cannot use helper ${named(spec)}`);
  if (spec.gpl && !isGplCompatible(v.program.license))
    v.refuse(Errno.EINVAL, "cannot call GPL-restricted function from non-GPL compatible program");
  if (spec.sleeps && v.program.sleepable !== true)
    v.refuse(
      Errno.EINVAL,
      v.modern
        ? `sleepable helper ${named(spec)} in non-sleepable prog`
        : "helper call might sleep in a non-sleepable prog",
    );
  if (spec.sleeps && v.state.rcuSections > 0)
    v.refuse(Errno.EINVAL, `sleepable helper ${named(spec)} in rcu_read_lock region`);
  if (spec.sleeps && v.state.preemptSections > 0)
    v.refuse(Errno.EINVAL, `sleepable helper ${named(spec)} in non-preemptible region`);
}

function checkMap(v: Verification, spec: HelperSpec, { map }: CallFacts): void {
  const { type, flags } = v.map(map);
  const kind = mapType(type);
  if (WRITES.has(spec.name) && ((flags & MAP_FLAGS.rdonly_prog) !== 0 || kind?.lookup === "constant"))
    v.deny("write into map forbidden");
  if (spec.name === "tail_call") {
    if (type !== MAP_TYPES.prog_array)
      v.refuse(
        Errno.EINVAL,
        v.modern ? "expected prog array map for tail call" : "kernel subsystem misconfigured verifier",
      );
    return;
  }
  if (spec.name.startsWith("timer_")) return;
  if (kind !== undefined && !kind.helpers.includes(spec.name as HelperName)) {
    if (spec.name === "for_each_map_elem") v.refuse(Errno.ENOTSUPP, "callback function not allowed for map");
    v.refuse(Errno.EINVAL, `cannot pass map_type ${type} into func ${named(spec)}`);
  }
}

const WRITES: ReadonlySet<string> = new Set(["map_update_elem", "map_delete_elem", "map_push_elem", "map_pop_elem"]);

function checkTailCall(v: Verification): void {
  if (v.state.rcuSections > 0) v.refuse(Errno.EINVAL, "tail_call cannot be used inside bpf_rcu_read_lock-ed region");
  if (v.state.preemptSections > 0)
    v.refuse(Errno.EINVAL, "tail_call cannot be used inside bpf_preempt_disable-ed region");
  if (v.state.references.length > 0) v.refuse(Errno.EINVAL, "tail_call would lead to reference leak");
  if (v.state.lockId !== 0) v.refuse(Errno.EINVAL, "tail_call cannot be used inside bpf_spin_lock-ed region");
}

function checkLock(v: Verification, spec: HelperSpec): void {
  const { state } = v;
  const r = v.frame.words;
  const r1 = REG_WORDS;
  if (spec.name === "spin_lock") {
    if (state.lockId !== 0) v.refuse(Errno.EINVAL, "function calls are not allowed while holding a lock");
    state.lockId = r[r1 + ID] === 0 ? -1 : r[r1 + ID]!;
    state.lockMap = r[r1 + AUX]!;
  } else if (spec.name === "spin_unlock") {
    if (state.lockId === 0) v.refuse(Errno.EINVAL, "bpf_spin_unlock without taking a lock");
    const id = r[r1 + ID] === 0 ? -1 : r[r1 + ID]!;
    if (state.lockId !== id || state.lockMap !== r[r1 + AUX])
      v.refuse(Errno.EINVAL, "bpf_spin_unlock of different lock");
    state.lockId = 0;
    state.lockMap = 0;
  } else if (state.lockId !== 0) {
    v.refuse(Errno.EINVAL, "function calls are not allowed while holding a lock");
  }
}

/** Clears r0 to r5, and gives r0 its meaning. */
function setResult(v: Verification, i: number, spec: HelperSpec, facts: CallFacts): void {
  const r = v.frame.words;
  const elided = keyIsThere(v, spec, facts);
  const cast = CASTS.has(spec.name) ? r[REG_WORDS + REF]! : 0;
  const upTo =
    spec.resultUpTo === undefined
      ? undefined
      : v.frame.words.slice(spec.resultUpTo * REG_WORDS, (spec.resultUpTo + 1) * REG_WORDS);
  v.clobber();
  v.log.mark(0);
  const nullable = spec.returns.endsWith("?");
  const kind = nullable ? spec.returns.slice(0, -1) : spec.returns;
  const orNull = nullable && !elided ? Flag.MAYBE_NULL : 0;
  switch (kind) {
    case "void":
      setUninit(r, 0);
      return;
    case "integer":
      setScalar(r, 0);
      if (upTo !== undefined && upTo[0] === Type.SCALAR) boundResult(r, upTo);
      if (spec.name === "get_smp_processor_id") boundCpu(r, v.cpus);
      return;
    case "map-value":
      setLookup(v, i, spec, facts, orNull);
      break;
    case "memory":
      setPointer(r, 0, Type.MEMORY | orNull, facts.allocSize);
      if (facts.dynptr !== undefined) takenFrom(r, facts.dynptr);
      break;
    case "record":
      setPointer(r, 0, Type.MEMORY | Flag.RECORD | orNull, facts.allocSize);
      break;
    case "socket":
      setPointer(r, 0, Type.SOCKET | orNull);
      break;
    case "sock-common":
      setPointer(r, 0, Type.SOCK_COMMON | orNull);
      break;
    case "tcp-sock":
      setPointer(r, 0, Type.TCP_SOCK | orNull);
      break;
    default:
      setPointer(
        r,
        0,
        Type.BTF | orNull | (nullable ? 0 : Flag.TRUSTED),
        kind.startsWith("btf:") ? v.structs.numberOf(kind.slice("btf:".length)) : 0,
      );
  }
  if (orNull !== 0 && r[ID] === 0) r[ID] = v.nextId();
  if (cast !== 0) r[REF] = cast;
  if (spec.acquires) {
    const id = acquire(v, i);
    r[ID] = id;
    r[REF] = id;
  }
}

/** What a lookup gives depends on the map: a value, another map, a socket. */
function setLookup(v: Verification, i: number, spec: HelperSpec, facts: CallFacts, orNull: number): void {
  const r = v.frame.words;
  const map = v.map(facts.map);
  const lookup = spec.name.startsWith("map_lookup") ? mapType(map.type)?.lookup : "value";
  switch (lookup) {
    case "map": {
      const inner = v.program.maps.findIndex(({ name }) => name === map.inner);
      if (inner < 0) v.refuse(Errno.EINVAL, "the map inside of the map is not known");
      setPointer(r, 0, Type.MAP | orNull, inner + 1);
      r[FRAME] = v.nextId();
      return;
    }
    case "socket": {
      setPointer(
        r,
        0,
        map.type === MAP_TYPES.sockmap || map.type === MAP_TYPES.sockhash
          ? Type.SOCKET | orNull
          : Type.SOCK_COMMON | orNull,
      );
      v.nextId(); // of the pointer that may be null, as of any lookup's
      const id = acquire(v, i);
      r[ID] = id;
      r[REF] = id;
      return;
    }
    case "xdp-socket":
      setPointer(r, 0, Type.XDP_SOCK | orNull);
      return;
    default:
      setPointer(r, 0, Type.MAP_VALUE | orNull, facts.map);
      if (map.fields !== undefined || orNull !== 0) r[ID] = v.nextId();
  }
}

/** Elements of an array are there as long as the index is below their number. */
function keyIsThere(v: Verification, spec: HelperSpec, { map, key }: CallFacts): boolean {
  if (spec.name !== "map_lookup_elem" || key === undefined || !v.modern) return false;
  const { type, maxEntries } = v.map(map);
  if ((type !== MAP_TYPES.array && type !== MAP_TYPES.percpu_array) || key >= maxEntries) return false;
  const at = 2 * REG_WORDS;
  markPreciseSlot(v, v.frame.words[at + FRAME]!, -(v.frame.words[at + SCALAR]! + v.frame.words[at + FIXED]!));
  return true;
}

/** Helpers whose result is their argument as another type of socket: it goes with the argument's reference. */
const CASTS: ReadonlySet<string> = new Set([
  "tcp_sock",
  "sk_fullsock",
  "skc_to_tcp6_sock",
  "skc_to_tcp_sock",
  "skc_to_tcp_timewait_sock",
  "skc_to_tcp_request_sock",
  "skc_to_udp6_sock",
  "skc_to_unix_sock",
  "skc_to_mptcp_sock",
]);

/** An error number, or up to what the size argument holds. */
function boundResult(r: Int32Array, size: Int32Array): void {
  const x = SCALAR;
  raiseSmin(r, x, -4095, -1);
  lowerSmax(r, x, size[SCALAR + SMAX]!, size[SCALAR + SMAX + 1]!);
  sync(r, x);
}

function boundCpu(r: Int32Array, cpus: number): void {
  raiseSmin(r, SCALAR, 0, 0);
  lowerSmax(r, SCALAR, cpus - 1, 0);
  sync(r, SCALAR);
}
