// Tail calls as Linux 7.2 shows them: r1 is the context, r2 the prog array, r3 the index.
import {
  BpfError,
  Fact,
  type Insns,
  type Label,
  type LowerContext,
  type LowerGuard,
  type LowerInsn,
  type Lowering,
  PROG,
  PROG_ARRAY,
  type Settings,
} from "@bpfkit/core";
import { RCX, RDX, RSI, RSP } from "../abi.ts";
import { type Assembler, CC } from "../assembler.ts";
import { emitCheck, emitCount } from "../counter.ts";
import { DISP0, emit, emitMem, indexed } from "../emit.ts";
import { emitUnwind, nop5, SITE } from "../prologue.ts";

const { mov_rm32_r32, add_rm64_imm8, test_rm64_r64, call_rel32, jmp_rel8, jmp_rm64, int3, lfence, pause, ret } = emit;
const { cmp_rm32_r32: cmp_m32_r32, mov_r64_rm64, mov_rm64_r64: mov_m64_r64 } = emitMem;

/** Leaves for another program, or goes on behind itself with what a failed check left in r0..r5. */
const tailCall: LowerInsn<Assembler> = (a, insns, at, context) => {
  const out = a.label();
  if (context.isDirect(at)) direct(a, at, context, out);
  else indirect(a, insns, at, context, out);
  a.bind(out);
};

/** The count goes up when nothing can go wrong any more. */
function indirect(a: Assembler, insns: Insns, at: number, context: LowerContext<Assembler>, out: Label): void {
  if ((context.facts.flags[at]! & Fact.INDEX_IN_RANGE) === 0) {
    mov_rm32_r32(a, RDX, RDX);
    cmp_m32_r32(a, RSI, PROG_ARRAY.maxEntries, RDX);
    a.jcc(CC.be, out);
  }
  emitCheck(a, context, out);
  mov_r64_rm64(a, RCX, indexed(RSI, RDX, 8), PROG_ARRAY.programs);
  test_rm64_r64(a, RCX, RCX);
  a.jcc(CC.e, out);
  emitCount(a, context);
  emitUnwind(a, context);
  mov_r64_rm64(a, RCX, RCX, PROG.entry);
  add_rm64_imm8(a, RCX, context.landing);
  INDIRECT_JUMPS[String(context.layout.indirectJumps)]!(a, insns, at, context);
}

/** Two sites of which others keep the contents: an empty slot is a `bypass` to behind the `target`. */
function direct(a: Assembler, at: number, context: LowerContext<Assembler>, out: Label): void {
  emitCheck(a, context, out);
  a.site("bypass", SITE, context.subprog, at);
  a.jmpNear(out);
  emitCount(a, context);
  emitUnwind(a, context);
  a.site("target", SITE, context.subprog, at);
  nop5(a);
}

/** By the layout setting `indirectJumps`: how to go where rcx points. */
const INDIRECT_JUMPS: Readonly<Record<string, LowerInsn<Assembler>>> = {
  plain(a, _insns, _at, { layout }) {
    jmp_rm64(a, RCX);
    if (layout.sls) int3(a); // nothing behind a jump is run ahead of it
  },
  lfence(a) {
    lfence(a);
    jmp_rm64(a, RCX);
  },
  /** Jumps to a thunk, as in the kernel; the first tail call of an image has it placed behind its subprogram. */
  retpoline(a, _insns, at, context) {
    if (a.thunk < 0) {
      a.thunk = a.label();
      context.outOfLine(thunk, at, a.thunk, context.epilogue);
    }
    a.jmpNear(a.thunk);
  },
};

/** Returns to where rcx points; what the CPU guesses meanwhile is that it returns to the loop behind the call. */
const thunk: LowerGuard<Assembler> = (a, _insns, _at, { layout }) => {
  call_rel32(a, 7);
  pause(a);
  lfence(a);
  jmp_rel8(a, -7);
  mov_m64_r64(a, RSP | DISP0, 0, RCX);
  ret(a);
  if (layout.sls) int3(a);
};

/** @throws {BpfError} `argument` for a layout whose indirect jumps nobody knows */
export function checkIndirectJumps({ indirectJumps }: Settings): void {
  if (Object.hasOwn(INDIRECT_JUMPS, String(indirectJumps))) return;
  throw new BpfError("argument", `layout setting indirectJumps=${indirectJumps}`, {
    expected: Object.keys(INDIRECT_JUMPS).join(", "),
  });
}

/** The lowerings of this file. */
export const TAIL_CALL_LOWERING: Pick<Lowering<Assembler>, "tailCall"> = { tailCall };
