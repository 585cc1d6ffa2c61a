// Backends with one part each that is wrong, in the ways that backends go wrong: a suite that lets one of them through is not done.
import {
  type Backend,
  type BackendParts,
  type BranchForm,
  type CodeBuffer,
  defineBackend,
  INSNS,
  type InsnRow,
  Insns,
  kindOf,
  type LowerContext,
  type LoweredKind,
  type LowerInsn,
  type Lowering,
  OPS,
  type Op,
  opAt,
  packWord,
} from "@bpfkit/core";

/** A backend that is wrong, and how. */
export interface Mutant {
  readonly name: string;
  readonly backend: Backend;
  /** What the names of cases begin with that are likely to catch it. */
  readonly near?: readonly string[];
}

/** Every mutant that can be made of a backend's parts. */
export function mutantsOf<R extends string, A extends CodeBuffer>(parts: BackendParts<R, A>): readonly Mutant[] {
  const backend = defineBackend(parts);
  return [
    ...CONFUSIONS.map(([op, other]) => ({
      ...mistaken(backend, `${op} done as ${other}`, rewriteOp(op, other)),
      near: [op.replace(/^ld_(abs|ind)/, "ld_$1 u")],
    })),
    ...SLIPS.map(({ name, near, change }) => ({ ...mistaken(backend, name, change), near: [near] })),
    ...partMutants(parts),
  ];
}

/** What an instruction's lowering takes it for. */
type Change = (words: Int32Array, at: number, op: Op) => void;

/** The wrong condition, width, sign, size or result. */
const CONFUSIONS: readonly (readonly [Op, Op])[] = [
  // A missed zero-extension, or half of a register forgotten.
  ["add32_reg", "add64_reg"], ["sub32_imm", "sub64_imm"], ["neg32", "neg64"], ["rsh32_imm", "rsh64_imm"], ["arsh32_reg", "arsh64_reg"],
  ["lsh32_reg", "lsh64_reg"], ["mov32_reg", "mov64_reg"], ["mov32_imm", "mov64_imm"], ["mul32_reg", "mul64_reg"], ["xor64_reg", "xor32_reg"],
  ["le32", "le64"], ["be32", "be16"], ["bswap64", "bswap32"], ["movsx32_8", "movsx64_8"], ["movsx64_32", "mov64_reg"],
  // Signed for unsigned, remainder for quotient.
  ["div64_reg", "sdiv64_reg"], ["smod32_reg", "mod32_reg"], ["sdiv32_imm", "div32_imm"], ["mod64_imm", "div64_imm"],
  // A wrong condition.
  ["jsgt64_imm", "jsge64_imm"], ["jgt32_reg", "jsgt32_reg"], ["jle64_reg", "jlt64_reg"], ["jset32_reg", "jset64_reg"], ["jne64_reg", "jne32_reg"],
  ["jeq32_imm", "jeq64_imm"], ["jsle32_imm", "jsle64_imm"], ["jlt64_imm", "jle64_imm"],
  // A wrong access.
  ["load32", "loadsx32"], ["loadsx16", "load16"], ["load8", "load16"], ["store16_reg", "store32_reg"], ["store64_imm", "store32_imm"],
  ["load_acquire16", "load_acquire32"], ["store_release64", "store_release32"], ["ld_abs16", "ld_abs32"], ["ld_ind8", "ld_ind16"],
  // An atomic operation that does or gives something else.
  ["atomic_fetch_add64", "atomic_add64"], ["atomic_or32", "atomic_xor32"], ["xchg32", "xchg64"], ["cmpxchg32", "cmpxchg64"],
  ["atomic_fetch_and64", "atomic_fetch_and32"],
]; // biome-ignore format: pairs

function rewriteOp(from: Op, to: Op): Change {
  const row: InsnRow = INSNS[to];
  return (words, at, op) => {
    if (op !== from) return;
    const word = words[2 * at]!;
    words[2 * at] = packWord(row.code, (word >>> 8) & 15, row.src ?? (word >>> 12) & 15, row.off ?? word >> 16);
    if (row.imm !== undefined) words[2 * at + 1] = row.imm;
  };
}

interface Slip {
  readonly name: string;
  readonly near: string;
  readonly change: Change;
}

const when =
  (wanted: (op: Op) => boolean, change: (words: Int32Array, at: number) => void): Change =>
  (words, at, op) => {
    if (wanted(op)) change(words, at);
  };

/** Another immediate where one of a certain value is written. */
const immediate = (wanted: (op: Op) => boolean, from: number, to: number): Change =>
  when(wanted, (words, at) => {
    if (words[2 * at + 1] === from) words[2 * at + 1] = to;
  });

const offset = (wanted: (op: Op) => boolean, from: number, to: number): Change =>
  when(wanted, (words, at) => {
    if (words[2 * at]! >> 16 === from) words[2 * at] = (words[2 * at]! & 0xffff) | (to << 16);
  });

const starts =
  (...names: readonly string[]) =>
  (op: Op): boolean =>
    names.some((name) => op.startsWith(name));

/** A move of a register to itself, 64 bits wide: no code at all. */
function toNothing(words: Int32Array, at: number): void {
  const dst = (words[2 * at]! >>> 8) & 15;
  words[2 * at] = packWord(INSNS.mov64_reg.code, dst, dst, 0);
  words[2 * at + 1] = 0;
}

const SLIPS: readonly Slip[] = [
  {
    name: "an immediate of 128 held in 8 signed bits",
    near: "add64_imm",
    change: immediate(starts("add64_imm", "and64_imm"), 128, -128),
  },
  {
    name: "an immediate of 2048 held in 12 signed bits",
    near: "xor64_imm",
    change: immediate(starts("xor64_imm"), 2048, -2048),
  },
  { name: "an immediate of 4096 held in 12 bits", near: "sub64_imm", change: immediate(starts("sub64_imm"), 4096, 0) },
  {
    name: "a comparison with 128 held in 8 signed bits",
    near: "jsgt64_imm",
    change: immediate(starts("jsgt64_imm"), 128, -128),
  },
  { name: "an offset of 128 held in 8 signed bits", near: "load8", change: offset(starts("load", "store"), 128, -128) },
  {
    name: "an offset of 256 held in 9 signed bits",
    near: "load64",
    change: offset(starts("load64", "store64"), 256, -256),
  },
  { name: "an offset of -2049 held in 12 signed bits", near: "load32", change: offset(starts("load32"), -2049, 2047) },
  {
    name: "a stored -1 without its sign",
    near: "store64_imm",
    change: immediate(starts("store64_imm"), -1, 0x7fff_ffff),
  },
  {
    name: "32-bit shifts by 0 that clear no upper half",
    near: "field",
    change: when(starts("lsh32_imm", "rsh32_imm", "arsh32_imm"), (words, at) => {
      if ((words[2 * at + 1]! & 31) === 0) toNothing(words, at);
    }),
  },
  {
    name: "a 32-bit addition of 0 that clears no upper half",
    near: "field",
    change: when(starts("add32_imm"), (words, at) => {
      if (words[2 * at + 1] === 0) toNothing(words, at);
    }),
  },
  {
    name: "a 32-bit move to itself that clears no upper half",
    near: "field",
    change: when(starts("mov32_reg"), (words, at) => {
      if (((words[2 * at]! >>> 8) & 15) === ((words[2 * at]! >>> 12) & 15)) toNothing(words, at);
    }),
  },
  {
    name: "a remainder by a constant 0 that clears no upper half",
    near: "mod32_imm",
    change: when(starts("mod32_imm"), (words, at) => {
      if (words[2 * at + 1] === 0) toNothing(words, at);
    }),
  },
  {
    name: "a byte stored from the next register",
    near: "field",
    change: when(starts("store8_reg"), (words, at) => {
      if (((words[2 * at]! >>> 12) & 15) === 2) words[2 * at]! += 1 << 12;
    }),
  },
  {
    name: "a 64-bit immediate whose low half is sign-extended",
    near: "lddw",
    change: when(
      (op) => op === "lddw",
      (words, at) => {
        if (words[2 * at + 1]! < 0) words[2 * at + 3] = -1;
      },
    ),
  },
  {
    name: "a may_goto that always jumps",
    near: "may_goto",
    change: when(starts("may_goto"), (words, at) => {
      words[2 * at] = (words[2 * at]! & ~0xffff) | INSNS.ja.code;
    }),
  },
  {
    name: "an indirect packet load without its immediate",
    near: "ld_ind",
    change: when(starts("ld_ind"), (words, at) => {
      words[2 * at + 1] = 0;
    }),
  },
];

/** Compiles another program than it was given, instruction for instruction. */
function mistaken(backend: Backend, name: string, change: Change): Mutant {
  return {
    name,
    backend: {
      ...backend,
      compile(verified, options) {
        const { insns } = verified.program;
        const words = insns.words.slice();
        for (let at = 0; at < insns.length; at += insns.width(at)) {
          const op = opAt(insns, at);
          if (op >= 0) change(words, at, OPS[op]!);
        }
        return backend.compile({ ...verified, program: { ...verified.program, insns: new Insns(words) } }, options);
      },
    },
  };
}

/** Mutants that put a hand on the parts themselves: registers, frames and branches. */
function partMutants<R extends string, A extends CodeBuffer>(parts: BackendParts<R, A>): readonly Mutant[] {
  const withLowering = (name: string, change: Partial<Lowering<A>>): Mutant => ({
    name,
    backend: defineBackend({ ...parts, lowering: { ...parts.lowering, ...change } }),
  });
  /** Appends one BPF instruction's code where no program has it. */
  const extra = (a: A, context: LowerContext<A>, op: Op, dst: number, src = 0, imm = 0): void => {
    const row: InsnRow = INSNS[op];
    const insns = new Insns(Int32Array.of(packWord(row.code, dst, src, row.off ?? 0), row.imm ?? imm));
    parts.lowering[kindOf(OPS.indexOf(op)) as LoweredKind](a, insns, 0, context);
  };
  const clobbers = (kind: LoweredKind, register: number, before = false): Mutant => {
    const original: LowerInsn<A> = parts.lowering[kind];
    const lower: LowerInsn<A> = (a, insns, at, context) => {
      if (before) extra(a, context, "add64_imm", register, 0, 1);
      original(a, insns, at, context);
      if (!before) extra(a, context, "add64_imm", register, 0, 1);
    };
    const name = `${kind} changes r${register}${before ? " on its way in" : ""}`;
    return { ...withLowering(name, { [kind]: lower }), near: [NEAR[kind] ?? "field"] };
  };
  const testDestroys: LowerInsn<A> = (a, insns, at, context) => {
    const isTest = insns.code(at) === INSNS.jset64_reg.code;
    if (isTest) extra(a, context, "and64_reg", insns.dst(at), insns.src(at));
    parts.lowering.jumpIf(a, insns, at, context);
  };
  const cutsResult: LowerInsn<A> = (a, insns, at, context) => {
    extra(a, context, "mov32_reg", 0, 0);
    parts.lowering.exit(a, insns, at, context);
  };
  return [
    clobbers("shift", 4),
    clobbers("div", 3),
    clobbers("div", 0),
    clobbers("atomic", 0),
    clobbers("mov", 5),
    clobbers("end", 2),
    clobbers("loadImm64", 9),
    clobbers("storeImm", 1),
    clobbers("callSubprog", 9),
    clobbers("callSubprog", 0),
    clobbers("callSubprog", 5, true),
    clobbers("callHelper", 5, true),
    clobbers("callHelper", 6),
    clobbers("callKfunc", 3, true),
    clobbers("packetLoad", 7),
    withLowering("a test of bits leaves them in its operand", { jumpIf: testDestroys }),
    withLowering("results of subprograms are cut to 32 bits", { exit: cutsResult }),
    ...frameMutants(parts),
    ...branchMutants(parts),
  ];
}

/** Where the cases of a kind of instruction are. */
const NEAR: Partial<Record<LoweredKind, string>> = {
  shift: "lsh64_reg", div: "div64_reg", atomic: "atomic", mov: "mov", end: "be", loadImm64: "lddw", storeImm: "store", callSubprog: "call",
  callHelper: "helper", callKfunc: "kfunc", packetLoad: "packet loads",
}; // biome-ignore format: names

type FrameChange = (frame: LowerContext<unknown>["frame"]) => LowerContext<unknown>["frame"];

function frameMutants<R extends string, A extends CodeBuffer>(parts: BackendParts<R, A>): readonly Mutant[] {
  /** The same context with another frame. */
  const changed = (context: LowerContext<A>, change: FrameChange): LowerContext<A> =>
    new Proxy(context, {
      get: (target, key) => {
        if (key === "frame") return change(target.frame);
        const member: unknown = Reflect.get(target, key);
        return typeof member === "function" ? member.bind(target) : member;
      },
    });
  const framed = (name: string, entering: FrameChange, leaving: FrameChange): Mutant => ({
    name,
    near: ["call"],
    backend: defineBackend({
      ...parts,
      prologue: (a, context) => parts.prologue(a, changed(context, entering)),
      lowering: {
        ...parts.lowering,
        exit: (a, insns, at, context) => parts.lowering.exit(a, insns, at, changed(context, leaving)),
      },
    }),
  });
  const same: FrameChange = (frame) => frame;
  const without =
    (register: number): FrameChange =>
    (frame) => ({ ...frame, saved: frame.saved.filter((saved) => saved !== register) });
  /** One register gets what was kept of another, whose place stays what it is. */
  const into =
    (register: number, other: number): FrameChange =>
    (frame) => ({ ...frame, saved: frame.saved.map((saved) => (saved === register ? other : saved)) });
  const reversed: FrameChange = (frame) => ({ ...frame, saved: [...frame.saved].reverse() });
  const smaller: FrameChange = (frame) => ({ ...frame, stack: Math.max(0, frame.stack - 16) });
  return [
    ...[6, 7, 8, 9].map((register) => framed(`r${register} is not saved`, without(register), without(register))),
    framed("registers are restored in the order of saving", same, reversed),
    framed("r9 is saved and not restored", same, into(9, 8)),
    framed("the stack is 16 bytes too small", smaller, smaller),
  ];
}

function branchMutants<R extends string, A extends CodeBuffer>(parts: BackendParts<R, A>): readonly Mutant[] {
  const reach = (name: string, change: (form: BranchForm) => BranchForm): Mutant => ({
    name,
    near: ["near", "2 KiB", "4 KiB", "1 MiB"],
    backend: defineBackend({ ...parts, branches: parts.branches.map(change) }),
  });
  /** Every encoding that can be followed by a longer one, and is not the empty one, reaches a step too far. */
  const wider =
    (low: number, high: number) =>
    (form: BranchForm): BranchForm => ({
      ...form,
      encodings: form.encodings.map((encoding, i) =>
        i + 1 < form.encodings.length && encoding.size > 0
          ? { ...encoding, min: encoding.min - low, max: encoding.max + high }
          : encoding,
      ),
    });
  const conditional = parts.branches.findIndex(({ name }) => name !== "jmp");
  return [
    reach("branches reach a little too far forwards", wider(0, 4)),
    reach("branches reach a little too far back", wider(4, 0)),
    {
      name: "a branch that reaches further forwards lands one unit early",
      near: ["4 KiB"],
      backend: defineBackend({
        ...parts,
        writeBranch: (bytes, at, form, operand, encoding, displacement) =>
          parts.writeBranch(
            bytes,
            at,
            form,
            operand,
            encoding,
            form === conditional && displacement > 0x1000 ? displacement - 4 : displacement,
          ),
      }),
    },
  ];
}
