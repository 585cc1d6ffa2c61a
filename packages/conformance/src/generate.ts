// Random programs that are well formed, end, and read nothing that they have not written: what engines, backends and kernels are compared on.
import {
  INSNS,
  type InsnKind,
  type InsnRow,
  Insns,
  OPS,
  type Op,
  type Program,
  packWord,
  type Subprog,
} from "@bpfkit/core";
import { Random } from "./random.ts";

/** What {@link generateProgram} makes. */
export interface GenerateOptions {
  /** About how many instructions; 40 unless told. */
  readonly size?: number;
  /** Bytes of the context that r1 points to, all of them readable and writable; 64 unless told. */
  readonly contextSize?: number;
  /** Newest instruction set version, as in `INSNS`; 5 unless told. */
  readonly isa?: number;
  /** Which instructions may occur; unless told, all but those that need more than a context and a stack, see {@link isSelfContained}. */
  readonly ops?: (op: Op) => boolean;
  /**
   * Stay within what Linux' verifier accepts of a `syscall` program; true unless told. Otherwise also divisions by a constant 0 and atomic
   * operations in the context occur.
   */
  readonly verifiable?: boolean;
  /** Subprograms besides the main one; up to 2 unless told. */
  readonly subprogs?: number;
  /** Mix registers, stack and context into the low 32 bits of r0 at the end, for where only they can be seen; false unless told. */
  readonly digest?: boolean;
}

/** Instructions that the generator can use without a host: no kfuncs, maps, packets, tail calls, and nothing that engines refuse. */
export function isSelfContained(op: Op): boolean {
  const { kind } = INSNS[op];
  return SELF_CONTAINED.has(kind) && (kind !== "loadImm64" || op === "lddw" || op === "lddw_subprog");
}

/** The helper that generated programs call, with a callback: `bpf_loop`. */
const BPF_LOOP = 181;
const SELF_CONTAINED: ReadonlySet<InsnKind> = new Set<InsnKind>([
  "alu", "div", "shift", "neg", "mov", "movsx", "end", "loadImm64", "load", "loadSx", "store", "storeImm", "atomic", "loadAcquire",
  "storeRelease", "jumpIf", "jump", "mayGoto", "callHelper", "callSubprog", "exit",
]); // biome-ignore format: names

/** How often each kind occurs, among those allowed. */
// biome-ignore format: one row per group
const WEIGHTS: Readonly<Partial<Record<InsnKind, number>>> = {
  alu: 26, shift: 10, neg: 2, mov: 10, movsx: 5, end: 4, div: 8, loadImm64: 3,
  load: 10, loadSx: 4, store: 8, storeImm: 4, atomic: 6, loadAcquire: 3, storeRelease: 3,
  jumpIf: 18, jump: 3, mayGoto: 2, callHelper: 2, callSubprog: 3, exit: 2,
};

const LIMITS: readonly number[] = [
  0, 1, -1, 2, 127, 128, -128, -129, 255, 256, 0x7fff, 0xffff, 0x7fff_ffff, -0x8000_0000,
];
const SLOT_COUNT = 6;
const CONTEXT = 6;

/**
 * A program from a seed. It is a `syscall` program whose context has `contextSize` bytes; it starts by reading numbers from there, ends
 * with a number in r0, and leaves others in its stack and context.
 *
 * @example
 * ```ts
 * import { formatProgram } from "@bpfkit/core";
 * import { generateProgram } from "@bpfkit/conformance";
 * console.log(formatProgram(generateProgram(42, { size: 20 })));
 * ```
 */
export function generateProgram(seed: number, options: GenerateOptions = {}): Program {
  const { size = 40, isa = 5, ops = isSelfContained, contextSize = 64, verifiable = true } = options;
  const random = new Random(seed);
  const allowed = OPS.filter(
    (op) => INSNS[op].isa <= isa && ops(op) && (INSNS[op].kind in WEIGHTS || INSNS[op].kind === "packetLoad"),
  );
  const callee = random.below((options.subprogs ?? 2) + 1);
  const setting: Setting = { allowed, contextSize, verifiable, words: [], calls: [] };
  const withCallback = allowed.includes("call_helper") && allowed.includes("lddw_subprog");
  const share = Math.max(8, Math.floor(size / (callee + 1)));
  const subprogs: Subprog[] = [];
  const starts = new Map<number, number>();
  const enter = (index: number, name: string): boolean => {
    if (index > 0 && !setting.calls.some(({ to }) => to === index)) return false;
    starts.set(index, setting.words.length / 2);
    subprogs.push({ name, start: setting.words.length / 2 });
    return true;
  };
  for (let index = 0; index <= callee; index++) {
    if (!enter(index, index === 0 ? "main" : `sub${index}`)) continue;
    const callees = allowed.includes("call_subprog")
      ? Array.from({ length: callee - index }, (_, i) => index + 1 + i)
      : [];
    const body = new Body(random, setting, callees, withCallback ? callee + 1 : -1);
    body.emit(share, index === 0 ? "main" : "subprog");
    if (index === 0 && options.digest === true) body.digest();
    body.leave();
  }
  if (enter(callee + 1, "callback")) {
    const body = new Body(random, setting, [], -1);
    body.emit(8, "callback");
    body.leave();
  }
  for (const { at, to } of setting.calls) setting.words[2 * at + 1] = starts.get(to)! - at - 1;
  return {
    name: `random-${seed}`,
    type: "syscall",
    license: "GPL",
    insns: new Insns(Int32Array.from(setting.words)),
    subprogs,
    maps: [],
    kfuncs: [],
  };
}

/** What all subprograms of a program share. */
interface Setting {
  readonly allowed: readonly Op[];
  readonly contextSize: number;
  readonly verifiable: boolean;
  readonly words: number[];
  /** Calls and callback loads at a slot, to be aimed at a subprogram when all are placed. */
  readonly calls: { readonly at: number; readonly to: number }[];
}

/** What has a value at a place: bit per register, bit per 8-byte stack slot. */
interface Known {
  readonly registers: number;
  readonly slots: number;
}

/** A jump forward whose target is not placed yet. */
interface Open {
  readonly at: number;
  readonly known: Known;
}

type Role = "main" | "subprog" | "callback";

class Body {
  readonly #random: Random;
  readonly #setting: Setting;
  readonly #callees: readonly number[];
  readonly #callback: number;
  readonly #open: Open[] = [];
  readonly #kinds: readonly InsnKind[];
  readonly #byKind: ReadonlyMap<InsnKind, readonly Op[]>;
  #registers = 0;
  #slots = 0;
  /** Registers that a loop counts in: they are not written meanwhile. */
  #reserved = 1 << CONTEXT;
  #role: Role = "main";
  #depth = 0;

  constructor(random: Random, setting: Setting, callees: readonly number[], callback: number) {
    this.#random = random;
    this.#setting = setting;
    this.#callees = callees;
    this.#callback = callback;
    const byKind = new Map<InsnKind, Op[]>();
    for (const op of setting.allowed) {
      const { kind } = INSNS[op];
      byKind.set(kind, [...(byKind.get(kind) ?? []), op]);
    }
    this.#byKind = byKind;
    this.#kinds = [...byKind.keys()].flatMap((kind) => new Array<InsnKind>(WEIGHTS[kind] ?? 2).fill(kind));
  }

  emit(size: number, role: Role): void {
    const random = this.#random;
    this.#role = role;
    if (role === "callback") {
      this.#registers = 1 << 1;
      this.#put("mov64_reg", 0, 1);
    } else {
      this.#put("mov64_reg", CONTEXT, 1);
      this.#registers = (1 << CONTEXT) | (role === "subprog" ? 0b1100 : 0);
      const count = random.between(2, 5);
      for (let i = 0; i < count; i++)
        this.#put(
          "load64",
          random.pick([0, 2, 3, 4, 7, 8, 9]),
          CONTEXT,
          8 * random.below(this.#setting.contextSize / 8),
        );
      const slots = random.between(1, 3);
      for (let i = 0; i < slots; i++) this.#put("store64_reg", 10, this.#source(), -8 * (i + 1));
      this.#slots = (1 << slots) - 1;
    }
    const end = this.#at + size;
    while (this.#at < end) this.#piece(end);
    this.#closeAll();
  }

  /** Mixes all that is known into r0. */
  digest(): void {
    const { contextSize } = this.#setting;
    const registers = NUMBERS.filter((register) => register !== 0 && this.#registers & (1 << register));
    if (!(this.#registers & 1)) this.#put("mov64_imm", 0);
    const mix = (register: number): void => {
      this.#put("mul64_imm", 0, 0, 0, 0x0100_0193);
      this.#put("xor64_reg", 0, register);
    };
    for (const register of registers) mix(register);
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (!(this.#slots & (1 << slot))) continue;
      this.#put("load64", 1, 10, -8 * (slot + 1));
      mix(1);
    }
    for (let off = 0; off + 8 <= contextSize; off += 8) {
      this.#put("load64", 1, CONTEXT, off);
      mix(1);
    }
    this.#put("mov64_reg", 1, 0);
    this.#put("rsh64_imm", 1, 0, 0, 32);
    this.#put("xor64_reg", 0, 1);
  }

  /** Ends the subprogram. */
  leave(): void {
    if (!(this.#registers & 1)) this.#put("mov64_imm", 0, 0, 0, this.#immediate());
    if (this.#role === "callback") this.#put("and64_imm", 0, 0, 0, 1);
    this.#put("exit");
  }

  get #at(): number {
    return this.#setting.words.length / 2;
  }

  /** Appends an instruction; what its kind writes becomes known elsewhere. */
  #put(op: Op, dst = 0, src = 0, off = 0, imm = 0): void {
    const row: InsnRow = INSNS[op];
    this.#setting.words.push(packWord(row.code, dst, row.src ?? src, row.off ?? off), row.imm ?? imm);
    if (WRITES_DST.has(row.kind)) this.#registers |= 1 << dst;
  }

  /** One instruction, or a few that belong together. */
  #piece(end: number): void {
    const random = this.#random;
    if (this.#open.length > 0 && random.chance(30)) this.#close(random.below(this.#open.length));
    if (
      end - this.#at > 12 &&
      this.#depth === 0 &&
      random.chance(4) &&
      this.#byKind.get("jumpIf")?.includes("jne64_imm")
    ) {
      this.#loop();
      return;
    }
    const kind = random.pick(this.#kinds);
    const op = random.pick(this.#byKind.get(kind)!);
    switch (kind) {
      case "alu":
      case "shift":
      case "div":
        this.#arithmetic(op, kind);
        break;
      case "mov":
        if (isRegisterForm(op)) this.#put(op, this.#target(), this.#source());
        else this.#put(op, this.#target(), 0, 0, this.#immediate());
        break;
      case "movsx":
        this.#put(op, this.#target(), this.#source());
        break;
      case "neg":
      case "end":
        this.#put(op, this.#writableSource());
        break;
      case "loadImm64":
        if (op === "lddw") {
          this.#put(op, this.#target(), 0, 0, this.#immediate());
          this.#setting.words.push(0, random.pick([0, -1, 1, random.bits() | 0]));
        }
        break;
      case "load":
      case "loadSx":
      case "loadAcquire": {
        const { base, off } = this.#place(sizeOf(op), kind !== "loadAcquire", false);
        this.#put(op, this.#target(), base, off);
        break;
      }
      case "store":
      case "storeRelease": {
        const { base, off } = this.#place(sizeOf(op), kind === "store", true);
        this.#put(op, base, this.#source(), off);
        break;
      }
      case "storeImm": {
        const { base, off } = this.#place(sizeOf(op), true, true);
        this.#put(op, base, 0, off, this.#immediate());
        break;
      }
      case "atomic":
        this.#atomic(op);
        break;
      case "jumpIf":
        this.#jumpForward(op);
        break;
      case "mayGoto":
        this.#put(op);
        this.#open.push({ at: this.#at - 1, known: this.#known() });
        break;
      case "jump":
        this.#jumpAway(op);
        break;
      case "callSubprog":
        if (this.#callees.length > 0 && this.#depth === 0) this.#call();
        break;
      case "callHelper":
        if (this.#callback >= 0 && this.#depth === 0) this.#loopHelper();
        break;
      case "packetLoad":
        if (this.#depth > 0) break;
        if (isIndirect(op)) this.#put(op, 0, this.#source(), 0, 0);
        else this.#put(op, 0, 0, 0, random.below(64));
        this.#afterCall();
        break;
      case "exit":
        this.#exitEarly();
        break;
      default:
        break;
    }
  }

  #arithmetic(op: Op, kind: InsnKind): void {
    const dst = this.#writableSource();
    if (isRegisterForm(op)) {
      this.#put(op, dst, this.#source());
      return;
    }
    const wide = (INSNS[op].code & 7) === 7;
    if (kind === "shift") this.#put(op, dst, 0, 0, this.#random.pick([0, 1, this.#random.below(wide ? 64 : 32)]));
    else {
      const imm = this.#immediate();
      this.#put(op, dst, 0, 0, kind === "div" && imm === 0 && this.#setting.verifiable ? 3 : imm);
    }
  }

  #atomic(op: Op): void {
    const { base, off } = this.#place(sizeOf(op), !this.#setting.verifiable, false);
    const fetches = (INSNS[op] as InsnRow).imm! & 1;
    if (op.startsWith("cmpxchg")) {
      if (!(this.#registers & 1)) this.#put("mov64_imm", 0, 0, 0, this.#immediate());
      this.#put(op, base, this.#source(), off);
    } else this.#put(op, base, fetches ? this.#writableSource() : this.#source(), off);
  }

  #jumpForward(op: Op): void {
    if (isRegisterForm(op)) this.#put(op, this.#source(), this.#source());
    else this.#put(op, this.#source(), 0, 0, this.#immediate());
    this.#open.push({ at: this.#at - 1, known: this.#known() });
  }

  /** `goto`, with a jump that is open landing behind it; without one only over itself. */
  #jumpAway(op: Op): void {
    const open = this.#open.length;
    this.#put(op);
    const at = this.#at - 1;
    if (open === 0) return;
    const known = this.#known();
    const landing = this.#random.below(open);
    this.#registers = -1;
    this.#slots = -1;
    this.#close(landing);
    this.#open.push({ at, known });
  }

  #exitEarly(): void {
    const op = this.#random.pick(this.#byKind.get("jumpIf") ?? []);
    if (op === undefined || this.#depth > 0) return;
    this.#jumpForward(op);
    const over = this.#open.length - 1;
    const { known } = this.#open[over]!;
    this.leave();
    this.#registers = known.registers;
    this.#slots = known.slots;
    this.#close(over);
  }

  /** Counts a register down from a small number. */
  #loop(): void {
    const random = this.#random;
    const counter = random.pick([7, 8, 9].filter((register) => !(this.#reserved & (1 << register))));
    this.#closeAll();
    this.#put("mov64_imm", counter, 0, 0, random.between(1, 4));
    this.#reserved |= 1 << counter;
    this.#depth++;
    const start = this.#at;
    const end = start + random.between(3, 8);
    while (this.#at < end) this.#piece(end);
    this.#closeAll();
    this.#put("sub64_imm", counter, 0, 0, 1);
    this.#put("jne64_imm", counter, 0, start - this.#at - 1, 0);
    this.#depth--;
    this.#reserved &= ~(1 << counter);
  }

  #call(): void {
    const random = this.#random;
    this.#put("mov64_reg", 2, this.#source());
    this.#put("mov64_reg", 3, this.#source());
    this.#put("mov64_reg", 1, CONTEXT);
    this.#setting.calls.push({ at: this.#at, to: random.pick(this.#callees) });
    this.#put("call_subprog", 0);
    this.#afterCall();
  }

  /** `bpf_loop(n, callback, 0, 0)`. */
  #loopHelper(): void {
    this.#put("mov64_imm", 1, 0, 0, this.#random.between(0, 5));
    this.#setting.calls.push({ at: this.#at, to: this.#callback });
    this.#put("lddw_subprog", 2);
    this.#setting.words.push(0, 0);
    this.#put("mov64_imm", 3);
    this.#put("mov64_imm", 4);
    this.#put("call_helper", 0, 0, 0, BPF_LOOP);
    this.#afterCall();
  }

  #afterCall(): void {
    this.#registers = (this.#registers & ~0b11_1110) | 1;
  }

  #known(): Known {
    return { registers: this.#registers, slots: this.#slots };
  }

  /** Lands an open jump here. */
  #close(index: number): void {
    const [{ at, known }] = this.#open.splice(index, 1) as [Open];
    const distance = this.#at - at - 1;
    const { words } = this.#setting;
    if ((words[2 * at]! & 0xff) === INSNS.gotol.code) words[2 * at + 1] = distance;
    else words[2 * at] = (words[2 * at]! & 0xffff) | (distance << 16);
    this.#registers &= known.registers;
    this.#slots &= known.slots;
  }

  #closeAll(): void {
    while (this.#open.length > 0) this.#close(this.#open.length - 1);
  }

  /** A register with a number in it; makes one where there is none. */
  #source(): number {
    const known = NUMBERS.filter((register) => this.#registers & (1 << register));
    if (known.length > 0) return this.#random.pick(known);
    const register = this.#target();
    this.#put("mov64_imm", register, 0, 0, this.#immediate());
    return register;
  }

  /** A register with a number in it that may be written. */
  #writableSource(): number {
    const known = NUMBERS.filter((register) => this.#registers & ~this.#reserved & (1 << register));
    if (known.length > 0) return this.#random.pick(known);
    const register = this.#target();
    this.#put("mov64_imm", register, 0, 0, this.#immediate());
    return register;
  }

  #target(): number {
    return this.#random.pick(NUMBERS.filter((register) => !(this.#reserved & (1 << register))));
  }

  #immediate(): number {
    const random = this.#random;
    return random.chance(30) ? random.pick(LIMITS) : random.chance(60) ? random.between(-128, 127) : random.bits() | 0;
  }

  /** An aligned place in the stack or the context; what is read there has been written. */
  #place(size: number, context: boolean, writes: boolean): { readonly base: number; readonly off: number } {
    const random = this.#random;
    if (context && this.#role !== "callback" && random.chance(40)) {
      return { base: CONTEXT, off: size * random.below(this.#setting.contextSize / size) };
    }
    if (writes && size === 8 && random.chance(40)) {
      const slot = random.below(SLOT_COUNT);
      this.#slots |= 1 << slot;
      return { base: 10, off: -8 * (slot + 1) };
    }
    const slots = Array.from({ length: SLOT_COUNT }, (_, slot) => slot).filter((slot) => this.#slots & (1 << slot));
    if (slots.length === 0) {
      this.#put("store64_imm", 10, 0, -8, this.#immediate());
      this.#slots |= 1;
      slots.push(0);
    }
    return { base: 10, off: -8 * (random.pick(slots) + 1) + size * random.below(8 / size) };
  }
}

const NUMBERS: readonly number[] = [0, 1, 2, 3, 4, 5, 7, 8, 9];
const WRITES_DST: ReadonlySet<InsnKind> = new Set<InsnKind>([
  "alu", "div", "shift", "neg", "mov", "movsx", "end", "loadImm64", "load", "loadSx", "loadAcquire",
]); // biome-ignore format: names

function isRegisterForm(op: Op): boolean {
  return op.endsWith("_reg");
}

function isIndirect(op: Op): boolean {
  return op.startsWith("ld_ind");
}

/** Bytes of an access: bits 3 and 4 of the opcode. */
function sizeOf(op: Op): 1 | 2 | 4 | 8 {
  return ([4, 2, 1, 8] as const)[(INSNS[op].code >> 3) & 3]!;
}
