// Trampolines: the linked programs around a function, in the code that Linux 7.2 shows on arm64.
import {
  type ArgRules,
  type FrameSlot,
  type FunctionContext,
  Row,
  type Symbol as SymbolRef,
  type TrampolineContext,
  type TrampolineParts,
  type TrampolineRun,
  type TrampolineSymbol,
} from "@bpfkit/core";
import { SP, X0, X1, X2, X9, X10, X12, X19, X20, X29, X30, XZR } from "./abi.ts";
import { type Assembler, CC } from "./assembler.ts";
import { emit } from "./emit.ts";
import { emitCall } from "./lower/call.ts";
import { emitAddress } from "./lower/memory.ts";
import { emitFarJump, SITE } from "./poke.ts";

const { nop, bti, paciasp, autiasp, adr, ret, blr, add_imm, add_ext, sub_imm, subs_imm, ubfm, stp_pre, ldp_post } =
  emit;
const { ldr_uoff, str_uoff } = emit;

/**
 * AAPCS64 (IHI 0055) section 6.8.2 stage C, for numbers, pointers, and structs that are aligned to 8 bytes. (The kernel refuses structs
 * on the stack, as it is not told how they are aligned; a model here cannot have any that is aligned to more.) How large a word is on the
 * stack matters, for all above it is cleared.
 */
const rules: ArgRules = { registers: 8, struct: "all-stack", typed: true };

/** Target of `bti`: jumps and calls. */
const JC = 2 + 1;
/** Bytes of a pair of registers, and of the run context: cookie, and a word of the host. */
const PAIR = 16;
const RUN_CONTEXT = 16;
/** Bit 63 of func_meta, in its upper half. */
const IS_RETURN = 0x8000_0000;
/** The extension of a register that leaves it as it is. */
const UXTX = 3;
/** Instructions of a function up to the one behind its patch site, besides `bti`. */
const ENTRY = 2;

/** Offsets from sp, and sizes, in bytes. */
interface TrampolineFrame {
  /** Arguments of the original on the stack, for which it finds them at sp. */
  readonly original: number;
  readonly runContext: number;
  /** Address of the row, of one that goes by rows. */
  readonly row: number;
  /** Words of sessions, the last one lowest. */
  readonly sessions: number;
  readonly ip: number;
  readonly meta: number;
  /** What programs get as their context. */
  readonly args: number;
  readonly result: number;
  /** x19 and x20. */
  readonly kept: number;
  /** Tail calls so far. */
  readonly count: number;
  /** All of that, where x29 is. */
  readonly size: number;
}

/**
 * ```
 *   caller's arguments on the stack
 *   x29 + 24  x9: return address of the function
 *   x29 + 16  x29 of its caller
 *   x29 + 8   x30: return address in the function
 *   x29       the x29 above
 *             padding
 *             tail calls so far, where x12 has them
 *             x20
 *             x19
 *             result, where the function's is set or seen
 *             argument words, those of registers first
 *   context   = the first of them; also where there is none
 *             func_meta: number of argument words; from bit 8 how many words below the context the session's is; bit 63 at exit
 *             address of the function, where a program asks for it
 *             words of sessions, the one attached first on top
 *             address of the row, where it goes by rows
 *             run context: cookie, and a word of the host
 *             arguments of the original on the stack, where it is called
 *   sp
 * ```
 *
 * An indirect trampoline has no x9: it is the function, and has just the pair of x29 and x30.
 */
function frameOf({ plan, scheme }: TrampolineContext): TrampolineFrame {
  const { places, spec } = plan;
  let size = 0;
  const take = (bytes: number): number => {
    size += bytes;
    return size - bytes;
  };
  const original = take(plan.callsOriginal ? 8 * places.stack : 0);
  const runContext = take(RUN_CONTEXT);
  const row = take(spec.fromRow ? 8 : 0);
  const sessions = take(8 * plan.sessions);
  const ip = take(spec.funcIp ? 8 : 0);
  const meta = take(8);
  const args = take(8 * places.slots.length);
  const result = take(plan.keepsResult ? 8 : 0);
  const kept = take(PAIR);
  const count = take(spec.tailCalls && scheme.writesBack ? 8 : 0);
  return { original, runContext, row, sessions, ip, meta, args, result, kept, count, size: (size + 15) & -16 };
}

/** The picture as data, relative to x29. */
function frame(context: TrampolineContext): readonly FrameSlot[] {
  const { plan, scheme } = context;
  const { places, spec } = plan;
  const { original, runContext, row, sessions, ip, meta, args, result, kept, count, size } = frameOf(context);
  const slots: FrameSlot[] = [];
  const add = (name: string, offset: number, bytes = 8): unknown =>
    slots.push({ name, offset: offset - size, size: bytes });
  if (spec.indirect) {
    add("return address", size + 8);
    add("x29 of the caller", size);
  } else {
    add("return address of the function", size + 24);
    add("x29 of the caller", size + 16);
    add("return address", size + 8);
    add("x29 of the function", size);
  }
  if (spec.tailCalls && scheme.writesBack) add("tail calls", count);
  add("x20", kept + 8);
  add("x19", kept);
  if (plan.keepsResult) add("result", result);
  for (let i = places.slots.length - 1; i >= 0; i--) add(`argument word ${i}`, args + 8 * i);
  add("func_meta", meta);
  if (spec.funcIp) add("function", ip);
  for (let i = 0; i < plan.sessions; i++) add(`session word ${i}`, sessions + 8 * (plan.sessions - 1 - i));
  if (spec.fromRow) add("row", row);
  add("run context", runContext, RUN_CONTEXT);
  if (plan.callsOriginal && places.stack > 0) add("arguments on the stack", original, 8 * places.stack);
  return slots;
}

/**
 * The original is found by the return address that the call at its entry left, whether its address is known or not, as in 7.2. Where a
 * known one has its address asked for, that is filled in; else it is what the return address says. Where tail calls are counted in x26,
 * all that is called here keeps it.
 */
function emitTrampoline(a: Assembler, context: TrampolineContext): void {
  const { plan, layout } = context;
  const { spec, fentry, fmodRet, fexit, sessions, callsOriginal, keepsResult } = plan;
  if (spec.fromRow) {
    emitFromRow(a, context);
    return;
  }
  const places = frameOf(context);
  const { result, kept } = places;
  if (layout.bti) bti(a, JC);
  emitFrameEntry(a, context, places);
  saveArgs(a, context, places);
  a.storeSlot(X19, kept, X10);
  a.storeSlot(X20, kept + 8, X10);
  if (countsInX12(context)) a.storeSlot(X12, places.count, X10);

  if (callsOriginal) emitImageCall(a, context, "enter");
  for (let i = 0; i < sessions; i++) a.storeSlot(XZR, places.sessions + 8 * i, X10);
  if (sessions > 0 || spec.indirect) a.storeSlot(XZR, result, X10);
  for (const run of fentry) emitRun(a, context, places, run);

  const behindOriginal = a.label();
  if (fmodRet.length > 0) a.storeSlot(XZR, result, X10);
  for (const run of fmodRet) {
    emitRun(a, context, places, run);
    a.loadSlot(X10, result);
    a.cbnz(X10, behindOriginal);
  }
  if (callsOriginal) callOriginal(a, context, places);
  a.bind(behindOriginal);

  if (sessions > 0) storeMeta(a, context, places, IS_RETURN, 0);
  for (const run of fexit) emitRun(a, context, places, run);
  if (callsOriginal) emitImageCall(a, context, "exit");
  else if (!spec.indirect) restoreRegisters(a, context, places);
  if (countsInX12(context)) a.loadSlot(X12, places.count);
  a.loadSlot(X19, kept);
  a.loadSlot(X20, kept + 8);
  if (keepsResult) a.loadSlot(X0, result);
  if (spec.indirect) emitIndirectExit(a);
  else emitFrameExit(a, callsOriginal);
}

/** One that goes by rows. Where the function has none, or one of programs that run before it only, it goes on in the function. */
function emitFromRow(a: Assembler, context: TrampolineContext): void {
  const { layout } = context;
  const places = frameOf(context);
  const goesOn = a.label();
  const lists = a.label();
  if (layout.bti) bti(a, JC);
  emitFrameEntry(a, context, places);
  saveArgs(a, context, places);
  a.storeSlot(X19, places.kept, X10);
  a.storeSlot(X20, places.kept + 8, X10);
  if (countsInX12(context)) a.storeSlot(X12, places.count, X10);
  emitAddress(a, X0, { kind: "rows" });
  a.loadSlot(X1, places.ip);
  emitCall(a, { kind: "row-search" }, context);
  a.cbz(X0, goesOn);
  a.storeSlot(X0, places.row, X10);
  add_imm(a, 1, X19, X0, Row.LISTS, 0);
  ldr_uoff(a, 1, X10, X0, 0);
  a.cbz(X10, lists);
  emitSessions(a, places);
  emitRowCall(a, context, places, "enter");
  a.bind(lists);
  emitRowRuns(a, context, places);
  // The second list has no end where the row has none: then its first word is that end.
  ldr_uoff(a, 1, X10, X19, 0);
  a.cbz(X10, goesOn);
  callOriginal(a, context, places);
  emitRowRuns(a, context, places);
  emitRowCall(a, context, places, "exit");
  a.loadSlot(X19, places.kept);
  a.loadSlot(X20, places.kept + 8);
  a.loadSlot(X0, places.result);
  if (countsInX12(context)) a.loadSlot(X12, places.count);
  emitFrameExit(a, true);
  a.bind(goesOn);
  restoreRegisters(a, context, places);
  a.loadSlot(X19, places.kept);
  a.loadSlot(X20, places.kept + 8);
  if (countsInX12(context)) a.loadSlot(X12, places.count);
  emitFrameExit(a, false);
}

/** Clears the result and the words of sessions; x10 is what a row begins with. */
function emitSessions(a: Assembler, { result, ip }: TrampolineFrame): void {
  const next = a.label();
  const end = a.label();
  a.storeSlot(XZR, result, X9);
  a.bind(next);
  add_imm(a, 1, X10, X10, 1, 0);
  a.cbz(X10, end);
  // x10 is minus the sessions whose words are left, the last one's first
  add_ext(a, 1, X9, SP, X10, UXTX, 3);
  str_uoff(a, 1, XZR, X9, ip / 8);
  a.b(next);
  a.bind(end);
}

/** Runs the list at x19 and leaves x19 behind its end. */
function emitRowRuns(a: Assembler, context: TrampolineContext, { runContext, args, meta }: TrampolineFrame): void {
  const [next, skip, over, special] = [a.label(), a.label(), a.label(), a.label()];
  a.bind(next);
  ldr_uoff(a, 1, X10, X19, 0);
  subs_imm(a, 1, XZR, X10, Row.SKIPPED, 0);
  a.bCond(CC.ls, special);
  ldr_uoff(a, 1, X10, X19, Row.COOKIE / 8);
  a.storeSlot(X10, runContext, X9);
  ldr_uoff(a, 1, X10, X19, Row.META / 8);
  a.storeSlot(X10, meta, X9);
  ldr_uoff(a, 1, X0, X19, Row.OBJECT / 8);
  add_imm(a, 1, X1, SP, runContext, 0);
  emitCall(a, host("program-enter"), context);
  a.mov(1, X20, X0);
  a.cbz(X0, skip);
  add_imm(a, 1, X0, SP, args, 0);
  ldr_uoff(a, 1, X10, X19, Row.PROGRAM / 8);
  blr(a, X10);
  a.bind(skip);
  ldr_uoff(a, 1, X0, X19, Row.OBJECT / 8);
  a.mov(1, X1, X20);
  add_imm(a, 1, X2, SP, runContext, 0);
  emitCall(a, host("program-exit"), context);
  a.bind(over);
  add_imm(a, 1, X19, X19, Row.ENTRY, 0);
  a.b(next);
  a.bind(special);
  a.bCond(CC.eq, over);
  add_imm(a, 1, X19, X19, 8, 0);
}

/** Tells the host that a call of the original begins, or that it is over, for the row that it found. */
function emitRowCall(a: Assembler, context: TrampolineContext, { row }: TrampolineFrame, part: "enter" | "exit"): void {
  a.loadSlot(X0, row);
  emitCall(a, host(part), context);
}

/** Whether what is called here would lose the count of tail calls. */
function countsInX12({ plan, scheme }: TrampolineContext): boolean {
  return plan.spec.tailCalls === true && scheme.writesBack;
}

function emitFrameEntry(a: Assembler, context: TrampolineContext, { size, ip }: TrampolineFrame): void {
  const { funcIp, indirect } = context.plan.spec;
  if (!indirect) {
    stp_pre(a, 1, X29, X9, SP, -2);
    a.movSp(X29, SP);
  }
  stp_pre(a, 1, X29, X30, SP, -2);
  a.movSp(X29, SP);
  sub_imm(a, 1, SP, SP, size, 0);
  if (!funcIp) return;
  emitFunctionAddress(a, context, X10, X30);
  a.storeSlot(X10, ip, X9);
}

/** The address of the function: filled in, or from the return address that its entry left, which is in `from`. */
function emitFunctionAddress(a: Assembler, { plan, layout }: TrampolineContext, to: number, from: number): void {
  if (plan.spec.original === "known" || plan.spec.indirect) emitAddress(a, to, host("function"));
  else sub_imm(a, 1, to, from, 4 * (ENTRY + Number(layout.bti)), 0);
}

/** A trampoline that has called the original returns to the caller's address, which is in x9 then; else into the function. */
function emitFrameExit(a: Assembler, callsOriginal: boolean): void {
  a.movSp(SP, X29);
  ldp_post(a, 1, X29, X30, SP, 2);
  ldp_post(a, 1, X29, X9, SP, 2);
  if (callsOriginal) {
    a.mov(1, X30, X9);
    ret(a, X9);
  } else {
    a.mov(1, X10, X30);
    a.mov(1, X30, X9);
    ret(a, X10);
  }
}

function emitIndirectExit(a: Assembler): void {
  a.movSp(SP, X29);
  ldp_post(a, 1, X29, X30, SP, 2);
  ret(a, X30);
}

/** The words of programs. What is above an argument in its word on the stack is the caller's garbage; in a register it is left there. */
function saveArgs(a: Assembler, context: TrampolineContext, places: TrampolineFrame): void {
  const { slots } = context.plan.places;
  storeMeta(a, context, places, 0, 0);
  for (const [i, { in: where, index, size }] of slots.entries()) {
    const to = places.args + 8 * i;
    if (where === "register") {
      a.storeSlot(index, to, X10);
      continue;
    }
    loadStackArg(a, context, index);
    if (size < 8) {
      ubfm(a, 1, 1, X10, X10, 8 * size, 8 * size - 1); // lsl by the bits above it
      ubfm(a, 1, 1, X10, X10, 64 - 8 * size, 63); // and lsr
    }
    a.storeSlot(X10, to, X9);
  }
}

/** A word that the caller has put on the stack, to x10. */
function loadStackArg(a: Assembler, { plan }: TrampolineContext, index: number): void {
  const pairs = plan.spec.indirect ? 1 : 2;
  ldr_uoff(a, 1, X10, X29, (pairs * PAIR) / 8 + index);
}

function restoreRegisters(a: Assembler, { plan }: TrampolineContext, { args }: TrampolineFrame): void {
  for (const [i, { in: where, index }] of plan.places.slots.entries()) {
    if (where === "register") a.loadSlot(index, args + 8 * i);
  }
}

/** The arguments as they came, and into the function behind its patch site, from where it returns here. */
function callOriginal(a: Assembler, context: TrampolineContext, places: TrampolineFrame): void {
  restoreRegisters(a, context, places);
  for (let i = 0; i < context.plan.places.stack; i++) {
    loadStackArg(a, context, i);
    a.storeSlot(X10, places.original + 8 * i, X9);
  }
  if (countsInX12(context)) a.loadSlot(X12, places.count);
  a.loadSlot(X10, places.size + 8);
  adr(a, X30, 8);
  ret(a, X10);
  a.storeSlot(X0, places.result, X10);
  if (countsInX12(context)) a.storeSlot(X12, places.count, X10);
}

/** One program, when the host lets it run. Where it must not run any more its `nop` becomes a jump behind all of that. */
function emitRun(a: Assembler, context: TrampolineContext, places: TrampolineFrame, run: TrampolineRun): void {
  const { runContext, args, result } = places;
  const object: TrampolineSymbol = { kind: "program-object", index: run.link };
  if (run.session !== undefined) {
    const below = 1 + Number(context.plan.spec.funcIp ?? false) + 1 + run.session;
    storeMeta(a, context, places, run.kind === "fexit" ? IS_RETURN : 0, below);
  }
  const end = a.label();
  a.block(SITE, end);
  nop(a);
  if (run.findsCookie) {
    ldr_uoff(a, 1, X1, X29, 1);
    emitFunctionAddress(a, context, X1, X1);
    emitAddress(a, X0, { kind: "cookies", index: run.link });
    emitCall(a, { kind: "cookie-search" }, context);
    a.storeSlot(X0, runContext, X10);
  } else if (run.cookie === 0n) a.storeSlot(XZR, runContext, X10);
  else {
    a.movImm64(X10, Number((run.cookie >> 32n) & 0xffff_ffffn) | 0, Number(run.cookie & 0xffff_ffffn) | 0);
    a.storeSlot(X10, runContext, X9);
  }
  emitAddress(a, X19, object);
  a.mov(1, X0, X19);
  add_imm(a, 1, X1, SP, runContext, 0);
  emitCall(a, host("program-enter"), context);
  a.mov(1, X20, X0);
  const skip = a.label();
  a.cbz(X0, skip);
  add_imm(a, 1, X0, SP, args, 0);
  emitCall(a, { kind: "program", index: run.link }, context);
  if (run.setsResult) a.storeSlot(X0, result, X10);
  a.bind(skip);
  a.mov(1, X0, X19);
  a.mov(1, X1, X20);
  add_imm(a, 1, X2, SP, runContext, 0);
  emitCall(a, host("program-exit"), context);
  a.bind(end);
}

/** func_meta with the upper half `high` and the word of a session `below` the context. */
function storeMeta(
  a: Assembler,
  { plan }: TrampolineContext,
  { meta }: TrampolineFrame,
  high: number,
  below: number,
): void {
  a.movImm64(X10, high, plan.places.slots.length | (below << 8));
  a.storeSlot(X10, meta, X9);
}

/** Tells the host that a call of the original begins, or that it is over. */
function emitImageCall(a: Assembler, context: TrampolineContext, part: "enter" | "exit"): void {
  emitAddress(a, X0, host("image"));
  emitCall(a, host(part), context);
}

function host(part: Extract<TrampolineSymbol, { kind: "trampoline" }>["part"]): SymbolRef {
  return { kind: "trampoline", part };
}

/** What compilers make of a kernel function that can be traced and does everything in another one. */
function emitFunction(a: Assembler, context: FunctionContext): void {
  const { layout } = context;
  const start = a.here();
  if (layout.bti) bti(a, JC);
  a.mov(1, X9, X30);
  a.site("entry", SITE, 0);
  nop(a);
  if (layout.pac) paciasp(a);
  stp_pre(a, 1, X29, X30, SP, -2);
  a.movSp(X29, SP);
  emitCall(a, { kind: "body" }, context);
  ldp_post(a, 1, X29, X30, SP, 2);
  if (layout.pac) autiasp(a);
  ret(a, X30);
  if (layout.far) emitFarJump(a, layout, start, 0);
}

/** The trampolines of this backend. Entries call all of them: x9 has the caller's return address by then. */
export const trampoline: TrampolineParts<Assembler> = {
  rules,
  traits: {
    jumps: false,
    frames: 2,
    aligned: "always",
    smallOnStack: { seen: "own-bytes", passed: "whole" },
  },
  emit: emitTrampoline,
  frame,
  emitFunction,
};
