// What the verifier knows where it stopped, and what it would have to know, for the messages that people meet most.
import type { KernelProfile } from "../spec/kernel-profile.ts";
import { mapType } from "../spec/map-types.ts";
import { ROWS } from "./rows.ts";
import type { VerifierFrame, VerifierState, VerifierValue } from "./states.ts";
import { heldText, nameOfCall } from "./step-words.ts";
import { boundsText, valueWords } from "./value-words.ts";
import type { Verification } from "./verification.ts";

/** The two halves of a reason. */
export interface Finding {
  readonly fact?: string;
  readonly requirement?: string;
}

/** What findings are made from. */
export interface Rejection {
  /** Lines of the reason, the last one last. */
  readonly lines: readonly string[];
  readonly v: Verification;
  /** The state before the instruction. */
  readonly state: VerifierState;
  /** The register that the reason names. */
  readonly register: number | undefined;
  /** The register was written, and what was there is gone: by this instruction. */
  readonly lostAt: number | undefined;
}

type Find = (match: RegExpExecArray, rejection: Rejection) => Finding;

const frameOf = ({ state }: Rejection): VerifierFrame => state.frames[state.frames.length - 1]!;

function valueOfRegister(rejection: Rejection): VerifierValue | undefined {
  return rejection.register === undefined ? undefined : frameOf(rejection).registers[rejection.register];
}

function known(rejection: Rejection): string | undefined {
  const { register } = rejection;
  return register === undefined ? undefined : `R${register} is ${valueWords(valueOfRegister(rejection))}`;
}

function withFact(rejection: Rejection, requirement: string): Finding {
  const fact = known(rejection);
  return fact === undefined ? { requirement } : { fact, requirement };
}

/** The same with both operands of the instruction. */
function ofOperands(rejection: Rejection, requirement: string): Finding {
  const { v, state } = rejection;
  const row = ROWS[v.ops[state.insn]!]!;
  const registers = [v.insns.dst(state.insn), ...(row.immediate ? [] : [v.insns.src(state.insn)])];
  if (!/^(alu|div|shift|neg|end)$/.test(row.kind)) return withFact(rejection, requirement);
  const facts = [...new Set(registers)].map((register) => known({ ...rejection, register }));
  return { fact: facts.join("; "), requirement };
}

/** Offset and size of the access: as the reason tells them, or as the instruction has them. */
function accessOf({ lines, v, state }: Rejection): { readonly off: number; readonly size: number } | undefined {
  for (const line of lines) {
    const match = /\boff=(-?\d+) size=(\d+)/.exec(line);
    if (match !== null) return { off: Number(match[1]), size: Number(match[2]) };
  }
  const row = ROWS[v.ops[state.insn]!]!;
  const isAccess = /^(load|store|atomic)/.test(row.kind) && row.kind !== "loadImm64";
  return isAccess ? { off: v.insns.off(state.insn), size: row.bytes } : undefined;
}

const plural = (count: number | bigint, what: string): string =>
  `${count} ${what}${count === 1 || count === 1n ? "" : "s"}`;

function regionFinding(rejection: Rejection): Finding {
  const { register: reg } = rejection;
  const value = valueOfRegister(rejection);
  const access = accessOf(rejection);
  if (value === undefined || access === undefined) return withFact(rejection, "the access stays inside the memory");
  const { off, size } = access;
  if (value.checked !== undefined) {
    return {
      fact: `R${reg} is ${valueWords(value)}, of which ${plural(value.checked, "byte")} are checked`,
      requirement: `offset ${off} + size ${size} ≤ ${value.checked}, the bytes that were compared with the packet's end`,
    };
  }
  const limit = /(?:value_size|mem_size|key_size)=(\d+)/.exec(rejection.lines.join("\n"))?.[1];
  const end = limit === undefined ? "the end of the memory" : limit;
  return {
    fact: `R${reg} is ${valueWords(value)}; the access begins at offset ${off} and takes ${plural(size, "byte")}`,
    requirement: `0 ≤ offset and offset + size ≤ ${end}, for every value that the offset can have`,
  };
}

function uninitialised(rejection: Rejection): Finding {
  const { register, lostAt, state, v } = rejection;
  const requirement = `R${register} is written on every path that leads here`;
  if (lostAt !== undefined) {
    const call = nameOfCall(v, ROWS[v.ops[lostAt]!]!, lostAt);
    return {
      fact: `R${register} holds nothing since the call of ${call} at ${lostAt}, which leaves R1 to R5 unreadable`,
      requirement,
    };
  }
  const frame = frameOf(rejection);
  const where = state.frames.length > 1 ? ` in ${frame.subprog}` : "";
  return { fact: `nothing was written to R${register}${where} on this path`, requirement };
}

function stackFinding(_match: RegExpExecArray, rejection: Rejection): Finding {
  const value = valueOfRegister(rejection);
  const access = accessOf(rejection);
  if (value === undefined || access === undefined) return {};
  const { off, size } = access;
  const inside = off >= -512 && off + size <= 0 && value.offset !== undefined;
  if (inside && /read from/.test(rejection.lines.at(-1)!)) {
    return {
      fact: `the bytes from fp${off} to fp${off + size} are read, and not all of them have been written on this path`,
      requirement: "every byte of the stack is written before it is read",
    };
  }
  const bounds = boundsText(value);
  const from =
    value.offset === undefined ? `at an offset ${bounds ?? "of which nothing is known"}, ${off} on` : `at fp${off}`;
  return {
    fact: `R${rejection.register} is ${valueWords(value)}; ${plural(size, "byte")} ${from} are accessed`,
    requirement: "−512 ≤ offset and offset + size ≤ 0: a frame has 512 bytes below r10",
  };
}

function programOf({ v }: Rejection): string {
  const { attachType } = v.program;
  return `the program is of type ${v.type.name}${attachType === undefined ? "" : `, attached as ${attachType}`}`;
}

function references({ state }: Rejection): string {
  return state.references.map(({ id, insn }) => `the reference id=${id}, acquired at ${insn}, is held`).join("; ");
}

function range(min: string, max: string): string {
  return min === max ? `${min}` : `from ${min} to ${max}`;
}

/** By the last line of a reason; the first that matches tells. */
const FINDINGS: readonly (readonly [RegExp, Find])[] = [
  [/^R\d+ !read_ok$/, (_, r) => uninitialised(r)],
  [/^R\d+ m(in|ax) value is outside of the allowed memory range$/, (_, r) => regionFinding(r)],
  [
    /^R\d+ min value is negative/,
    (_, r) => withFact(r, `the least value of R${r.register}, read as a signed number, is 0 or more`),
  ],
  [/^R\d+ unbounded memory access/, (_, r) => withFact(r, `R${r.register} has an upper bound that fits the memory`)],
  [/^R\d+ invalid zero-sized read/, (_, r) => withFact(r, `R${r.register}, which is a size, is 1 or more`)],
  [/^invalid zero-sized read$/, (_, r) => withFact(r, "the size is 1 or more")],
  [
    /^R\d+ invalid mem access '\w*or_null\w*'$/,
    (_, r) => withFact(r, `R${r.register} has been compared with 0, and this is the side where it is not null`),
  ],
  [/^R\d+ invalid mem access '/, (_, r) => withFact(r, `R${r.register} is a pointer to memory that may be accessed`)],
  [
    /^R\d+ type=\S+ expected=(.+)$/,
    ([, expected], r) => withFact(r, `R${r.register} is one of the types that the call takes: ${expected}`),
  ],
  [
    /reference leak$/,
    (_, r) => ({ fact: references(r), requirement: "every reference has been given back, on every path" }),
  ],
  [
    /^At (.+) the register R0 (?:has .*|is not a known value .*)should have been in \[(-?\d+), (-?\d+)\]$/,
    ([, , min, max], r) => withFact({ ...r, register: 0 }, `R0 is ${range(min!, max!)}`),
  ],
  [
    /^At .+ the register R0 is not a (known|scalar) value/,
    (_, r) => withFact({ ...r, register: 0 }, "R0 is a number: what is returned must not be a pointer"),
  ],
  [
    /^invalid (variable-offset |unbounded variable-offset |indirect )?(write to|read from|access to) stack/,
    stackFinding,
  ],
  [
    /^misaligned .*access off .* size (\d+)$/,
    ([, size], r) => withFact(r, `the address is a multiple of ${size}, the size of the access`),
  ],
  [
    /^invalid bpf_context access off=(-?\d+) size=(-?\d+)$/,
    ([, off, size], r) => ({
      fact: `${programOf(r)}; its context has no field at offset ${off} that ${size} bytes may be accessed of in this way`,
      requirement: "offset and size are those of a field of this program type's context",
    }),
  ],
  [
    /^(dereference of modified ctx ptr|variable ctx access)/,
    (_, r) => withFact(r, "the context is accessed through the pointer that the program got, unmoved"),
  ],
  [
    /pointer arithmetic on (\w+) prohibited/,
    (_, r) => withFact(r, "only pointers to memory of known layout, which are not null, may be moved"),
  ],
  [
    /^math between \w+ pointer and register with unbounded min value/,
    (_, r) => ofOperands(r, "a number that is added to a pointer has bounds, below and above"),
  ],
  [
    /(makes \w+ pointer be out of bounds|pointer offset -?\d+ is not allowed|pointer and -?\d+ is not allowed)$/,
    (_, r) => ofOperands(r, "pointers are moved by less than 2²⁹ bytes, either way"),
  ],
  [
    /on pointer prohibited$|operator prohibited$|pointer .* pointer prohibited$|subtract|32-bit pointer arithmetic/,
    (_, r) => ofOperands(r, "pointers are only moved: a number is added, or subtracted, in 64 bits"),
  ],
  [
    /^infinite loop detected at insn (\d+)$/,
    ([, insn]) => ({
      fact: `the path has come to instruction ${insn} a second time, and nothing is different`,
      requirement: "something that the loop's branches compare changes with each pass",
    }),
  ],
  [
    /^BPF program is too large\. Processed (\d+) insn$/,
    ([, count], { v }) => ({
      fact: `${count} instructions have been processed, over all paths`,
      requirement: `at most ${v.profile.limits.processedInsns}: fewer paths, or paths that meet in equal states`,
    }),
  ],
  [
    /^The sequence of (\d+) jumps is too complex/,
    ([, count], { v }) => ({
      fact: `${count} branches wait for their other side`,
      requirement: `at most ${v.profile.limits.pendingBranches}`,
    }),
  ],
  [
    /^the budget of (.+) is used up$/,
    ([, budget], { v }) => ({
      fact: `${v.counters.insns} instructions have been processed, and no verdict is reached`,
      requirement: `a verdict within ${budget}`,
    }),
  ],
  [
    /^program of this type cannot use helper (\w+)#\d+$/,
    ([, helper], r) => ({ fact: programOf(r), requirement: `a program type that may call ${helper}` }),
  ],
  [
    /^cannot pass map_type (\d+) into func (\w+)#\d+$/,
    ([, type, helper]) => ({
      fact: `the map is of type ${mapType(Number(type))?.name ?? type}`,
      requirement: `a map of a type that ${helper} takes`,
    }),
  ],
  [
    /^cannot call .* from non-GPL compatible program$/,
    (_, { v }) => ({
      fact: `the program's license is "${v.program.license}"`,
      requirement: "a license that is compatible with the GPL",
    }),
  ],
  [
    /^function calls are not allowed while holding a lock$/,
    (_, { state }) => ({
      fact: `the lock of ${state.lock === undefined ? "a map" : `map "${state.lock}"`} is held`,
      requirement: "the lock is given back before anything is called",
    }),
  ],
  [
    /^(?:calling kernel function (\w+) is not allowed|invalid func )|not allowed for this program type$|cannot be sleepable$/,
    ([, kfunc], r) => ({
      fact: programOf(r),
      requirement: kfunc === undefined ? "a program type that may do this" : `a program type that may call ${kfunc}`,
    }),
  ],
  [
    /^BPF_ATOMIC /,
    (_, r) => withFact(r, "atomics work on the stack, in values of maps and in memory that the program was given"),
  ],
  [
    /cannot be accessed directly by load\/store$/,
    (_, r) => withFact(r, "the access does not touch this field, which only its helpers may change"),
  ],
  [/^frame pointer is read only$/, () => ({ fact: "the instruction writes R10", requirement: "R10 stays what it is" })],
  [
    /zero offset when passed|doesn't have constant offset/,
    (_, r) => withFact(r, `R${r.register} points to where its object begins, or to a known place in it`),
  ],
  [/^off -?\d+ doesn't point to '(.+)' that is at (\d+)$/, ([, , at], r) => withFact(r, `a pointer at offset ${at}`)],
  [/(write into map|read from map) forbidden/, (_, r) => withFact(r, "a map whose flags allow it")],
  [/^only read from /, (_, r) => withFact(r, "maps themselves are read only")],
  [
    /^(write to change key|.* cannot write into|cannot write into packet)/,
    (_, r) => withFact(r, "memory that this program may write"),
  ],
  [
    /^cannot return stack pointer/,
    (_, r) => withFact({ ...r, register: 0 }, "R0 is no pointer into a frame that ends"),
  ],
  [/^invalid size of register spill$/, (_, r) => withFact(r, "pointers are stored with 8 bytes")],
  [
    /^invalid size of register fill$/,
    (_, r) => {
      const slot = frameOf(r).stack.find(({ offset }) => offset === -8 * Math.ceil(-r.v.insns.off(r.state.insn) / 8));
      const fact = slot?.value === undefined ? undefined : `fp${slot.offset} holds ${valueWords(slot.value)}`;
      return { ...(fact === undefined ? {} : { fact }), requirement: "pointers are loaded with 8 bytes" };
    },
  ],
  [
    /-ed region$|non-preemptible region$/,
    (_, { state }) => ({
      fact: `held here: ${heldText(state)}`,
      requirement: "it has been given back before this",
    }),
  ],
  [
    /^(bpf_spin_unlock|unmatched)/,
    (_, { state }) => ({
      fact: `held here: ${heldText(state) || "nothing"}`,
      requirement: "what is given back was taken before, on this path",
    }),
  ],
  [/^div by zero$/, () => ({ fact: "the divisor is the constant 0", requirement: "a divisor other than 0" })],
  [/^invalid shift (-?\d+)$/, ([, by]) => ({ fact: `the shift is by ${by}`, requirement: "0 ≤ shift < width" })],
  [
    /^the call stack of (\d+) frames is too deep/,
    ([, count], { v }) => ({
      fact: `the call would make ${count} frames`,
      requirement: `at most ${v.profile.limits.callFrames}`,
    }),
  ],
  [
    /^[Ee]xpected (?:an? )?(un)?initialized (\w+)/,
    ([, un, what], r) =>
      withFact(r, un === undefined ? `${what} was made there, and has not been destroyed` : "nothing lives there yet"),
  ],
  [/does not point to a readonly map/, (_, r) => withFact(r, "a map that is frozen, and read only to programs")],
  [/^Possibly NULL pointer passed/, (_, r) => withFact(r, `R${r.register} has been compared with 0, and is not null`)],
  [/must point to scalar, or struct with scalar$/, (_, r) => withFact(r, "memory that holds numbers only")],
  [/expected pointer to STRUCT (\w+)/, ([, struct], r) => withFact(r, `a pointer to struct ${struct}`)],
  [/(must be|is not) a known constant/, (_, r) => withFact(r, `R${r.register} is one number, the same on every path`)],
  [
    /^R\d+ invalid (\w+) access off=(-?\d+) size=(\d+)$/,
    ([, what, off, size], r) =>
      withFact(r, `offset ${off} and size ${size} are those of a field of ${what} that may be accessed`),
  ],
  [/^helper access to the packet is not allowed$/, (_, r) => ({ fact: programOf(r), requirement: "memory elsewhere" })],
];

/** What is known and what is asked for; the register's value alone, where the message is not one of the common ones. */
export function findingOf(rejection: Rejection): Finding {
  const reason = rejection.lines[rejection.lines.length - 1] ?? "";
  const passed = /^Caller passes invalid args into func#\d+ \('(.*)'\)$/.exec(reason);
  if (passed !== null && rejection.lines.length > 1) {
    const why = findingOf({ ...rejection, lines: rejection.lines.slice(0, -1) });
    return { ...why, requirement: `${why.requirement ?? "an argument"}, as the signature of ${passed[1]} says` };
  }
  for (const [pattern, find] of FINDINGS) {
    const match = pattern.exec(reason);
    if (match !== null) return find(match, rejection);
  }
  const fact = known(rejection);
  return fact === undefined ? {} : { fact };
}

type FindShape = (match: RegExpExecArray, limits: KernelProfile["limits"]) => Finding;

const SHAPES: readonly (readonly [RegExp, FindShape])[] = [
  [
    /^combined stack size of (\d+) calls is (\d+)/,
    ([, calls, bytes], { stackBytes }) => ({
      fact: `the frames of a chain of ${plural(Number(calls), "call")} take ${bytes} bytes together`,
      requirement: `at most ${stackBytes} bytes, where each frame is rounded up to a multiple of 16`,
    }),
  ],
  [
    /^tail_calls are not allowed when call stack of previous frames is (\d+) bytes/,
    ([, bytes], { stackBytesAboveTailCall }) => ({
      fact: `${bytes} bytes of stack are in use above a function that makes a tail call`,
      requirement: `less than ${stackBytesAboveTailCall} bytes`,
    }),
  ],
  [
    /^the call stack of (\d+) frames is too deep/,
    ([, frames], { callFrames }) => ({
      fact: `a chain of calls takes ${frames} frames`,
      requirement: `at most ${callFrames}`,
    }),
  ],
  [
    /^unreachable insn (\d+)$/,
    ([, insn]) => ({ fact: `nothing leads to instruction ${insn}`, requirement: "every instruction can be reached" }),
  ],
  [
    /^jump out of range from insn (\d+) to (-?\d+)$/,
    ([, from, to]) => ({
      fact: `the jump at ${from} leads to ${to}`,
      requirement: "jumps stay inside of their subprogram",
    }),
  ],
  [
    /^jump into the middle of ldimm64 insn (\d+)$/,
    ([, insn]) => ({
      fact: `a jump leads to the second half of the load at ${insn}`,
      requirement: "jumps lead to where an instruction begins",
    }),
  ],
  [
    /^last insn is not an exit or jmp$/,
    () => ({
      fact: "the last instruction of a subprogram goes on to what follows it",
      requirement: "a subprogram ends with exit or with a jump",
    }),
  ],
  [
    /^recursive call from (.*)\(\) to (.*)\(\)$/,
    ([, from, to]) => ({
      fact: `${from} calls ${to}, which leads back to it`,
      requirement: "no function calls itself",
    }),
  ],
  [
    /uses reserved fields$/,
    () => ({ fact: "a field that the instruction has no use for is set", requirement: "it is 0" }),
  ],
  [
    /^R(\d+) is invalid$/,
    ([, reg]) => ({ fact: `the instruction names R${reg}`, requirement: "registers are R0 to R10" }),
  ],
];

/** The same, of a program whose shape is the reason. */
export function shapeFinding(reason: string, { limits }: KernelProfile): Finding {
  for (const [pattern, find] of SHAPES) {
    const match = pattern.exec(reason);
    if (match !== null) return find(match, limits);
  }
  return {};
}
