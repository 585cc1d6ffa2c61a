// Atomic operations: RFC 9669 section 5.3.
import type { LowerInsn, Lowering } from "@bpfkit/core";
import { R10, R11, RAX, REG } from "../abi.ts";
import { type Assembler, CC } from "../assembler.ts";
import { emit, emitMem } from "../emit.ts";

const { mov_rm32_r32, mov_rm64_r64, or_rm32_r32, or_rm64_r64, and_rm32_r32, and_rm64_r64, xor_rm32_r32, xor_rm64_r64 } =
  emit;
const {
  mov_r32_rm32, mov_r64_rm64, xchg_rm32_r32, xchg_rm64_r64, lock_xadd_m32_r32, lock_xadd_m64_r64, lock_cmpxchg_m32_r32,
  lock_cmpxchg_m64_r64, lock_add_m32_r32, lock_add_m64_r64, lock_or_m32_r32, lock_or_m64_r64, lock_and_m32_r32, lock_and_m64_r64,
  lock_xor_m32_r32, lock_xor_m64_r64,
} = emitMem; // biome-ignore format: names

/** Values of the immediate. */
const ADD = 0x00;
const OR = 0x40;
const AND = 0x50;
const FETCH = 0x01;
const XCHG = 0xe1;
const CMPXCHG = 0xf1;

const atomic: LowerInsn<Assembler> = (a, insns, at) => {
  const wide = (insns.code(at) & 0x18) !== 0;
  const dst = REG[insns.dst(at)]!;
  const src = REG[insns.src(at)]!;
  const off = insns.off(at);
  switch (insns.imm(at)) {
    case ADD:
      (wide ? lock_add_m64_r64 : lock_add_m32_r32)(a, dst, off, src);
      break;
    case OR:
      (wide ? lock_or_m64_r64 : lock_or_m32_r32)(a, dst, off, src);
      break;
    case AND:
      (wide ? lock_and_m64_r64 : lock_and_m32_r32)(a, dst, off, src);
      break;
    case ADD | FETCH:
      (wide ? lock_xadd_m64_r64 : lock_xadd_m32_r32)(a, dst, off, src);
      break;
    case XCHG:
      (wide ? xchg_rm64_r64 : xchg_rm32_r32)(a, dst, off, src);
      break;
    case CMPXCHG:
      (wide ? lock_cmpxchg_m64_r64 : lock_cmpxchg_m32_r32)(a, dst, off, src);
      if (!wide) mov_rm32_r32(a, RAX, RAX); // an exchange that happens leaves the upper half alone
      break;
    case OR | FETCH:
    case AND | FETCH:
      emitFetchLoop(a, wide, dst, off, src, insns.imm(at) & ~FETCH);
      break;
    default:
      if (insns.imm(at) & FETCH) emitFetchLoop(a, wide, dst, off, src, insns.imm(at) & ~FETCH);
      else (wide ? lock_xor_m64_r64 : lock_xor_m32_r32)(a, dst, off, src);
  }
};

/** Compares and exchanges until nobody came between. rax works, so r0 moves to r10, as an operand too. Clobbers r10, r11. */
function emitFetchLoop(a: Assembler, wide: boolean, dst: number, off: number, src: number, operation: number): void {
  const base = dst === RAX ? R10 : dst;
  const operand = src === RAX ? R10 : src;
  const mov = wide ? mov_rm64_r64 : mov_rm32_r32;
  mov_rm64_r64(a, R10, RAX);
  const again = a.here();
  (wide ? mov_r64_rm64 : mov_r32_rm32)(a, RAX, base, off);
  mov(a, R11, RAX);
  if (operation === OR) (wide ? or_rm64_r64 : or_rm32_r32)(a, R11, operand);
  else if (operation === AND) (wide ? and_rm64_r64 : and_rm32_r32)(a, R11, operand);
  else (wide ? xor_rm64_r64 : xor_rm32_r32)(a, R11, operand);
  (wide ? lock_cmpxchg_m64_r64 : lock_cmpxchg_m32_r32)(a, base, off, R11);
  a.jcc(CC.ne, again);
  mov(a, operand, RAX);
  mov_rm64_r64(a, RAX, R10);
}

/** The lowering of this file. */
export const ATOMIC_LOWERING: Pick<Lowering<Assembler>, "atomic"> = { atomic };
