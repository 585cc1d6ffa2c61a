// What every BPF instruction does, in the words of BpfOps: RFC 9669 sections 4 and 5, and what Linux added since.
import type { AtomicOp, BpfOps, Size } from "../machine/ops.ts";
import type { Op } from "./opcodes.ts";

/** The fields of a decoded instruction, ready for its meaning. Bigints are unsigned 64-bit values. */
export interface Fields {
  readonly dst: number;
  readonly src: number;
  /** `off`, sign-extended to 64 bits. */
  readonly off: bigint;
  /** `imm`, sign-extended to 64 bits. */
  readonly imm: bigint;
  /** `imm` as it is in a 32-bit operation: its 32 bits alone. */
  readonly imm32: bigint;
  /** The immediate of a two-slot load. */
  readonly imm64: bigint;
  /** Helper number, or index in `Program.kfuncs`: `imm` as a number. */
  readonly id: number;
  /** Slot index of the instruction, and of the one a jump or call leads to. */
  readonly pc: number;
  readonly target: bigint;
}

/** What one instruction does. */
export type Meaning = <V>(m: BpfOps<V>, f: Fields) => void;

/** Number of the hidden register of a frame that counts down its `may_goto`s. */
export const MAY_GOTO: 12 = 12;
/** What {@link MAY_GOTO} holds when a frame begins: how often its `may_goto`s fall through, the kernel's BPF_MAX_LOOPS. */
export const MAY_GOTO_PASSES = 0x80_0000;

type Un = <V>(m: BpfOps<V>, a: V) => V;
type Bin = <V>(m: BpfOps<V>, a: V, b: V) => V;
type Operand = <V>(m: BpfOps<V>, f: Fields) => V;

const dst: Operand = (m, f) => m.get(f.dst);
const src: Operand = (m, f) => m.get(f.src);
const imm: Operand = (m, f) => m.constant(f.imm);
const imm32: Operand = (m, f) => m.constant(f.imm32);

const zero = <V>(m: BpfOps<V>): V => m.constant(0n);
const not = <V>(m: BpfOps<V>, a: V): V => m.eq(a, zero(m));
const unsigned32 = <V>(m: BpfOps<V>, a: V): V => m.zext(4, a);
const signed32 = <V>(m: BpfOps<V>, a: V): V => m.sext(4, a);

/** dst = dst op operand. */
const alu64 =
  (operand: Operand, op: Bin): Meaning =>
  (m, f) =>
    m.set(f.dst, op(m, dst(m, f), operand(m, f)));

/** The same on 32 bits: `op` may leave anything above bit 31, dst gets zeros there. */
const alu32 =
  (operand: Operand, op: Bin): Meaning =>
  (m, f) =>
    m.set(f.dst, unsigned32(m, op(m, dst(m, f), operand(m, f))));

/** dst = op(operand). */
const move =
  (operand: Operand, op: Un): Meaning =>
  (m, f) =>
    m.set(f.dst, op(m, operand(m, f)));

// `of32` gives `op` its operands as unsigned (or signed) 32-bit numbers, where their upper bits would show in the result.
const of32 =
  (op: Bin): Bin =>
  (m, a, b) =>
    op(m, unsigned32(m, a), unsigned32(m, b));
const ofSigned32 =
  (op: Bin): Bin =>
  (m, a, b) =>
    op(m, signed32(m, a), signed32(m, b));

const add: Bin = (m, a, b) => m.add(a, b);
const sub: Bin = (m, a, b) => m.sub(a, b);
const mul: Bin = (m, a, b) => m.mul(a, b);
const or: Bin = (m, a, b) => m.or(a, b);
const and: Bin = (m, a, b) => m.and(a, b);
const xor: Bin = (m, a, b) => m.xor(a, b);

// Division by zero gives 0; the remainder by zero is the dividend, which the vocabulary's is too.
const div: Bin = (m, a, b) => m.select(not(m, b), zero(m), m.udiv(a, b));
const sdiv: Bin = (m, a, b) => m.select(not(m, b), zero(m), m.sdiv(a, b));
const mod: Bin = (m, a, b) => m.urem(a, b);
const smod: Bin = (m, a, b) => m.srem(a, b);

const lsh: Bin = (m, a, b) => m.shl(a, b);
const rsh: Bin = (m, a, b) => m.shr(a, b);
const arsh: Bin = (m, a, b) => m.sar(a, b);
const count32 = <V>(m: BpfOps<V>, b: V): V => m.and(b, m.constant(31n));
const lsh32: Bin = (m, a, b) => m.shl(a, count32(m, b));
const rsh32: Bin = (m, a, b) => m.shr(unsigned32(m, a), count32(m, b));
const arsh32: Bin = (m, a, b) => m.sar(signed32(m, a), count32(m, b));

const same: Un = (_m, a) => a;
const neg: Un = (m, a) => m.sub(zero(m), a);
const neg32: Un = (m, a) => unsigned32(m, neg(m, a));
const signExtend =
  (size: Size): Un =>
  (m, a) =>
    m.sext(size, a);
const signExtend32 =
  (size: Size): Un =>
  (m, a) =>
    unsigned32(m, m.sext(size, a));
const truncate =
  (size: Size): Un =>
  (m, a) =>
    m.zext(size, a);

/** Exchanges neighbouring groups of `bits` bits; `low` selects every other one. */
const swapGroups = <V>(m: BpfOps<V>, a: V, bits: bigint, low: bigint): V => {
  const [by, mask] = [m.constant(bits), m.constant(low)];
  return m.or(m.shl(m.and(a, mask), by), m.and(m.shr(a, by), mask));
};
/** Reverses the low `size` bytes and clears the rest. */
const swap =
  (size: Size): Un =>
  (m, a) => {
    const bytes = swapGroups(m, a, 8n, 0x00ff_00ff_00ff_00ffn);
    const pairs = swapGroups(m, bytes, 16n, 0x0000_ffff_0000_ffffn);
    const all = swapGroups(m, pairs, 32n, 0x0000_0000_ffff_ffffn);
    return m.shr(all, m.constant(BigInt(64 - 8 * size)));
  };

const sourceAddress: Operand = (m, f) => m.add(src(m, f), m.constant(f.off));
const targetAddress: Operand = (m, f) => m.add(dst(m, f), m.constant(f.off));

const load =
  (size: Size): Meaning =>
  (m, f) =>
    m.set(f.dst, m.load(size, sourceAddress(m, f)));
const loadSx =
  (size: Size): Meaning =>
  (m, f) =>
    m.set(f.dst, m.sext(size, m.load(size, sourceAddress(m, f))));
const store =
  (size: Size, operand: Operand): Meaning =>
  (m, f) =>
    m.store(size, targetAddress(m, f), operand(m, f));

const atomic =
  (op: AtomicOp, size: Size): Meaning =>
  (m, f) => {
    m.atomic(op, size, targetAddress(m, f), src(m, f));
  };
const atomicFetch =
  (op: AtomicOp, size: Size): Meaning =>
  (m, f) =>
    m.set(f.src, m.atomic(op, size, targetAddress(m, f), src(m, f)));
const cmpxchg =
  (size: Size): Meaning =>
  (m, f) =>
    m.set(0, m.atomic("compare-exchange", size, targetAddress(m, f), src(m, f), m.get(0)));
const loadAcquire =
  (size: Size): Meaning =>
  (m, f) => {
    const value = m.load(size, sourceAddress(m, f));
    m.fence("load-load-store");
    m.set(f.dst, value);
  };
const storeRelease =
  (size: Size): Meaning =>
  (m, f) => {
    m.fence("load-store-store");
    m.store(size, targetAddress(m, f), src(m, f));
  };

/** r0 = what the packet holds at `offset`, 32 bits signed; outside the packet the subprogram ends with r0 = 0. */
const packetLoad =
  (size: Size, offset: Operand): Meaning =>
  (m, f) => {
    const value = m.packetLoad(size, signed32(m, offset(m, f)));
    const outside = m.slt(value, zero(m));
    m.set(0, m.select(outside, zero(m), value));
    m.exit(outside);
  };
const indirect: Operand = (m, f) => m.add(src(m, f), imm(m, f));

const eq: Bin = (m, a, b) => m.eq(a, b);
const ne: Bin = (m, a, b) => not(m, m.eq(a, b));
const gt: Bin = (m, a, b) => m.ult(b, a);
const ge: Bin = (m, a, b) => not(m, m.ult(a, b));
const lt: Bin = (m, a, b) => m.ult(a, b);
const le: Bin = (m, a, b) => not(m, m.ult(b, a));
const sgt: Bin = (m, a, b) => m.slt(b, a);
const sge: Bin = (m, a, b) => not(m, m.slt(a, b));
const slt: Bin = (m, a, b) => m.slt(a, b);
const sle: Bin = (m, a, b) => not(m, m.slt(b, a));
const anySet: Bin = (m, a, b) => m.and(a, b);

const jump =
  (operand: Operand, condition: Bin): Meaning =>
  (m, f) =>
    m.branch(condition(m, dst(m, f), operand(m, f)), f.target);
const goto: Meaning = (m, f) => m.branch(m.constant(1n), f.target);
const mayGoto: Meaning = (m, f) => {
  const left = m.get(MAY_GOTO);
  const spent = not(m, left);
  m.branch(spent, f.target);
  m.set(MAY_GOTO, m.select(spent, left, m.sub(left, m.constant(1n))));
};

const symbol: Operand = (m, f) => m.symbol(f.pc);
const unavailable: Meaning = (m) => m.trapIf(m.constant(1n), "illegal");

/**
 * The meaning of every row of `INSNS`; leaving one out is a compile error. `callx` and `addr_space_cast` trap: the vocabulary has
 * no words for them yet, and engines refuse programs that contain them.
 */
// biome-ignore format: one row per instruction, in the order of INSNS
export const SEMANTICS: { readonly [K in Op]: Meaning } = {
  // Arithmetic.
  add64_imm:          alu64(imm, add),
  add64_reg:          alu64(src, add),
  add32_imm:          alu32(imm32, add),
  add32_reg:          alu32(src, add),
  sub64_imm:          alu64(imm, sub),
  sub64_reg:          alu64(src, sub),
  sub32_imm:          alu32(imm32, sub),
  sub32_reg:          alu32(src, sub),
  mul64_imm:          alu64(imm, mul),
  mul64_reg:          alu64(src, mul),
  mul32_imm:          alu32(imm32, mul),
  mul32_reg:          alu32(src, mul),
  or64_imm:           alu64(imm, or),
  or64_reg:           alu64(src, or),
  or32_imm:           alu32(imm32, or),
  or32_reg:           alu32(src, or),
  and64_imm:          alu64(imm, and),
  and64_reg:          alu64(src, and),
  and32_imm:          alu32(imm32, and),
  and32_reg:          alu32(src, and),
  xor64_imm:          alu64(imm, xor),
  xor64_reg:          alu64(src, xor),
  xor32_imm:          alu32(imm32, xor),
  xor32_reg:          alu32(src, xor),
  div64_imm:          alu64(imm, div),
  div64_reg:          alu64(src, div),
  div32_imm:          alu32(imm32, of32(div)),
  div32_reg:          alu32(src, of32(div)),
  sdiv64_imm:         alu64(imm, sdiv),
  sdiv64_reg:         alu64(src, sdiv),
  sdiv32_imm:         alu32(imm32, ofSigned32(sdiv)),
  sdiv32_reg:         alu32(src, ofSigned32(sdiv)),
  mod64_imm:          alu64(imm, mod),
  mod64_reg:          alu64(src, mod),
  mod32_imm:          alu32(imm32, of32(mod)),
  mod32_reg:          alu32(src, of32(mod)),
  smod64_imm:         alu64(imm, smod),
  smod64_reg:         alu64(src, smod),
  smod32_imm:         alu32(imm32, ofSigned32(smod)),
  smod32_reg:         alu32(src, ofSigned32(smod)),
  lsh64_imm:          alu64(imm, lsh),
  lsh64_reg:          alu64(src, lsh),
  lsh32_imm:          alu32(imm32, lsh32),
  lsh32_reg:          alu32(src, lsh32),
  rsh64_imm:          alu64(imm, rsh),
  rsh64_reg:          alu64(src, rsh),
  rsh32_imm:          alu32(imm32, rsh32),
  rsh32_reg:          alu32(src, rsh32),
  arsh64_imm:         alu64(imm, arsh),
  arsh64_reg:         alu64(src, arsh),
  arsh32_imm:         alu32(imm32, arsh32),
  arsh32_reg:         alu32(src, arsh32),
  neg64:              move(dst, neg),
  neg32:              move(dst, neg32),

  // Moves.
  mov64_imm:          move(imm, same),
  mov64_reg:          move(src, same),
  mov32_imm:          move(imm32, same),
  mov32_reg:          move(src, truncate(4)),
  movsx64_8:          move(src, signExtend(1)),
  movsx64_16:         move(src, signExtend(2)),
  movsx64_32:         move(src, signExtend(4)),
  movsx32_8:          move(src, signExtend32(1)),
  movsx32_16:         move(src, signExtend32(2)),
  addr_space_cast:    unavailable,

  // Byte swaps, on a little-endian machine.
  le16:               move(dst, truncate(2)),
  le32:               move(dst, truncate(4)),
  le64:               move(dst, same),
  be16:               move(dst, swap(2)),
  be32:               move(dst, swap(4)),
  be64:               move(dst, swap(8)),
  bswap16:            move(dst, swap(2)),
  bswap32:            move(dst, swap(4)),
  bswap64:            move(dst, swap(8)),

  // 64-bit immediates.
  lddw:               (m, f) => m.set(f.dst, m.constant(f.imm64)),
  lddw_map_fd:        move(symbol, same),
  lddw_map_value:     move(symbol, same),
  lddw_btf_id:        move(symbol, same),
  lddw_subprog:       move(symbol, same),
  lddw_map_idx:       move(symbol, same),
  lddw_map_idx_value: move(symbol, same),

  // Loads and stores.
  load8:              load(1),
  load16:             load(2),
  load32:             load(4),
  load64:             load(8),
  loadsx8:            loadSx(1),
  loadsx16:           loadSx(2),
  loadsx32:           loadSx(4),
  store8_reg:         store(1, src),
  store16_reg:        store(2, src),
  store32_reg:        store(4, src),
  store64_reg:        store(8, src),
  store8_imm:         store(1, imm),
  store16_imm:        store(2, imm),
  store32_imm:        store(4, imm),
  store64_imm:        store(8, imm),

  // Atomics.
  atomic_add32:       atomic("add", 4),
  atomic_fetch_add32: atomicFetch("add", 4),
  atomic_add64:       atomic("add", 8),
  atomic_fetch_add64: atomicFetch("add", 8),
  atomic_or32:        atomic("or", 4),
  atomic_fetch_or32:  atomicFetch("or", 4),
  atomic_or64:        atomic("or", 8),
  atomic_fetch_or64:  atomicFetch("or", 8),
  atomic_and32:       atomic("and", 4),
  atomic_fetch_and32: atomicFetch("and", 4),
  atomic_and64:       atomic("and", 8),
  atomic_fetch_and64: atomicFetch("and", 8),
  atomic_xor32:       atomic("xor", 4),
  atomic_fetch_xor32: atomicFetch("xor", 4),
  atomic_xor64:       atomic("xor", 8),
  atomic_fetch_xor64: atomicFetch("xor", 8),
  xchg32:             atomicFetch("exchange", 4),
  xchg64:             atomicFetch("exchange", 8),
  cmpxchg32:          cmpxchg(4),
  cmpxchg64:          cmpxchg(8),
  load_acquire8:      loadAcquire(1),
  load_acquire16:     loadAcquire(2),
  load_acquire32:     loadAcquire(4),
  load_acquire64:     loadAcquire(8),
  store_release8:     storeRelease(1),
  store_release16:    storeRelease(2),
  store_release32:    storeRelease(4),
  store_release64:    storeRelease(8),

  // Legacy packet loads.
  ld_abs8:            packetLoad(1, imm),
  ld_abs16:           packetLoad(2, imm),
  ld_abs32:           packetLoad(4, imm),
  ld_ind8:            packetLoad(1, indirect),
  ld_ind16:           packetLoad(2, indirect),
  ld_ind32:           packetLoad(4, indirect),

  // Jumps.
  jeq64_imm:          jump(imm, eq),
  jeq64_reg:          jump(src, eq),
  jeq32_imm:          jump(imm32, of32(eq)),
  jeq32_reg:          jump(src, of32(eq)),
  jgt64_imm:          jump(imm, gt),
  jgt64_reg:          jump(src, gt),
  jgt32_imm:          jump(imm32, of32(gt)),
  jgt32_reg:          jump(src, of32(gt)),
  jge64_imm:          jump(imm, ge),
  jge64_reg:          jump(src, ge),
  jge32_imm:          jump(imm32, of32(ge)),
  jge32_reg:          jump(src, of32(ge)),
  jset64_imm:         jump(imm, anySet),
  jset64_reg:         jump(src, anySet),
  jset32_imm:         jump(imm32, of32(anySet)),
  jset32_reg:         jump(src, of32(anySet)),
  jne64_imm:          jump(imm, ne),
  jne64_reg:          jump(src, ne),
  jne32_imm:          jump(imm32, of32(ne)),
  jne32_reg:          jump(src, of32(ne)),
  jsgt64_imm:         jump(imm, sgt),
  jsgt64_reg:         jump(src, sgt),
  jsgt32_imm:         jump(imm32, ofSigned32(sgt)),
  jsgt32_reg:         jump(src, ofSigned32(sgt)),
  jsge64_imm:         jump(imm, sge),
  jsge64_reg:         jump(src, sge),
  jsge32_imm:         jump(imm32, ofSigned32(sge)),
  jsge32_reg:         jump(src, ofSigned32(sge)),
  jlt64_imm:          jump(imm, lt),
  jlt64_reg:          jump(src, lt),
  jlt32_imm:          jump(imm32, of32(lt)),
  jlt32_reg:          jump(src, of32(lt)),
  jle64_imm:          jump(imm, le),
  jle64_reg:          jump(src, le),
  jle32_imm:          jump(imm32, of32(le)),
  jle32_reg:          jump(src, of32(le)),
  jslt64_imm:         jump(imm, slt),
  jslt64_reg:         jump(src, slt),
  jslt32_imm:         jump(imm32, ofSigned32(slt)),
  jslt32_reg:         jump(src, ofSigned32(slt)),
  jsle64_imm:         jump(imm, sle),
  jsle64_reg:         jump(src, sle),
  jsle32_imm:         jump(imm32, ofSigned32(sle)),
  jsle32_reg:         jump(src, ofSigned32(sle)),
  ja:                 goto,
  gotol:              goto,
  may_goto:           mayGoto,
  gotox:              (m, f) => m.jump(dst(m, f), "jump"),
  call_helper:        (m, f) => m.helper(f.id),
  tail_call:          (m) => m.tailCall(),
  call_subprog:       (m, f) => m.call(Number(f.target)),
  call_kfunc:         (m, f) => m.kfunc(f.id),
  callx:              unavailable,
  exit:               (m) => m.exit(),
};
