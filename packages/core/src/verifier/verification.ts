// What all parts of one verification share: the program, the kernel's profile, the path being walked, counters and the log.
import type { Structure } from "../analysis/structure.ts";
import type { Insns } from "../isa/insns.ts";
import type { FunctionSignature, MapSpec, Program } from "../program.ts";
import type { AttachTypeName } from "../spec/attach-types.ts";
import type { KernelProfile } from "../spec/kernel-profile.ts";
import type { AttachTarget, KernelTypes } from "../spec/kernel-types.ts";
import type { ProgramTypeSpec } from "../spec/program-types.ts";
import { Point } from "./control-flow.ts";
import type { Log } from "./log.ts";
import { Packing } from "./pack.ts";
import { helperSpec } from "./prototypes.ts";
import { closeLoop } from "./prune.ts";
import { Errno, Refusal } from "./refusal.ts";
import { copyRegister, isPointer, REG_WORDS, setUninit, Type } from "./register.ts";
import { ROWS } from "./rows.ts";
import { constantBytes } from "./stack.ts";
import type { Frame, State } from "./state.ts";
import type { StoredState } from "./store.ts";
import { StructNames } from "./struct-names.ts";
import type { Tables } from "./tables.ts";

/** Bounds that are the caller's, not the kernel's. */
export interface Budget {
  /** Instructions processed, over all paths. */
  readonly insns: number;
  /** States stored at one time. */
  readonly states: number;
  readonly milliseconds: number;
}

/** What is done and seen on the way; all are counts. */
export interface Counters {
  insns: number;
  jumps: number;
  totalStates: number;
  peakStates: number;
  liveStates: number;
  maxStatesPerInsn: number;
  /** Words of packed states that were stored, in all. */
  storedWords: number;
}

/** What {@link Verification} is made of. */
export interface VerificationParts {
  readonly program: Program;
  readonly structure: Structure;
  readonly ops: Int16Array;
  readonly late: ReadonlyMap<number, Refusal> | undefined;
  readonly live: Uint16Array;
  readonly points: Uint8Array;
  readonly profile: KernelProfile;
  readonly type: ProgramTypeSpec;
  readonly attachType: AttachTypeName | undefined;
  readonly tables: Tables;
  readonly budget: Budget;
  readonly log: Log;
  readonly strictAlignment: boolean;
  readonly functions: Map<number, FunctionSignature>;
  readonly typed: boolean;
  readonly cpus: number;
  readonly target: AttachTarget | undefined;
  readonly types: KernelTypes | undefined;
}

/** A watcher of states; called before each instruction with the state at it. */
export type Watcher = (v: Verification) => void;

/** Up to so many waiting paths keep their frames whole; of more, each is packed. */
const FEW_PENDING = 64;

/** Words of frames that no verification uses. */
const SPARE: Int32Array[] = [];

export class Verification {
  readonly program: Program;
  readonly insns: Insns;
  readonly structure: Structure;
  /** Index in OPS of each instruction. */
  readonly ops: Int16Array;
  /** Instructions that no path may come to. */
  readonly late: ReadonlyMap<number, Refusal> | undefined;
  /** Registers that are read before they are written, from each instruction on. */
  readonly live: Uint16Array;
  /** Bits of `Point`. */
  readonly points: Uint8Array;
  readonly profile: KernelProfile;
  readonly type: ProgramTypeSpec;
  readonly attachType: AttachTypeName | undefined;
  readonly tables: Tables;
  readonly budget: Budget;
  readonly log: Log;
  readonly strictAlignment: boolean;
  /** Newer than Linux 6.12, whose verifier follows fewer operations and words some messages otherwise. */
  readonly modern: boolean;
  watch: Watcher | undefined = undefined;

  state: State<StoredState>;
  /** Paths that wait, the next one last. */
  readonly pending: State<StoredState>[] = [];
  /** Stored states by instruction. */
  readonly stored: Map<number, StoredState[]> = new Map();
  /** Sets of registers that were narrowed together; history refers to them by number. */
  readonly links: Int32Array[] = [];
  readonly counters: Counters = {
    insns: 0,
    jumps: 0,
    totalStates: 0,
    peakStates: 0,
    liveStates: 0,
    maxStatesPerInsn: 0,
    storedWords: 0,
  };
  /** The last id given out. */
  ids = 0;
  /** The subprogram that is verified on its own. */
  root = 0;
  /** CPUs that the machine can have. */
  readonly cpus: number;
  /** The functions of the program have types. */
  readonly typed: boolean;
  /** What the program is attached to, and the structures of its kernel, as far as they are known. */
  readonly target: AttachTarget | undefined;
  readonly types: KernelTypes | undefined;
  readonly structs: StructNames = new StructNames();
  /** Global subprograms, which are verified alone: their signatures by index. */
  readonly functions: Map<number, FunctionSignature>;
  /** Counts when a state was stored last. */
  jumpsAtStore = 0;
  insnsAtStore = 0;
  #keeps = false;
  /** Bit 0: a conditional jump was seen to jump; bit 1: not to. */
  readonly sides: Uint8Array;
  /** Some path ended though a number differed that no decision depended on. */
  leftOut = false;
  /** A state covers another one only in all that it holds. */
  complete = false;
  /** Bytes of each subprogram's frame that some path uses. */
  readonly stackBytes: Int32Array;
  /** Types of the pointers that each load or store was seen to go through. */
  readonly pointerTypes: Int32Array;
  /** Global subprograms that some path calls. */
  readonly calledGlobals: Set<number> = new Set();
  /** Frames of paths that wait. */
  readonly packing: Packing = new Packing();
  /** Spare frames' words, for reuse by this one and those that follow. */
  readonly spare: Int32Array[] = SPARE;

  constructor(parts: VerificationParts, state: State<StoredState>) {
    this.program = parts.program;
    this.insns = parts.program.insns;
    this.structure = parts.structure;
    this.ops = parts.ops;
    this.late = parts.late;
    this.live = parts.live;
    this.points = parts.points;
    this.profile = parts.profile;
    this.type = parts.type;
    this.attachType = parts.attachType;
    this.tables = parts.tables;
    this.budget = parts.budget;
    this.log = parts.log;
    this.strictAlignment = parts.strictAlignment;
    this.functions = parts.functions;
    this.typed = parts.typed;
    this.target = parts.target;
    this.types = parts.types;
    this.cpus = parts.cpus;
    this.stackBytes = new Int32Array(parts.structure.subprogs.length);
    this.sides = new Uint8Array(parts.program.insns.length);
    this.pointerTypes = new Int32Array(parts.program.insns.length);
    this.modern = parts.profile.version !== "6.12";
    this.state = state;
  }

  get frame(): Frame {
    return this.state.frame;
  }

  nextId(): number {
    return ++this.ids;
  }

  /** Ends the verification. */
  refuse(errno: number, ...lines: string[]): never {
    throw new Refusal(errno, lines);
  }

  deny(...lines: string[]): never {
    throw new Refusal(Errno.EACCES, lines);
  }

  /** Whether a subprogram, or one that it calls, calls a helper that may move the packet. */
  changesPacket(subprog: number, seen: Set<number> = new Set()): boolean {
    if (seen.has(subprog)) return false;
    seen.add(subprog);
    const { start, end, calls, callbacks } = this.structure.subprogs[subprog]!;
    for (let i = start; i < end; i += this.insns.width(i)) {
      if (ROWS[this.ops[i]!]!.kind === "callHelper" && helperSpec(this.insns.imm(i))?.changesPacket === true)
        return true;
    }
    return [...calls, ...callbacks].some((callee) => this.changesPacket(callee, seen));
  }

  /** The map with this index in `program.maps`, from a register's AUX word. */
  map(aux: number): MapSpec {
    return this.program.maps[aux - 1]!;
  }

  /** A register is about to be read: word offset in the frame. */
  read(reg: number): number {
    this.log.mark(reg);
    const at = reg * REG_WORDS;
    if (this.frame.words[at] === Type.UNINIT) this.deny(`R${reg} !read_ok`);
    return at;
  }

  /** A register is about to be written. */
  write(reg: number): number {
    this.log.mark(reg);
    if (reg === 10) this.deny("frame pointer is read only");
    return reg * REG_WORDS;
  }

  isPointer(reg: number): boolean {
    return isPointer(this.frame.words[reg * REG_WORDS]!);
  }

  /** r1 to r5 are gone. */
  clobber(): void {
    for (let reg = 0; reg <= 5; reg++) setUninit(this.frame.words, reg * REG_WORDS);
  }

  copy(to: number, from: number): void {
    copyRegister(this.frame.words, to, this.frame.words, from);
  }

  /** A subprogram's frame is used down to `bytes` below r10. */
  usesStack(subprog: number, bytes: number): void {
    if (bytes > this.stackBytes[subprog]!) this.stackBytes[subprog] = bytes;
  }

  /** `size` bytes at a stack pointer as a number, where they are exactly known. */
  constantOnStack(at: number, size: number): number | undefined {
    return constantBytes(this, at, size);
  }

  /** The current state, put off to go on at `insn`. Rejects more of them than the kernel keeps. */
  fork(insn: number, from: number): State<StoredState> {
    const { state } = this;
    const last = this.pending[this.pending.length - 1];
    if (this.pending.length > FEW_PENDING && last !== undefined)
      for (const frame of last.frames) frame.pack(this.packing, this.spare);
    const other = state.copy(this.spare);
    other.insn = insn;
    other.previous = from;
    if (other.parent !== undefined) other.parent.branches++;
    this.log.forked(other);
    this.pending.push(other);
    if (this.pending.length > this.profile.limits.pendingBranches)
      this.refuse(Errno.E2BIG, `The sequence of ${this.pending.length} jumps is too complex.`);
    return other;
  }

  /** The words of the current state stay in use after its path has ended. */
  keepsState(): void {
    this.#keeps = true;
  }

  /** Gives the words of an ended path back, unless somebody keeps them. */
  recycle(): void {
    if (this.#keeps) this.#keeps = false;
    else for (const frame of this.state.frames) this.spare.push(frame.words);
  }

  /** The walk is over: lets go of its states, of which there may be many. */
  release(): void {
    this.stored.clear();
    this.pending.length = 0;
    this.spare.length = 0;
    this.state.parent = undefined;
  }

  /** All paths below a stored state have ended. */
  completed(stored: StoredState): void {
    if (stored.edges !== undefined) closeLoop(this, stored);
  }

  /** Runs a check whose failure the kernel reports as an invalid argument. */
  asInvalid<T>(check: () => T): T {
    try {
      return check();
    } catch (error) {
      if (error instanceof Refusal) throw new Refusal(Errno.EINVAL, error.lines);
      throw error;
    }
  }

  /** Whether loops with a bound of their own are compared at an instruction. */
  isLoopPoint(i: number): boolean {
    return (this.points[i]! & Point.FORCE) !== 0;
  }
}
