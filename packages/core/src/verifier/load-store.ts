// The instructions that load and store.
import { checkContext } from "./args.ts";
import { accessMemory } from "./memory.ts";
import { Errno } from "./refusal.ts";
import {
  baseOf,
  Flag,
  isPacket,
  isPointer,
  REG_WORDS,
  SCALAR,
  setNumber,
  setScalar,
  Type,
  typeName,
  unlink,
} from "./register.ts";
import type { Row } from "./rows.ts";
import { SCRATCH, SCRATCH2 } from "./state.ts";
import type { Verification } from "./verification.ts";

/** rD = *(rS + O), extended with zeros or with the sign. */
export function load(v: Verification, i: number, row: Row): void {
  const { insns } = v;
  const src = insns.src(i);
  v.read(src);
  const dst = insns.dst(i);
  const at = v.write(dst);
  const r = v.frame.words;
  if (row.kind === "loadAcquire") refuseAtomic(v, src, r[src * REG_WORDS]!, "loads from");
  accessMemory(v, src, insns.off(i), row.bytes, {
    write: false,
    value: SCRATCH2,
    reg: dst,
    aligned: row.kind === "loadAcquire",
    signed: row.kind === "loadSx",
  });
  v.copy(at, SCRATCH2);
  if (r[at] !== Type.SCALAR) {
    if (isPointer(r[at]!) && row.bytes < 8 && row.kind === "loadSx") setScalar(r, at);
    return;
  }
  if (row.kind === "loadSx") {
    unlink(r, at);
    v.tables.casts.truncate(r, at + SCALAR, row.bytes);
    v.tables.casts.signExtend(r, at + SCALAR, row.bytes, true);
  } else if (row.bytes < 8) {
    v.tables.casts.truncate(r, at + SCALAR, row.bytes);
  }
}

/** *(rD + O) = rS or K. */
export function store(v: Verification, i: number, row: Row): void {
  const { insns } = v;
  const dst = insns.dst(i);
  const r = v.frame.words;
  let value = SCRATCH;
  let reg = -1;
  if (row.kind === "storeImm") {
    setNumber(r, SCRATCH, insns.imm(i), insns.imm(i) >> 31);
  } else {
    reg = insns.src(i);
    value = v.read(reg);
  }
  const at = v.read(dst);
  const type = r[at]!;
  accessMemory(v, dst, insns.off(i), row.bytes, { write: true, value, reg, aligned: row.kind === "storeRelease" });
  if (row.kind === "storeRelease") refuseAtomic(v, dst, type);
}

/** Memory that atomics cannot change. */
function refuseAtomic(v: Verification, reg: number, type: number, what: string = "stores into"): void {
  const base = baseOf(type);
  const refused =
    base === Type.CONTEXT ||
    isPacket(base) ||
    base === Type.FLOW_KEYS ||
    (base >= Type.SOCKET && base <= Type.XDP_SOCK);
  if (refused && (type & Flag.MAYBE_NULL) === 0) v.deny(`BPF_ATOMIC ${what} R${reg} ${typeName(type)} is not allowed`);
}

/** A read and a write in one. */
export function atomic(v: Verification, i: number, row: Row): void {
  const { insns } = v;
  const src = insns.src(i);
  const dst = insns.dst(i);
  const r = v.frame.words;
  v.read(src);
  const at = v.read(dst);
  const isExchange = row.operation === "cmpxchg";
  if (isExchange) v.read(0);
  refuseAtomic(v, dst, r[at]!);
  const old = row.fetches ? v.write(isExchange ? 0 : src) : -1;
  accessMemory(v, dst, insns.off(i), row.bytes, { write: false, value: SCRATCH2, reg: -1, aligned: true });
  if (!isPointer(r[SCRATCH2]!)) unlink(r, SCRATCH2);
  else if (row.bytes < 8) setScalar(r, SCRATCH2);
  setScalar(r, SCRATCH);
  accessMemory(v, dst, insns.off(i), row.bytes, { write: true, value: SCRATCH, reg: -1, aligned: true });
  if (old < 0) return;
  v.copy(old, SCRATCH2);
  if (row.bytes < 8) v.tables.casts.truncate(r, old + SCALAR, row.bytes);
}

/** r0 = what the packet holds at an offset; outside, the program ends. */
export function packetLoad(v: Verification, i: number): void {
  if (!v.type.packetLoads) v.refuse(Errno.EINVAL, "BPF_LD_[ABS|IND] instructions not allowed for this program type");
  const isIndirect = (v.insns.code(i) & 0xe0) === 0x40;
  if (v.state.references.length > 0)
    v.refuse(
      Errno.EINVAL,
      v.modern
        ? "BPF_LD_[ABS|IND] would lead to reference leak"
        : "BPF_LD_[ABS|IND] cannot be mixed with socket references",
    );
  if (v.state.lockId !== 0) v.refuse(Errno.EINVAL, "BPF_LD_[ABS|IND] cannot be used inside bpf_spin_lock-ed region");
  const at = v.read(6);
  const r = v.frame.words;
  if (r[at] !== Type.CONTEXT) v.refuse(Errno.EINVAL, "at the time of BPF_LD_ABS|IND R6 != pointer to skb");
  checkContext(v, 6, at);
  if (isIndirect) v.read(v.insns.src(i));
  v.clobber();
  v.log.mark(0);
  setScalar(r, 0);
}
