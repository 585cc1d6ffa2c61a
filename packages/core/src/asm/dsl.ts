// The builder: instructions as calls with labels as values, after cilium/ebpf's asm package. One function per mnemonic of the table.
import { BpfError } from "../errors.ts";
import { helperByName } from "../isa/helpers.ts";
import { INSNS, type InsnRow, type Op } from "../isa/opcodes.ts";

/** A register by name, so that `mov64(r1, r2)` and `mov64(r1, 2)` differ. */
export type Register = "r0" | "r1" | "r2" | "r3" | "r4" | "r5" | "r6" | "r7" | "r8" | "r9" | "r10";

/** Results, and what a program returns. */
export const r0: Register = "r0";
/** First argument; the context at entry. */
export const r1: Register = "r1";
/** Argument; undefined after a call. */
export const r2: Register = "r2";
/** Argument; undefined after a call. */
export const r3: Register = "r3";
/** Argument; undefined after a call. */
export const r4: Register = "r4";
/** Argument; undefined after a call. */
export const r5: Register = "r5";
/** Kept over calls. */
export const r6: Register = "r6";
/** Kept over calls. */
export const r7: Register = "r7";
/** Kept over calls. */
export const r8: Register = "r8";
/** Kept over calls. */
export const r9: Register = "r9";
/** The frame pointer: one past the end of the frame. */
export const r10: Register = "r10";
/** r10, the frame pointer. */
export const fp: Register = "r10";

/** A place in a program, or the start of a subprogram; an item of `build` where it stands. */
export interface InsnLabel {
  readonly kind: "label";
  readonly name: string;
  readonly subprog: boolean;
}

/** Where a jump goes: a label, the name of one, or a distance in slots from the next instruction. */
export type Target = InsnLabel | string | number;

/** One instruction, with what is not known before all of them are there. */
export interface BuiltInsn {
  readonly kind: "insn";
  readonly op: Op;
  readonly dst: number;
  readonly src: number;
  readonly off: number;
  /** For two-slot loads the low half, with the high half in `high`. */
  readonly imm: number;
  readonly high: number;
  readonly refersTo?: InsnLabel | { readonly kind: "label-name" | "map" | "kfunc"; readonly name: string };
}

/** What `build` takes; lists may be nested. */
export type Item = BuiltInsn | InsnLabel | readonly Item[];

/** Width of a memory access; `s` sizes sign-extend. */
export type LoadSize = "u8" | "u16" | "u32" | "u64" | "s8" | "s16" | "s32";
/** Width of a store, a load-acquire or a store-release. */
export type StoreSize = "u8" | "u16" | "u32" | "u64";
/** Width of a read-modify-write. */
export type AtomicSize = "u32" | "u64";

/** 8 bits, zero-extended. */
export const u8 = "u8" as const;
/** 16 bits, zero-extended. */
export const u16 = "u16" as const;
/** 32 bits, zero-extended. */
export const u32 = "u32" as const;
/** 64 bits, zero-extended. */
export const u64 = "u64" as const;
/** 8 bits, sign-extended. */
export const s8 = "s8" as const;
/** 16 bits, sign-extended. */
export const s16 = "s16" as const;
/** 32 bits, sign-extended. */
export const s32 = "s32" as const;

/** `dst op= src`, where `src` is a register or a 32-bit immediate. */
export type AluFunction = (dst: Register, src: Register | number) => BuiltInsn;
/** Jumps when `dst op src`. */
export type JumpFunction = (dst: Register, src: Register | number, target: Target) => BuiltInsn;
/** An operation on one register. */
export type UnaryFunction = (dst: Register) => BuiltInsn;
/** An atomic operation on memory at `base + off`. */
export type AtomicFunction = (size: AtomicSize, base: Register, off: number, src: Register) => BuiltInsn;

/** A label to be placed once in the list of items and jumped to from anywhere. */
export function label(name = ""): InsnLabel {
  return { kind: "label", name, subprog: false };
}

/** Begins a subprogram; `call(it)` or `call(name)` calls it. */
export function subprog(name: string): InsnLabel {
  return { kind: "label", name, subprog: true };
}

/** The register with a number. @throws {BpfError} `argument` */
export function register(number: number): Register {
  if (!Number.isInteger(number) || number < 0 || number > 10)
    throw new BpfError("argument", `register ${number}`, { expected: "0..10" });
  return `r${number}` as Register;
}

// Arithmetic: RFC 9669 section 4.1.
/** `dst += src`, 64 bits. */
export const add64: AluFunction = alu("add64");
/** `dst += src`, 32 bits; clears the upper half. */
export const add32: AluFunction = alu("add32");
/** `dst -= src`, 64 bits. */
export const sub64: AluFunction = alu("sub64");
/** `dst -= src`, 32 bits; clears the upper half. */
export const sub32: AluFunction = alu("sub32");
/** `dst *= src`, 64 bits. */
export const mul64: AluFunction = alu("mul64");
/** `dst *= src`, 32 bits; clears the upper half. */
export const mul32: AluFunction = alu("mul32");
/** `dst |= src`, 64 bits. */
export const or64: AluFunction = alu("or64");
/** `dst |= src`, 32 bits; clears the upper half. */
export const or32: AluFunction = alu("or32");
/** `dst &= src`, 64 bits. */
export const and64: AluFunction = alu("and64");
/** `dst &= src`, 32 bits; clears the upper half. */
export const and32: AluFunction = alu("and32");
/** `dst ^= src`, 64 bits. */
export const xor64: AluFunction = alu("xor64");
/** `dst ^= src`, 32 bits; clears the upper half. */
export const xor32: AluFunction = alu("xor32");
/** `dst /= src`, 64 bits. */
export const div64: AluFunction = alu("div64");
/** `dst /= src`, 32 bits; clears the upper half. */
export const div32: AluFunction = alu("div32");
/** `dst s/= src`, 64 bits. */
export const sdiv64: AluFunction = alu("sdiv64");
/** `dst s/= src`, 32 bits; clears the upper half. */
export const sdiv32: AluFunction = alu("sdiv32");
/** `dst %= src`, 64 bits. */
export const mod64: AluFunction = alu("mod64");
/** `dst %= src`, 32 bits; clears the upper half. */
export const mod32: AluFunction = alu("mod32");
/** `dst s%= src`, 64 bits. */
export const smod64: AluFunction = alu("smod64");
/** `dst s%= src`, 32 bits; clears the upper half. */
export const smod32: AluFunction = alu("smod32");
/** `dst <<= src`, 64 bits. */
export const lsh64: AluFunction = alu("lsh64");
/** `dst <<= src`, 32 bits; clears the upper half. */
export const lsh32: AluFunction = alu("lsh32");
/** `dst >>= src`, 64 bits. */
export const rsh64: AluFunction = alu("rsh64");
/** `dst >>= src`, 32 bits; clears the upper half. */
export const rsh32: AluFunction = alu("rsh32");
/** `dst s>>= src`, 64 bits. */
export const arsh64: AluFunction = alu("arsh64");
/** `dst s>>= src`, 32 bits; clears the upper half. */
export const arsh32: AluFunction = alu("arsh32");
/** `dst = src`, 64 bits. */
export const mov64: AluFunction = alu("mov64");
/** `dst = src`, 32 bits; clears the upper half. */
export const mov32: AluFunction = alu("mov32");
/** `dst = -dst`, 64 bits. */
export const neg64: UnaryFunction = unary("neg64");
/** `dst = -dst`, 32 bits; clears the upper half. */
export const neg32: UnaryFunction = unary("neg32");

/** Sign-extends the low `bits` of `src` to 64. */
export function movsx64(dst: Register, src: Register, bits: 8 | 16 | 32): BuiltInsn {
  return insn(`movsx64_${bits}`, { dst, src });
}

/** Sign-extends the low `bits` of `src` to 32 and clears the upper half. */
export function movsx32(dst: Register, src: Register, bits: 8 | 16): BuiltInsn {
  return insn(`movsx32_${bits}`, { dst, src });
}

/** Casts an arena pointer between address spaces. */
export function addrSpaceCast(dst: Register, src: Register, to: number, from: number): BuiltInsn {
  return insn("addr_space_cast", {
    dst,
    src,
    imm: (within(to, 0, 0xffff, "address space") << 16) | within(from, 0, 0xffff, "address space"),
  });
}

// Byte swaps: RFC 9669 section 4.2.
/** Low 16 bits in little-endian order. */
export const le16: UnaryFunction = unary("le16");
/** Low 32 bits in little-endian order. */
export const le32: UnaryFunction = unary("le32");
/** Low 64 bits in little-endian order. */
export const le64: UnaryFunction = unary("le64");
/** Low 16 bits in big-endian order. */
export const be16: UnaryFunction = unary("be16");
/** Low 32 bits in big-endian order. */
export const be32: UnaryFunction = unary("be32");
/** Low 64 bits in big-endian order. */
export const be64: UnaryFunction = unary("be64");
/** Low 16 bits with their bytes reversed. */
export const bswap16: UnaryFunction = unary("bswap16");
/** Low 32 bits with their bytes reversed. */
export const bswap32: UnaryFunction = unary("bswap32");
/** Low 64 bits with their bytes reversed. */
export const bswap64: UnaryFunction = unary("bswap64");

/** Loads 64 bits, in two slots. */
export function lddw(dst: Register, value: bigint | number): BuiltInsn {
  if (typeof value === "number" && !Number.isSafeInteger(value))
    throw new BpfError("argument", `immediate ${value}`, { expected: "an integer" });
  const bits = BigInt(value);
  if (bits < -(1n << 63n) || bits >= 1n << 64n)
    throw new BpfError("out-of-range", `immediate ${value}`, { expected: "64 bits" });
  return insn("lddw", { dst, imm: Number(BigInt.asIntN(32, bits)), high: Number(BigInt.asIntN(32, bits >> 32n)) });
}

/** Loads a map, by name or by its index in the program. */
export function loadMap(dst: Register, map: string | number): BuiltInsn {
  return insn("lddw_map_idx", { dst, ...named("map", map) });
}

/** Loads the address of byte `offset` of a map's first value. */
export function loadMapValue(dst: Register, map: string | number, offset = 0): BuiltInsn {
  return insn("lddw_map_idx_value", { dst, ...named("map", map), high: within(offset, 0, 0x7fff_ffff, "offset") });
}

/** Loads a map, or the address of byte `offset` of its value, by file descriptor. */
export function loadMapFd(dst: Register, fd: number, offset?: number): BuiltInsn {
  if (offset === undefined) return insn("lddw_map_fd", { dst, imm: fd });
  return insn("lddw_map_value", { dst, imm: fd, high: within(offset, 0, 0x7fff_ffff, "offset") });
}

/** Loads the address of a kernel variable by its BTF id. */
export function loadBtfId(dst: Register, id: number): BuiltInsn {
  return insn("lddw_btf_id", { dst, imm: id });
}

/** Loads the address of a subprogram, for helpers that call back. */
export function loadSubprog(dst: Register, target: Target): BuiltInsn {
  return insn("lddw_subprog", { dst, ...distance(target, "imm") });
}

// Loads, stores and atomics: RFC 9669 section 5.

/** `dst = *(size *)(base + off)`. */
export function load(size: LoadSize, dst: Register, base: Register, off = 0): BuiltInsn {
  return insn(size.startsWith("s") ? (`loadsx${bitsOf(size)}` as Op) : (`load${bitsOf(size)}` as Op), {
    dst,
    src: base,
    off,
  });
}

/** `*(size *)(base + off) = src`. */
export function store(size: StoreSize, base: Register, off: number, src: Register | number): BuiltInsn {
  const name = `store${bitsOf(size)}`;
  if (typeof src !== "number") return insn(`${name}_reg` as Op, { dst: base, off, src });
  return insn(`${name}_imm` as Op, { dst: base, off, imm: immediate(size === "u64" ? name : "store32", src) });
}

/** `*(base + off) += src`, at once. */
export const atomicAdd: AtomicFunction = atomic("atomic_add");
/** `*(base + off) |= src`, at once. */
export const atomicOr: AtomicFunction = atomic("atomic_or");
/** `*(base + off) &= src`, at once. */
export const atomicAnd: AtomicFunction = atomic("atomic_and");
/** `*(base + off) ^= src`, at once. */
export const atomicXor: AtomicFunction = atomic("atomic_xor");
/** `*(base + off) += src`, at once; `src` gets the old value. */
export const fetchAdd: AtomicFunction = atomic("atomic_fetch_add");
/** `*(base + off) |= src`, at once; `src` gets the old value. */
export const fetchOr: AtomicFunction = atomic("atomic_fetch_or");
/** `*(base + off) &= src`, at once; `src` gets the old value. */
export const fetchAnd: AtomicFunction = atomic("atomic_fetch_and");
/** `*(base + off) ^= src`, at once; `src` gets the old value. */
export const fetchXor: AtomicFunction = atomic("atomic_fetch_xor");
/** Swaps `src` and `*(base + off)`, at once. */
export const xchg: AtomicFunction = atomic("xchg");
/** Stores `src` where memory equals r0; r0 gets the old value. */
export const cmpxchg: AtomicFunction = atomic("cmpxchg");

/** `dst = load_acquire((size *)(base + off))`. */
export function loadAcquire(size: StoreSize, dst: Register, base: Register, off = 0): BuiltInsn {
  return insn(`load_acquire${bitsOf(size)}` as Op, { dst, src: base, off });
}

/** `store_release((size *)(base + off), src)`. */
export function storeRelease(size: StoreSize, base: Register, off: number, src: Register): BuiltInsn {
  return insn(`store_release${bitsOf(size)}` as Op, { dst: base, src, off });
}

/** Legacy packet load at a constant offset; r6 holds the context. */
export function ldAbs(size: "u8" | "u16" | "u32", offset: number): BuiltInsn {
  return insn(`ld_abs${bitsOf(size)}` as Op, { imm: offset });
}

/** Legacy packet load at `src + offset`; r6 holds the context. */
export function ldInd(size: "u8" | "u16" | "u32", src: Register, offset = 0): BuiltInsn {
  return insn(`ld_ind${bitsOf(size)}` as Op, { src, imm: offset });
}

// Jumps and calls: RFC 9669 section 4.3. Without a number they compare 64 bits.
/** Jumps when `dst == src`, 64 bits. */
export const jeq: JumpFunction = jump("jeq64");
/** Jumps when `dst == src`, 32 bits. */
export const jeq32: JumpFunction = jump("jeq32");
/** Jumps when `dst != src`, 64 bits. */
export const jne: JumpFunction = jump("jne64");
/** Jumps when `dst != src`, 32 bits. */
export const jne32: JumpFunction = jump("jne32");
/** Jumps when `dst > src`, 64 bits. */
export const jgt: JumpFunction = jump("jgt64");
/** Jumps when `dst > src`, 32 bits. */
export const jgt32: JumpFunction = jump("jgt32");
/** Jumps when `dst >= src`, 64 bits. */
export const jge: JumpFunction = jump("jge64");
/** Jumps when `dst >= src`, 32 bits. */
export const jge32: JumpFunction = jump("jge32");
/** Jumps when `dst < src`, 64 bits. */
export const jlt: JumpFunction = jump("jlt64");
/** Jumps when `dst < src`, 32 bits. */
export const jlt32: JumpFunction = jump("jlt32");
/** Jumps when `dst <= src`, 64 bits. */
export const jle: JumpFunction = jump("jle64");
/** Jumps when `dst <= src`, 32 bits. */
export const jle32: JumpFunction = jump("jle32");
/** Jumps when `dst s> src`, 64 bits. */
export const jsgt: JumpFunction = jump("jsgt64");
/** Jumps when `dst s> src`, 32 bits. */
export const jsgt32: JumpFunction = jump("jsgt32");
/** Jumps when `dst s>= src`, 64 bits. */
export const jsge: JumpFunction = jump("jsge64");
/** Jumps when `dst s>= src`, 32 bits. */
export const jsge32: JumpFunction = jump("jsge32");
/** Jumps when `dst s< src`, 64 bits. */
export const jslt: JumpFunction = jump("jslt64");
/** Jumps when `dst s< src`, 32 bits. */
export const jslt32: JumpFunction = jump("jslt32");
/** Jumps when `dst s<= src`, 64 bits. */
export const jsle: JumpFunction = jump("jsle64");
/** Jumps when `dst s<= src`, 32 bits. */
export const jsle32: JumpFunction = jump("jsle32");
/** Jumps when `dst & src`, 64 bits. */
export const jset: JumpFunction = jump("jset64");
/** Jumps when `dst & src`, 32 bits. */
export const jset32: JumpFunction = jump("jset32");

/** Jumps always; 16 bits of distance. */
export function ja(target: Target): BuiltInsn {
  return insn("ja", distance(target, "off"));
}

/** Jumps always; 32 bits of distance. */
export function gotol(target: Target): BuiltInsn {
  return insn("gotol", distance(target, "imm"));
}

/** Jumps when the loop budget is used up. */
export function mayGoto(target: Target): BuiltInsn {
  return insn("may_goto", distance(target, "off"));
}

/** Jumps to the address in a register. */
export function gotox(dst: Register): BuiltInsn {
  return insn("gotox", { dst });
}

/** Calls a helper by number, or by name with or without `bpf_`; a subprogram by label; any other name is that of a subprogram. */
export function call(callee: number | string | InsnLabel): BuiltInsn {
  if (typeof callee === "number") return insn(callee === TAIL_CALL ? "tail_call" : "call_helper", { imm: callee });
  const helper = typeof callee === "string" ? helperByName(callee) : undefined;
  return helper === undefined ? callSubprog(callee) : call(helper.id);
}

/** Calls a subprogram. */
export function callSubprog(target: Target): BuiltInsn {
  return insn("call_subprog", distance(target, "imm"));
}

/** Calls a kernel function by name, or by its index in the program. */
export function callKfunc(kfunc: string | number): BuiltInsn {
  return insn("call_kfunc", named("kfunc", kfunc));
}

/** Calls the address in a register. */
export function callx(dst: Register): BuiltInsn {
  return insn("callx", { dst });
}

/** `bpf_tail_call(r1, r2, r3)`. */
export function tailCall(): BuiltInsn {
  return insn("tail_call", {});
}

/** Leaves the subprogram, or the program. */
export function exit(): BuiltInsn {
  return insn("exit", {});
}

const TAIL_CALL = 12;

type Fields = Partial<Pick<BuiltInsn, "off" | "imm" | "high" | "refersTo">> & {
  readonly dst?: Register;
  readonly src?: Register;
};

function insn(op: Op, { dst, src, off, imm, high, refersTo }: Fields): BuiltInsn {
  const row: InsnRow = INSNS[op];
  const built: BuiltInsn = {
    kind: "insn",
    op,
    dst: dst === undefined ? 0 : numberOf(dst),
    src: src === undefined ? (row.src ?? 0) : numberOf(src),
    off: off === undefined ? (row.off ?? 0) : within(off, -0x8000, 0x7fff, "offset"),
    imm: imm === undefined ? (row.imm ?? 0) : within(imm, -0x8000_0000, 0xffff_ffff, "immediate") | 0,
    high: high ?? 0,
  };
  return refersTo === undefined ? built : { ...built, refersTo };
}

function numberOf(name: Register): number {
  const number = /^r(\d|10)$/.exec(name)?.[1];
  if (number === undefined) throw new BpfError("argument", `register ${name}`, { expected: "r0..r10" });
  return Number(number);
}

function within(value: number, least: number, greatest: number, what: string): number {
  if (Number.isInteger(value) && value >= least && value <= greatest) return value;
  throw new BpfError("out-of-range", `${what} ${value}`, { expected: `${least}..${greatest}` });
}

function bitsOf(size: string): string {
  return size.slice(1);
}

function alu(name: string): AluFunction {
  return (dst, src) =>
    typeof src === "number"
      ? insn(`${name}_imm` as Op, { dst, imm: immediate(name, src) })
      : insn(`${name}_reg` as Op, { dst, src });
}

function jump(name: string): JumpFunction {
  return (dst, src, target) =>
    typeof src === "number"
      ? insn(`${name}_imm` as Op, { dst, imm: immediate(name, src), ...distance(target, "off") })
      : insn(`${name}_reg` as Op, { dst, src, ...distance(target, "off") });
}

/** Immediates of 64-bit instructions are sign-extended: 0xffffffff would become -1. */
function immediate(name: string, value: number): number {
  return within(value, -0x8000_0000, name.endsWith("32") ? 0xffff_ffff : 0x7fff_ffff, "immediate");
}

function unary(op: Op): UnaryFunction {
  return (dst) => insn(op, { dst });
}

function atomic(name: string): AtomicFunction {
  return (size, base, off, src) => insn(`${name}${bitsOf(size)}` as Op, { dst: base, src, off });
}

function distance(target: Target, field: "off" | "imm"): Fields {
  if (typeof target === "number") return { [field]: target };
  return { refersTo: typeof target === "string" ? { kind: "label-name", name: target } : target };
}

function named(kind: "map" | "kfunc", value: string | number): Fields {
  return typeof value === "number" ? { imm: value } : { refersTo: { kind, name: value } };
}
