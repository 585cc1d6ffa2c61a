// The vocabulary in which every instruction set states what its instructions do; docs/architecture.md, "One meaning, many readings".
import type { TrapCause } from "./stop.ts";

/** Bytes of an access or of a narrow value. */
export type Size = 1 | 2 | 4 | 8;

/** A hint for readers that translate: why a jump is taken. */
export type Flow = "jump" | "call" | "return";

/** Read-modify-write operations, and the two halves of a load-reserved / store-conditional pair. */
export type AtomicOp =
  | "add"
  | "and"
  | "or"
  | "xor"
  | "exchange"
  | "compare-exchange"
  | "load-reserved"
  | "store-conditional";

/** What a fence orders: earlier accesses of the first kind before later ones of the second. */
export type Fence = "load-load-store" | "load-store-store" | "full";

/**
 * The words an instruction's meaning is written in, over a value `V` of some reading. There is one sort of value, 64 bits wide;
 * a 32-bit instruction is `zext(4, …)` of a 64-bit one.
 *
 * An instruction is one parallel assignment: `get` is the value before it, `set` shows when it ends, and whatever can trap
 * (`load`, `store`, `atomic`, `trapIf`) comes before the first `set`. A row never uses JavaScript control flow on a `V`: what
 * depends on data is a `select`, a `branch` or a `trapIf`. Running a row twice is legal.
 */
export interface Ops<V> {
  /** A constant known when the instruction was decoded; 0 ≤ value < 2⁶⁴. */
  constant(value: bigint): V;
  add(a: V, b: V): V;
  sub(a: V, b: V): V;
  mul(a: V, b: V): V;
  /** High 64 bits of the unsigned 128-bit product. */
  mulhu(a: V, b: V): V;
  and(a: V, b: V): V;
  or(a: V, b: V): V;
  xor(a: V, b: V): V;
  /** Shift counts are taken modulo 64. */
  shl(a: V, count: V): V;
  shr(a: V, count: V): V;
  sar(a: V, count: V): V;
  /** Division is total: x / 0 is all ones, x % 0 is x, and the signed minimum divided by −1 is itself. */
  udiv(a: V, b: V): V;
  urem(a: V, b: V): V;
  sdiv(a: V, b: V): V;
  srem(a: V, b: V): V;
  /** Comparisons give 0 or 1. */
  eq(a: V, b: V): V;
  ult(a: V, b: V): V;
  slt(a: V, b: V): V;
  /** `then` when `condition` is not 0. */
  select(condition: V, then: V, otherwise: V): V;
  zext(size: Size, a: V): V;
  sext(size: Size, a: V): V;
  /** Zero-extends; traps where memory does not allow the access. */
  load(size: Size, address: V): V;
  store(size: Size, address: V, value: V): void;
  /**
   * One indivisible access that gives the old value, zero-extended. `compare-exchange` stores `value` where memory equals the
   * low `size` bytes of `expected`; `load-reserved` ignores `value`; `store-conditional` gives 0 when it stored and 1 when the reservation was lost.
   */
  atomic(op: AtomicOp, size: Size, address: V, value: V, expected?: V): V;
  fence(kind: Fence): void;
  /** The register before this instruction. */
  get(reg: number): V;
  /** The register after this instruction. */
  set(reg: number, value: V): void;
  /** Sets registers (flags) whose values are built only where somebody looks. `value` may close over values, not over `get` or `load`. */
  setLazy(regs: readonly number[], value: (reg: number) => V): void;
  /** Continues at `target` when `condition` is not 0. */
  branch(condition: V, target: bigint): void;
  jump(target: V, flow: Flow): void;
  /** Stops with a trap when `condition` is not 0. */
  trapIf(condition: V, cause: TrapCause): void;
}

/** What BPF's own instructions need beyond {@link Ops}; frames and saved registers belong to the reading. `pc` counts slots. */
export interface BpfOps<V> extends Ops<V> {
  /** Calls the subprogram whose first instruction is `target` (a slot index). */
  call(target: number): void;
  /** Calls a helper by number; r0 gets its result, r1..r5 end undefined. */
  helper(id: number): void;
  /** Calls a kernel function by its index in `Program.kfuncs`. */
  kfunc(index: number): void;
  /** `bpf_tail_call(r1, r2, r3)`. */
  tailCall(): void;
  /** The address a two-slot load stands for when its immediate is not a plain number; `at` is its slot index. */
  symbol(at: number): V;
  /** Legacy packet load (RFC 9669 section 5.5): `size` bytes at `offset` of the packet of the context in r6, in host order; a negative value when outside. */
  packetLoad(size: Size, offset: V): V;
  /** Leaves the subprogram, or the program; only when `condition` is not 0, where one is given. */
  exit(condition?: V): void;
}
