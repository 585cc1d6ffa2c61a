// Code that runs programs around a function: what Linux 7.2 shows on riscv64, and for tail calls what followed it.
import {
  type FrameSlot,
  type FunctionContext,
  Row,
  type Symbol as SymbolRef,
  type TailCallScheme,
  type TrampolineContext,
  type TrampolineParts,
  type TrampolineRun,
} from "@bpfkit/core";
import { A0, A1, A2, A5, A6, RA, S0, S1, S2, SP, T0, T1, T2, ZERO } from "./abi.ts";
import { type Assembler, CC } from "./assembler.ts";
import { emit } from "./emit.ts";
import { NEAR_SITE, SITE } from "./poke.ts";

/** Bit of the word in front of the arguments: the function has returned. */
const AT_EXIT = 1n << 63n;
/** Bit from which on it has the distance of a session's word from the arguments, in words. */
const SESSION = 8n;

/**
 * Where things lie, in bytes from s0, which is downwards from the top of the trampoline's own frame.
 *
 * ```
 *                sp of the caller; its stack arguments lie here and above
 *   s0 + 8       ra: the return address into the caller       } these two are not there in
 *   s0           s0 of the caller                             } an indirect trampoline
 *   s0 - 8       t0: the return address into the function       (indirect: ra of the caller)
 *   s0 - 16      s0 as it was for the function                  (indirect: s0 of the caller)
 *                the result in a5                               where it is kept
 *   result       the result in a0
 *                ... the argument words; programs get the address of the first
 *   args
 *   args - 8     how many words, and for sessions which is theirs and whether the function has returned
 *                address of the function                        where a program asks for it
 *                ... a word of each session, the first on top
 *   run          run context of a program, 16 bytes
 *                s1 of the caller
 *                s2 of the caller, and the address of the row   where it goes by rows
 *                a6: what counts tail calls                     where one can be reached
 *                up to 8 bytes of nothing
 *                ... stack arguments of the original            where it is called
 *   sp
 * ```
 *
 * The first pair stands for the function's frame, which it has not made yet: who follows frame pointers from a program finds the
 * trampoline, then the function, then its caller.
 */
interface Shape {
  readonly result: number;
  readonly args: number;
  readonly meta: number;
  readonly ip: number;
  /** Of the first session. */
  readonly sessions: number;
  readonly run: number;
  readonly s1: number;
  readonly s2: number;
  readonly row: number;
  readonly counter: number;
  /** All of it below s0, a multiple of 16. */
  readonly size: number;
  /** Words of stack arguments at its bottom. */
  readonly stack: number;
  /** Where the caller put its stack arguments. */
  readonly callerStack: number;
}

function shapeOf({ plan }: TrampolineContext): Shape {
  const { spec, places, sessions, keepsResult, callsOriginal } = plan;
  const result = keepsResult ? -32 : -16;
  const args = result - 8 * places.slots.length;
  const meta = args - 8;
  const ip = spec.funcIp ? meta - 8 : meta;
  const run = ip - 8 * sessions - 16;
  const s1 = run - 8;
  const s2 = s1 - 8;
  const row = s2 - 8;
  const kept = spec.fromRow ? row : s1;
  const counter = spec.tailCalls ? kept - 8 : kept;
  const stack = callsOriginal ? places.stack : 0;
  return {
    result,
    args,
    meta,
    ip,
    sessions: ip - 8,
    run,
    s1,
    s2,
    row,
    counter,
    size: (8 * stack - counter + 15) & -16,
    stack,
    callerStack: spec.indirect ? 0 : 16,
  };
}

/** What every part of the code is made from. */
interface Writing {
  readonly a: Assembler;
  readonly context: TrampolineContext;
  readonly shape: Shape;
}

function emitTrampoline(a: Assembler, context: TrampolineContext): void {
  const { plan, features, layout, scheme } = context;
  const { spec, sessions, callsOriginal, keepsResult } = plan;
  const shape = shapeOf(context);
  const writing: Writing = { a, context, shape };
  a.choose(features, layout);

  emitEnter(writing);
  emitSeen(writing);
  if (spec.fromRow) {
    emitFromRow(writing);
    return;
  }
  if (callsOriginal) emitImageCall(writing, "enter");
  for (let session = 0; session < sessions; session++) a.sd(ZERO, shape.sessions - 8 * session, S0);
  // What a session finds as the result before there is one, and what is the result where its only program does not run.
  if (sessions > 0) a.sd(ZERO, shape.result, S0);
  if (spec.indirect) a.sd(ZERO, shape.result + 8, S0);
  for (const run of plan.fentry) emitRun(writing, run);

  const over = a.label();
  if (plan.fmodRet.length > 0 && sessions === 0) a.sd(ZERO, shape.result, S0);
  for (const run of plan.fmodRet) {
    emitRun(writing, run);
    a.ld(T1, shape.result, S0);
    a.b(CC.ne, T1, ZERO, over);
  }
  if (callsOriginal) emitOriginal(writing);
  a.bind(over);
  // A session sets the word by itself, together with what is its own.
  if (sessions > 0 && plan.fexit[0]!.session === undefined) emitMeta(writing, AT_EXIT);
  for (const run of plan.fexit) emitRun(writing, run);

  if (callsOriginal) emitImageCall(writing, "exit");
  else if (!spec.indirect) emitArgs(writing);
  // Behind the original only what its caller takes back is of use.
  if (spec.tailCalls && (!callsOriginal || isTakenBack(scheme))) a.ld(A6, shape.counter, S0);
  if (keepsResult) a.ld(A5, shape.result + 8, S0);
  if (spec.indirect) emitResult(writing);
  else if (keepsResult) a.ld(A0, shape.result, S0);
  emitLeave(writing, spec.indirect === true || callsOriginal);
}

/** The rest of one that goes by rows. Where the function has none, or one of programs that run before it only, it goes on in the function. */
function emitFromRow(writing: Writing): void {
  const { a, context, shape } = writing;
  const { tailCalls } = context.plan.spec;
  const goesOn = a.label();
  const lists = a.label();
  a.sd(S2, shape.s2, S0);
  emitAddress(a, A0, { kind: "rows" });
  a.ld(A1, shape.ip, S0);
  emitCall(a, { kind: "row-search" });
  a.b(CC.eq, A5, ZERO, goesOn); // all of what a program gives
  a.sd(A5, shape.row, S0);
  a.addi(S2, A5, Row.LISTS);
  a.ld(T2, 0, A5);
  a.b(CC.eq, T2, ZERO, lists);
  emitSessions(writing);
  emitRowCall(writing, "enter");
  a.bind(lists);
  emitRowRuns(writing);
  // The second list has no end where the row has none: then its first word is that end.
  a.ld(T2, 0, S2);
  a.b(CC.eq, T2, ZERO, goesOn);
  emitOriginal(writing);
  emitRowRuns(writing);
  emitRowCall(writing, "exit");
  if (tailCalls && isTakenBack(context.scheme)) a.ld(A6, shape.counter, S0);
  a.ld(S2, shape.s2, S0);
  a.ld(A5, shape.result + 8, S0);
  a.ld(A0, shape.result, S0);
  emitLeave(writing, true);
  a.bind(goesOn);
  emitArgs(writing);
  if (tailCalls) a.ld(A6, shape.counter, S0);
  a.ld(S2, shape.s2, S0);
  emitLeave(writing, false);
}

/** Clears the result and the words of sessions; t2 is what a row begins with. */
function emitSessions({ a, shape }: Writing): void {
  const next = a.label();
  const end = a.label();
  a.sd(ZERO, shape.result, S0);
  a.bind(next);
  a.addi(T2, T2, 1);
  a.b(CC.eq, T2, ZERO, end);
  // t2 is minus the sessions whose words are left, the last one's first
  a.sh3add(T1, T2, S0);
  a.sd(ZERO, shape.ip, T1);
  a.j(next);
  a.bind(end);
}

/** Runs the list at s2 and leaves s2 behind its end. */
function emitRowRuns({ a, shape }: Writing): void {
  const [next, skip, over, special] = [a.label(), a.label(), a.label(), a.label()];
  a.bind(next);
  a.ld(T2, 0, S2);
  a.addi(T2, T2, -Row.LIVE);
  a.b(CC.lt, T2, ZERO, special);
  a.ld(T1, Row.COOKIE, S2);
  a.sd(T1, shape.run, S0);
  a.ld(T1, Row.META, S2);
  a.sd(T1, shape.meta, S0);
  a.ld(A0, Row.OBJECT, S2);
  a.addi(A1, S0, shape.run);
  emitCall(a, { kind: "trampoline", part: "program-enter" });
  a.mv(S1, A0);
  a.b(CC.eq, A0, ZERO, skip);
  a.addi(A0, S0, shape.args);
  a.ld(T1, Row.PROGRAM, S2);
  emit.jalr(a, RA, 0, T1);
  a.bind(skip);
  a.ld(A0, Row.OBJECT, S2);
  a.mv(A1, S1);
  a.addi(A2, S0, shape.run);
  emitCall(a, { kind: "trampoline", part: "program-exit" });
  a.bind(over);
  a.addi(S2, S2, Row.ENTRY);
  a.j(next);
  a.bind(special);
  a.addi(T2, T2, Row.LIVE - Row.SKIPPED);
  a.b(CC.eq, T2, ZERO, over);
  a.addi(S2, S2, 8);
}

/** Tells the host that a call of the original begins, or that it is over, for the row that it found. */
function emitRowCall({ a, shape }: Writing, part: "enter" | "exit"): void {
  a.ld(A0, shape.row, S0);
  emitCall(a, { kind: "trampoline", part });
}

/** What programs see: their arguments, the word in front of these, and the function's address where one asks for it. */
function emitSeen(writing: Writing): void {
  const { a, context, shape } = writing;
  const { spec, places } = context.plan;
  if (spec.funcIp) {
    emitFunctionAddress(writing, T1);
    a.sd(T1, shape.ip, S0);
  }
  emitMeta(writing, 0n);
  for (const [i, { in: where, index }] of places.slots.entries()) {
    if (where === "register") a.sd(A0 + index, shape.args + 8 * i, S0);
    else {
      a.ld(T1, shape.callerStack + 8 * index, S0);
      a.sd(T1, shape.args + 8 * i, S0);
    }
  }
}

/** Makes the frame, or both: the function's own comes first. */
function emitEnter({ a, context, shape }: Writing): void {
  const { spec } = context.plan;
  const { size } = shape;
  if (!spec.indirect) {
    a.addi(SP, SP, -16);
    a.sd(RA, 8, SP);
    a.sd(S0, 0, SP);
    a.addi(S0, SP, 16);
  }
  a.addi(SP, SP, -size);
  a.sd(spec.indirect ? RA : T0, size - 8, SP);
  a.sd(S0, size - 16, SP);
  a.addi(S0, SP, size);
  a.sd(S1, shape.s1, S0);
  if (spec.tailCalls) a.sd(A6, shape.counter, S0);
}

/** Takes the frames down and goes to the function's caller, or on in the function. */
function emitLeave({ a, context, shape }: Writing, returns: boolean): void {
  const { spec } = context.plan;
  const { size } = shape;
  a.ld(S1, shape.s1, S0);
  a.ld(spec.indirect ? RA : T0, size - 8, SP);
  a.ld(S0, size - 16, SP);
  a.addi(SP, SP, size);
  if (!spec.indirect) {
    a.ld(RA, 8, SP);
    a.ld(S0, 0, SP);
    a.addi(SP, SP, 16);
  }
  if (returns) a.ret();
  else a.jr(T0);
}

/** The address of the function: filled in, or from the return address that its entry left. */
function emitFunctionAddress({ a, context }: Writing, rd: number): void {
  const { original, indirect } = context.plan.spec;
  if (original === "known" || indirect) emitAddress(a, rd, { kind: "trampoline", part: "function" });
  else {
    a.ld(rd, -8, S0);
    a.addi(rd, rd, -SITE);
  }
}

/** The word in front of the arguments. */
function emitMeta({ a, context, shape }: Writing, more: bigint): void {
  a.liWide(T1, BigInt.asIntN(64, BigInt(context.plan.places.slots.length) | more));
  a.sd(T1, shape.meta, S0);
}

/**
 * The block of a program: asks whether it is to run, runs it with the address of the arguments, and tells that it is over. Between the calls
 * s1 has what the first one gave.
 */
function emitRun(writing: Writing, { link, kind, cookie, findsCookie, session, setsResult }: TrampolineRun): void {
  const { a, context, shape } = writing;
  const { size } = context.plan.places.result;
  if (session !== undefined) {
    const distance = BigInt((shape.args - shape.sessions) / 8 + session);
    emitMeta(writing, (kind === "fexit" ? AT_EXIT : 0n) | (distance << SESSION));
  }
  const end = a.label();
  const skip = a.label();
  a.block(NEAR_SITE, end);
  a.nop();
  if (findsCookie) {
    emitFunctionAddress(writing, A1);
    emitAddress(a, A0, { kind: "cookies", index: link });
    emitCall(a, { kind: "cookie-search" });
    a.sd(A5, shape.run, S0); // all of what a program gives
  } else if (cookie === 0n) a.sd(ZERO, shape.run, S0);
  else {
    a.liWide(T1, BigInt.asIntN(64, cookie));
    a.sd(T1, shape.run, S0);
  }
  emitAddress(a, A0, { kind: "program-object", index: link });
  a.addi(A1, S0, shape.run);
  emitCall(a, { kind: "trampoline", part: "program-enter" });
  a.mv(S1, A0);
  a.b(CC.eq, A0, ZERO, skip);
  a.addi(A0, S0, shape.args);
  emitCall(a, { kind: "program", index: link });
  if (setsResult) {
    // A program leaves all of its result in a5; a0 has 32 bits of it, as a function has that gives no more.
    a.sd(size === 8 ? A5 : A0, shape.result, S0);
    a.sd(A5, shape.result + 8, S0);
  }
  a.bind(skip);
  emitAddress(a, A0, { kind: "program-object", index: link });
  a.mv(A1, S1);
  a.addi(A2, S0, shape.run);
  emitCall(a, { kind: "trampoline", part: "program-exit" });
  a.bind(end);
}

/** Calls the function behind its patch site and keeps its result: a5 is where one that is a program leaves it. */
function emitOriginal(writing: Writing): void {
  const { a, context, shape } = writing;
  const { spec, places } = context.plan;
  emitArgs(writing);
  for (const [i, { in: where, index }] of places.slots.entries()) {
    if (where === "register") continue;
    a.ld(T1, shape.args + 8 * i, S0);
    a.sd(T1, 8 * index, SP);
  }
  if (spec.tailCalls) a.ld(A6, shape.counter, S0);
  if (spec.original === "known") emitCall(a, { kind: "trampoline", part: "original" });
  else {
    a.ld(T1, -8, S0);
    emit.jalr(a, RA, 0, T1);
  }
  if (spec.tailCalls && isTakenBack(context.scheme)) a.sd(A6, shape.counter, S0);
  a.sd(A0, shape.result, S0);
  a.sd(A5, shape.result + 8, S0);
}

/** Whether callers go on with the a6 that their callee leaves. */
const isTakenBack = ({ writesBack, parks }: TailCallScheme): boolean => writesBack || parks;

/** Puts the arguments back into their registers. */
function emitArgs({ a, context, shape }: Writing): void {
  for (const [i, { in: where, index }] of context.plan.places.slots.entries()) {
    if (where === "register") a.ld(A0 + index, shape.args + 8 * i, S0);
  }
}

/** The result of an indirect trampoline's program, in a5, as a function of its type leaves it: even without a sign, 32 bits have one. */
function emitResult({ a, context }: Writing): void {
  const { size, signed } = context.plan.places.result;
  if (size === 1 && signed) a.sextB(A0, A5);
  else if (size === 1) emit.andi(a, A0, A5, 0xff);
  else if (size === 2 && signed) a.sextH(A0, A5);
  else if (size === 2) a.zextH(A0, A5);
  else if (size === 4) a.sextW(A0, A5);
  else a.mv(A0, A5);
}

function emitImageCall({ a }: Writing, part: "enter" | "exit"): void {
  emitAddress(a, A0, { kind: "trampoline", part: "image" });
  emitCall(a, { kind: "trampoline", part });
}

function emitCall(a: Assembler, symbol: SymbolRef): void {
  emit.auipc(a, T1, 0);
  emit.jalr(a, RA, 0, T1);
  a.relocate("call", symbol, 8);
}

/** An address as near as what is called has to be: 8 bytes, where the kernel takes up to 18 for one that may lie anywhere. */
function emitAddress(a: Assembler, rd: number, symbol: SymbolRef): void {
  emit.auipc(a, rd, 0);
  emit.addi(a, rd, rd, 0);
  a.relocate("pcrel", symbol, 8);
}

/** The picture above as data, relative to s0. */
function frame(context: TrampolineContext): readonly FrameSlot[] {
  const { spec, places, sessions, keepsResult } = context.plan;
  const shape = shapeOf(context);
  const slots: FrameSlot[] = [];
  const add = (name: string, offset: number, size = 8): number => slots.push({ name, offset, size });
  if (!spec.indirect) {
    add("return address into the caller", 8);
    add("s0 of the caller", 0);
  }
  add(spec.indirect ? "return address" : "return address into the function", -8);
  add(spec.indirect ? "s0 of the caller" : "s0 of the function", -16);
  if (keepsResult) {
    add("result in a5", shape.result + 8);
    add("result", shape.result);
  }
  for (const [i, { in: where, index }] of [...places.slots.entries()].reverse()) {
    add(`argument word ${i}, ${where === "register" ? `a${index}` : `stack word ${index}`}`, shape.args + 8 * i);
  }
  add("number of argument words", shape.meta);
  if (spec.funcIp) add("address of the function", shape.ip);
  for (let session = 0; session < sessions; session++) {
    add(`word of session ${session}`, shape.sessions - 8 * session);
  }
  add("run context", shape.run, 16);
  add("s1", shape.s1);
  if (spec.fromRow) {
    add("s2", shape.s2);
    add("row", shape.row);
  }
  if (spec.tailCalls) {
    const { carries } = context.scheme;
    add(carries === "address" ? "address of the count of tail calls" : "tail calls left", shape.counter);
  }
  for (let word = shape.stack - 1; word >= 0; word--) {
    add(`stack word ${word} of the original`, 8 * word - shape.size);
  }
  return slots;
}

/** What compilers make of a kernel function that can be traced and does everything in another one. */
function emitFunction(a: Assembler, { features, layout }: FunctionContext): void {
  a.choose(features, layout);
  a.site("entry", SITE, 0);
  a.nop();
  a.nop();
  a.addi(SP, SP, -16);
  a.sd(RA, 8, SP);
  a.sd(S0, 0, SP);
  a.addi(S0, SP, 16);
  emitCall(a, { kind: "body" });
  a.ld(RA, 8, SP);
  a.ld(S0, 0, SP);
  a.addi(SP, SP, 16);
  a.ret();
}

/**
 * Arguments lie in a0 to a7, then on the stack, and a struct of two words may lie half here, half there; small numbers are extended to 64
 * bits in both places, so nothing is to be cleared. Entries call: t0 is how the function goes on, ra is untouched.
 */
export const TRAMPOLINE: TrampolineParts<Assembler> = {
  rules: { registers: 8, struct: "split", typed: true },
  traits: {
    jumps: false,
    frames: 2,
    aligned: "always",
    smallOnStack: { seen: "whole", passed: "whole" },
  },
  emit: emitTrampoline,
  frame,
  emitFunction,
};
