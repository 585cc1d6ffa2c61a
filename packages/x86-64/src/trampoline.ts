// Code that runs linked programs around a function: what Linux 7.2 shows on x86-64.
import {
  type FrameSlot,
  type FunctionContext,
  Row,
  type Symbol as SymbolRef,
  type TrampolineContext,
  type TrampolineParts,
  type TrampolineRun,
  type TrampolineSymbol,
} from "@bpfkit/core";
import { R8, R11, R13, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP } from "./abi.ts";
import { type Assembler, CC } from "./assembler.ts";
import { DISP0, DISP8, DISP32, emit, emitMem, indexed } from "./emit.ts";
import { emitMovImm64 } from "./lower/memory.ts";
import { nop5, SITE } from "./prologue.ts";

const { add_rm64_imm8, call_rel32, call_rm64, endbr64, leave, mov_r64_imm64, mov_rm64_r64, nop, pop_r64, push_r64, ret,
  sub_rm64_imm8, sub_rm64_imm32, test_rm64_r64 } = emit; // biome-ignore format: by name
const {
  call_rm64: call_m64,
  cmp_rm64_imm8,
  lea_r64_m,
  mov_r64_rm64,
  mov_rm32_imm32,
  mov_rm64_r64: mov_m64_r64,
  nop_rm16,
  nop_rm32,
} = emitMem;

/** An argument of functions that no BPF register stands for. */
const R9 = 9;

/** Registers of arguments, in order. */
const ARGS: readonly number[] = [RDI, RSI, RDX, RCX, R8, R9];

/** Places of a frame relative to rbp, in bytes. */
interface Places {
  /** Words of arguments on the stack of who called the function. */
  readonly stackArgs: number;
  readonly result: number;
  /** Argument words: what programs get as their context. */
  readonly args: number;
  readonly meta: number;
  readonly ip: number;
  /** Lowest word of sessions. */
  readonly sessions: number;
  readonly saved: number;
  /** Of one that goes by rows: r13 of the function's caller, and the address of the row. */
  readonly saved2: number;
  readonly row: number;
  readonly runContext: number;
  readonly tailCalls: number;
  /** Words of arguments on the stack for the original: rsp at its call. */
  readonly passed: number;
  /** Bytes below the saved rbp; a slot of tail calls that is pushed lies below them. */
  readonly size: number;
}

/** Bytes of a run context: the cookie, and a word for the host. */
const RUN_CONTEXT = 16;

/**
 * ```
 *   rbp + 24            arguments on the stack; +16 where it was entered by a jump, or through a pointer
 *   rbp + 16            return address of the function        only where its entry called
 *   rbp + 8             return address: into the function, or of it
 *   rbp                 rbp of the function's caller
 *                       result, where it has a slot
 *   ctx                 argument words, the first one lowest
 *   ctx - 8             number of the words; bits 8..15 the place of the session's word in words below ctx, bit 63 at exit
 *   ctx - 16            the function's address, where a program asks for it
 *                       words of sessions, that of the first attached highest
 *                       rbx
 *                       r13, and the address of the row, where it goes by rows
 *                       run context of a program: cookie, and a word for the host
 *                       count of tail calls, or its address, where the function can make them
 *   rsp                 words of arguments on the stack for the original
 * ```
 * Where the original gets words on the stack, rsp is a multiple of 16 at its call, and the count of tail calls lies inside the frame; elsewhere
 * everything is aligned to 8 as in the kernel, and the count is pushed.
 */
function placesOf(context: TrampolineContext): Places {
  const { spec, places, callsOriginal, keepsResult, entered, sessions } = context.plan;
  const isCalledByEntry = entered === "call" && spec.indirect !== true;
  let at = 0;
  const below = (words: number): number => {
    at -= 8 * words;
    return at;
  };
  const result = below(keepsResult ? 1 : 0);
  const args = below(places.slots.length);
  const meta = below(1);
  const ip = below(spec.funcIp === true ? 1 : 0);
  const sessionWords = below(sessions);
  const saved = below(1);
  const saved2 = below(spec.fromRow === true ? 1 : 0);
  const row = below(spec.fromRow === true ? 1 : 0);
  const runContext = below(RUN_CONTEXT / 8);
  const passed = callsOriginal ? places.stack : 0;
  const tailCalls = passed > 0 ? below(isCounted(context) ? 1 : 0) : at - 8;
  below(passed);
  // rbp is a multiple of 16 but for the return address that the function's entry pushed
  if (passed > 0 && (at - (isCalledByEntry ? 8 : 0)) % 16 !== 0) below(1);
  return {
    stackArgs: isCalledByEntry ? 24 : 16,
    result,
    args,
    meta,
    ip,
    sessions: sessionWords,
    saved,
    saved2,
    row,
    runContext,
    tailCalls,
    passed: at,
    size: -at,
  };
}

/** Whether rax brings a count of tail calls, or its address. */
function isCounted({ plan, scheme }: TrampolineContext): boolean {
  return plan.spec.tailCalls === true && scheme.carries !== "nothing";
}

function emitTrampoline(a: Assembler, context: TrampolineContext): void {
  const { plan, layout } = context;
  const { spec, callsOriginal } = plan;
  const at = placesOf(context);
  if (spec.fromRow === true) {
    emitFromRow(a, context);
    return;
  }
  if (spec.indirect === true && layout.ibt) endbr64(a);
  emitFrame(a, context, at);
  if (spec.indirect === true) emitStoreImm(a, at.result, 0); // of a program that may not run
  if (callsOriginal) emitHost(a, "enter");
  if (plan.sessions > 0) {
    for (let i = 0; i < plan.sessions; i++) emitStoreImm(a, at.sessions + 8 * i, 0);
    emitStoreImm(a, at.result, 0);
  }
  for (const run of plan.fentry) emitRun(a, context, at, run);

  const end = a.label();
  if (plan.fmodRet.length > 0) {
    emitStoreImm(a, at.result, 0);
    for (const run of plan.fmodRet) {
      emitRun(a, context, at, run);
      cmp_rm64_imm8(a, RBP, at.result, 0);
      a.jccNear(CC.ne, end);
    }
  }
  if (callsOriginal) emitOriginal(a, context, at);
  if (plan.fmodRet.length > 0) emitAlign(a, a.length + branchBytes(context));
  a.bind(end);

  if (plan.sessions > 0) emitStoreImm(a, at.meta, plan.places.slots.length, AT_EXIT);
  for (const run of plan.fexit) emitRun(a, context, at, run);
  emitEnd(a, context, at);
}

/** One that goes by rows. Where the function has none, or one of programs that run before it only, it goes on in the function. */
function emitFromRow(a: Assembler, context: TrampolineContext): void {
  const at = placesOf(context);
  const goesOn = a.label();
  const lists = a.label();
  emitFrame(a, context, at);
  mov_m64_r64(a, RBP, at.saved2, R13);
  emitAddress(a, RDI, { kind: "rows" });
  mov_r64_rm64(a, RSI, RBP, at.ip);
  emitCall(a, { kind: "row-search" });
  test_rm64_r64(a, RAX, RAX);
  a.jcc(CC.e, goesOn);
  mov_m64_r64(a, RBP, at.row, RAX);
  lea_r64_m(a, R13, RAX, Row.LISTS);
  mov_r64_rm64(a, RCX, RAX, 0);
  test_rm64_r64(a, RCX, RCX);
  a.jcc(CC.e, lists);
  emitSessions(a, at);
  mov_r64_rm64(a, RDI, RBP, at.row);
  emitCall(a, { kind: "trampoline", part: "enter" });
  a.bind(lists);
  emitRowRuns(a, at);
  // The second list has no end where the row has none: then its first word is that end.
  cmp_rm64_imm8(a, R13, 0, 0);
  a.jcc(CC.e, goesOn);
  emitOriginal(a, context, at);
  emitRowRuns(a, at);
  mov_r64_rm64(a, RDI, RBP, at.row);
  emitCall(a, { kind: "trampoline", part: "exit" });
  if (handsBack(context)) mov_r64_rm64(a, R11, RBP | DISP32, at.tailCalls);
  mov_r64_rm64(a, RAX, RBP, at.result);
  emitLeave(a, at);
  add_rm64_imm8(a, RSP, 8); // the return address into the function
  ret(a);
  a.bind(goesOn);
  emitRestoreArgs(a, context, at);
  if (isCounted(context)) mov_r64_rm64(a, RAX, RBP | DISP32, at.tailCalls);
  emitLeave(a, at);
  ret(a);
}

/** Clears the result and the words of sessions; rcx is what a row begins with. */
function emitSessions(a: Assembler, at: Places): void {
  const next = a.label();
  const end = a.label();
  emitStoreImm(a, at.result, 0);
  a.bind(next);
  add_rm64_imm8(a, RCX, 1);
  a.jcc(CC.e, end);
  // rcx is minus the sessions whose words are left, the last one's first; rax is 0
  mov_m64_r64(a, indexed(RBP, RCX, 8), at.ip, RAX);
  a.jmp(next);
  a.bind(end);
}

/** Runs the list at r13 and leaves r13 behind its end. */
function emitRowRuns(a: Assembler, at: Places): void {
  const [next, skip, over, special] = [a.label(), a.label(), a.label(), a.label()];
  a.bind(next);
  cmp_rm64_imm8(a, R13, 0, Row.SKIPPED);
  a.jcc(CC.be, special);
  mov_r64_rm64(a, RAX, R13, Row.COOKIE);
  mov_m64_r64(a, RBP, at.runContext, RAX);
  mov_r64_rm64(a, RAX, R13, Row.META);
  mov_m64_r64(a, RBP, at.meta, RAX);
  mov_r64_rm64(a, RDI, R13, Row.OBJECT);
  lea_r64_m(a, RSI, RBP, at.runContext);
  emitCall(a, { kind: "trampoline", part: "program-enter" });
  mov_rm64_r64(a, RBX, RAX);
  test_rm64_r64(a, RAX, RAX);
  a.jcc(CC.e, skip);
  lea_r64_m(a, RDI, RBP, at.args);
  call_m64(a, R13, Row.PROGRAM);
  a.bind(skip);
  mov_r64_rm64(a, RDI, R13, Row.OBJECT);
  mov_rm64_r64(a, RSI, RBX);
  lea_r64_m(a, RDX, RBP, at.runContext);
  emitCall(a, { kind: "trampoline", part: "program-exit" });
  a.bind(over);
  add_rm64_imm8(a, R13, Row.ENTRY);
  a.jmp(next);
  a.bind(special);
  a.jcc(CC.e, over);
  add_rm64_imm8(a, R13, 8);
}

/** The registers of the function's caller, and its frame. */
function emitLeave(a: Assembler, at: Places): void {
  mov_r64_rm64(a, RBX, RBP, at.saved);
  mov_r64_rm64(a, R13, RBP, at.saved2);
  leave(a);
}

/** Makes the frame and fills what programs see. */
function emitFrame(a: Assembler, context: TrampolineContext, at: Places): void {
  const { places, spec } = context.plan;
  push_r64(a, RBP);
  mov_rm64_r64(a, RBP, RSP);
  if (at.size < 128) sub_rm64_imm8(a, RSP, at.size);
  else sub_rm64_imm32(a, RSP, at.size);
  if (isCounted(context)) {
    if (at.tailCalls < at.passed) push_r64(a, RAX);
    else mov_m64_r64(a, RBP, at.tailCalls, RAX);
  }
  mov_m64_r64(a, RBP, at.saved, RBX);
  emitStoreImm(a, at.meta, places.slots.length);
  if (spec.funcIp === true) {
    emitFunctionAddress(a, context);
    mov_m64_r64(a, RBP, at.ip, RAX);
  }
  for (const [i, { in: where, index, clear }] of places.slots.entries()) {
    const slot = at.args + 8 * i;
    if (where === "register") mov_m64_r64(a, RBP, slot, ARGS[index]!);
    else emitCopy(a, at.stackArgs + 8 * index, slot, clear);
  }
}

/** rax = the address of the function. A trampoline that many functions share goes back from the return address that the entry's call left. */
function emitFunctionAddress(a: Assembler, { plan: { spec }, layout }: TrampolineContext): void {
  if (spec.original === "from-stack" && spec.indirect !== true) {
    mov_r64_rm64(a, RAX, RBP, 8);
    sub_rm64_imm8(a, RAX, SITE + (layout.ibt ? 4 : 0));
  } else emitAddress(a, RAX, { kind: "trampoline", part: "function" });
}

/** Copies a word of arguments that lies on the stack. */
function emitCopy(a: Assembler, from: number, to: number, clear: boolean): void {
  mov_r64_rm64(a, RAX, RBP, from);
  mov_m64_r64(a, RBP, to, RAX);
  if (clear) mov_rm32_imm32(a, RBP, to + 4, 0);
}

/** Upper half of the word at ctx - 8 while programs run at exit. */
const AT_EXIT = -0x8000_0000;

/**
 * One program: a site that can become a jump to behind it, the run context, the program between the two calls that tell the host of it, or only
 * these. What stands before the site belongs to the session.
 */
function emitRun(a: Assembler, context: TrampolineContext, at: Places, run: TrampolineRun): void {
  const { kind, link, cookie, findsCookie, session, setsResult } = run;
  const object: TrampolineSymbol = { kind: "program-object", index: link };
  if (session !== undefined) {
    const place = (at.args - at.sessions) / 8 - (context.plan.sessions - 1) + session;
    emitStoreImm(a, at.meta, context.plan.places.slots.length | (place << 8), kind === "fexit" ? AT_EXIT : 0);
  }
  const end = a.label();
  const skip = a.label();
  a.block(SITE, end);
  nop5(a);
  if (findsCookie) {
    emitFunctionAddress(a, context);
    mov_rm64_r64(a, RSI, RAX);
    emitAddress(a, RDI, { kind: "cookies", index: link });
    emitCall(a, { kind: "cookie-search" });
    mov_m64_r64(a, RBP, at.runContext, RAX);
  } else {
    emitMovImm64(a, RDI, Number(BigInt.asIntN(32, cookie)), Number(BigInt.asIntN(32, cookie >> 32n)));
    mov_m64_r64(a, RBP, at.runContext, RDI);
  }
  emitAddress(a, RDI, object);
  lea_r64_m(a, RSI, RBP, at.runContext);
  emitCall(a, { kind: "trampoline", part: "program-enter" });
  mov_rm64_r64(a, RBX, RAX);
  test_rm64_r64(a, RAX, RAX);
  a.jcc(CC.e, skip);
  lea_r64_m(a, RDI, RBP, at.args);
  emitCall(a, { kind: "program", index: link });
  if (setsResult) mov_m64_r64(a, RBP, at.result, RAX);
  a.bind(skip);
  emitAddress(a, RDI, object);
  mov_rm64_r64(a, RSI, RBX);
  lea_r64_m(a, RDX, RBP, at.runContext);
  emitCall(a, { kind: "trampoline", part: "program-exit" });
  a.bind(end);
}

/** Calls the original with the arguments that the trampoline got, and keeps what it returns. */
function emitOriginal(a: Assembler, context: TrampolineContext, at: Places): void {
  const { places, spec } = context.plan;
  emitRestoreArgs(a, context, at);
  for (const { in: where, index, clear } of places.slots) {
    if (where === "stack") emitCopy(a, at.stackArgs + 8 * index, at.passed + 8 * index, clear);
  }
  if (isCounted(context)) mov_r64_rm64(a, RAX, RBP | DISP32, at.tailCalls);
  if (spec.original === "known") emitCall(a, { kind: "trampoline", part: "original" });
  else {
    mov_r64_rm64(a, RBX, RBP, 8);
    call_rm64(a, RBX);
  }
  if (handsBack(context)) mov_m64_r64(a, RBP | DISP32, at.tailCalls, R11);
  mov_m64_r64(a, RBP, at.result, RAX);
}

/** Whether the function's caller waits for the count in r11. */
function handsBack(context: TrampolineContext): boolean {
  return isCounted(context) && context.scheme.writesBack;
}

function emitRestoreArgs(a: Assembler, { plan: { places } }: TrampolineContext, at: Places): void {
  for (const [i, { in: where, index }] of places.slots.entries()) {
    if (where === "register") mov_r64_rm64(a, ARGS[index]!, RBP, at.args + 8 * i);
  }
}

/** Leaves the frame: to the function's caller with its result, or into the function with its arguments. */
function emitEnd(a: Assembler, context: TrampolineContext, at: Places): void {
  const { callsOriginal, keepsResult, entered, spec } = context.plan;
  if (callsOriginal) {
    emitHost(a, "exit");
    if (handsBack(context)) mov_r64_rm64(a, R11, RBP | DISP32, at.tailCalls);
  } else {
    if (spec.indirect !== true) emitRestoreArgs(a, context, at);
    if (isCounted(context)) mov_r64_rm64(a, RAX, RBP | DISP32, at.tailCalls);
  }
  if (keepsResult) mov_r64_rm64(a, RAX, RBP, at.result);
  mov_r64_rm64(a, RBX, RBP, at.saved);
  leave(a);
  if (callsOriginal && entered === "call") add_rm64_imm8(a, RSP, 8); // the return address into the function
  ret(a);
}

/** Tells the host that a call of the original begins or is over. */
function emitHost(a: Assembler, part: "enter" | "exit"): void {
  emitAddress(a, RDI, { kind: "trampoline", part: "image" });
  emitCall(a, { kind: "trampoline", part });
}

function emitCall(a: Assembler, symbol: SymbolRef): void {
  call_rel32(a, 0);
  a.relocate("rel32", symbol, 4);
}

function emitAddress(a: Assembler, register: number, symbol: TrampolineSymbol): void {
  mov_r64_imm64(a, register, 0, 0);
  a.relocate("abs64", symbol, 8);
}

/** Stores 8 bytes into the frame, by way of rax. */
function emitStoreImm(a: Assembler, place: number, low: number, high = 0): void {
  emitMovImm64(a, RAX, low, high);
  mov_m64_r64(a, RBP, place, RAX);
}

/** Bytes of the branches before the end of the original's call: the buffer counts none. Runs have a short one, and one of six bytes behind `fmod_ret`. */
function branchBytes({ plan: { fentry, fmodRet } }: TrampolineContext): number {
  return 2 * (fentry.length + fmodRet.length) + 6 * fmodRet.length;
}

/** Fills up to a multiple of 16 with the longest nops, of at most 8 bytes. */
function emitAlign(a: Assembler, length: number): void {
  let left = -length & 15;
  while (left > 0) {
    const size = Math.min(left, 8);
    NOPS[size]!(a);
    left -= size;
  }
}

/** Nops by size; Intel SDM volume 2, NOP, table 4-12. */
const NOPS: readonly ((a: Assembler) => void)[] = [
  () => undefined,
  nop,
  (a) => {
    nop(a);
    nop(a);
  },
  (a) => nop_rm32(a, RAX | DISP0, 0),
  (a) => nop_rm32(a, RAX | DISP8, 0),
  nop5,
  (a) => nop_rm16(a, indexed(RAX, RAX, 1) | DISP8, 0),
  (a) => nop_rm32(a, RAX | DISP32, 0),
  (a) => nop_rm32(a, indexed(RAX, RAX, 1) | DISP32, 0),
];

/** The picture above as data. */
function frameSlots(context: TrampolineContext): readonly FrameSlot[] {
  const { places, spec, sessions, keepsResult, callsOriginal } = context.plan;
  const at = placesOf(context);
  const slots: FrameSlot[] = [];
  const add = (name: string, offset: number, size = 8): void => void slots.push({ name, offset, size });
  for (let i = places.stack - 1; i >= 0; i--) add(`stack argument ${i}`, at.stackArgs + 8 * i);
  if (at.stackArgs === 24) add("return address of the function", 16);
  add(at.stackArgs === 24 ? "return address into the function" : "return address of the function", 8);
  add("rbp of the caller", 0);
  if (keepsResult) add("result", at.result);
  for (let i = places.slots.length - 1; i >= 0; i--) add(`argument ${i}`, at.args + 8 * i);
  add("number of arguments", at.meta);
  if (spec.funcIp === true) add("address of the function", at.ip);
  for (let i = 0; i < sessions; i++) add(`session ${i}`, at.sessions + 8 * (sessions - 1 - i));
  add("rbx", at.saved);
  if (spec.fromRow === true) {
    add("r13", at.saved2);
    add("row", at.row);
  }
  add("run context", at.runContext, RUN_CONTEXT);
  const passed = callsOriginal ? places.stack : 0;
  if (isCounted(context)) {
    add(context.scheme.carries === "address" ? "address of tail calls" : "tail calls", at.tailCalls);
  }
  for (let i = passed - 1; i >= 0; i--) add(`stack argument ${i} of the original`, at.passed + 8 * i);
  return slots;
}

/** What compilers make of a kernel function that can be traced and does everything in another one. */
function emitFunction(a: Assembler, { layout }: FunctionContext): void {
  if (layout.ibt) endbr64(a);
  a.site("entry", SITE, 0);
  nop5(a);
  push_r64(a, RBP);
  mov_rm64_r64(a, RBP, RSP);
  emitCall(a, { kind: "body" });
  pop_r64(a, RBP);
  ret(a);
}

/** Trampolines of System V calls, entered by a jump where they call a known original. */
export const trampoline: TrampolineParts<Assembler> = {
  rules: { registers: ARGS.length, struct: "stack", typed: false },
  traits: {
    jumps: true,
    frames: 1,
    aligned: "with-stack-words",
    smallOnStack: { seen: "lower-half", passed: "lower-half" },
  },
  emit: emitTrampoline,
  frame: frameSlots,
  emitFunction,
};
