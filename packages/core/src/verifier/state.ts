// The state of a path: frames with registers and stack slots, references, locks. Copied where a path forks.
import { type Packing, unpackRegister } from "./pack.ts";
import { copyRegister, REG_WORDS, setPointer, setUninit, Type } from "./register.ts";

/** r0..r10, and two places to work in. */
export const FRAME_REGISTERS = 13;
/** Places to work in, as word offsets. */
export const SCRATCH: number = 11 * REG_WORDS;
export const SCRATCH2: number = 12 * REG_WORDS;
/** Slots of 8 bytes; slot 0 is the one right below r10. */
export const SLOTS = 64;
/** Where the kinds of a frame's stack bytes are, a word a slot, four bits a byte; the byte at the slot's lowest address in the lowest bits. */
export const KINDS: number = FRAME_REGISTERS * REG_WORDS;
/** Where the spilled registers are. */
export const SPILLS: number = KINDS + SLOTS;
const FRAME_WORDS: number = SPILLS + SLOTS * REG_WORDS;

/** What a byte of the stack holds. */
export const Byte = {
  INVALID: 0,
  /** Part of a register that was stored with its meaning; the lowest bytes, where it was stored with fewer than 8. */
  SPILL: 1,
  /** Some number. */
  MISC: 2,
  ZERO: 3,
  /** Parts of objects of the kernel: see special-slots.ts. */
  ITERATOR: 4,
  DYNPTR: 5,
} as const;

/** Eight bytes of a kind, as a word. */
export function eight(kind: number): number {
  return Math.imul(kind, 0x1111_1111);
}

/** The kind of byte `byte` (0: lowest address) of a word of kinds. */
export function kindAt(kinds: number, byte: number): number {
  return (kinds >>> (4 * byte)) & 15;
}

/** Word offset of register `reg`. */
export function regAt(reg: number): number {
  return reg * REG_WORDS;
}

/** Word offset of what slot `slot` holds. */
export function spillAt(slot: number): number {
  return SPILLS + slot * REG_WORDS;
}

/** How control came into a frame. */
export interface FrameOrigin {
  /** Instruction that called, -1 for the program itself. */
  readonly callSite: number;
  readonly subprog: number;
  /** The helper that calls back, where one does. */
  readonly callback?: CallbackSite;
}

/** A frame of a callback. */
export interface CallbackSite {
  readonly helper: string;
  /** Least and greatest value that it may return. */
  readonly returns: readonly [number, number];
  /** It may run any number of times, one after another. */
  readonly repeats: boolean;
  /** References that its caller holds. */
  readonly references: number;
}

const NOTHING = new Int32Array(0);

/** One frame. */
export class Frame {
  /** Cut to what is in use while the frame waits. */
  words: Int32Array;
  readonly origin: FrameOrigin;
  /** Slots that have been in use, counted from r10. */
  depth = 0;
  /** Full slots written since the last stored state: bit i of word i >> 5. */
  written0 = 0;
  written1 = 0;
  /** How often the callback of the call in this frame was entered; for convergence. */
  callbackDepth = 0;
  /** Where it begins among what is packed. */
  #packed = 0;

  constructor(origin: FrameOrigin, words: Int32Array = new Int32Array(FRAME_WORDS)) {
    this.origin = origin;
    this.words = words;
  }

  /** Empty registers, r10 and an empty stack. */
  begin(frame: number): void {
    for (let reg = 0; reg < FRAME_REGISTERS; reg++) setUninit(this.words, regAt(reg));
    setPointer(this.words, regAt(10), Type.STACK);
    this.words[regAt(10) + 4] = frame;
  }

  copy(words?: Int32Array): Frame {
    const copied = new Frame(this.origin, words);
    copied.words.set(this.words.subarray(0, SPILLS + this.depth * REG_WORDS));
    copied.depth = this.depth;
    copied.written0 = this.written0;
    copied.written1 = this.written1;
    copied.callbackDepth = this.callbackDepth;
    return copied;
  }

  /** Gives back all words, while the frame waits for those of other paths that began later. */
  pack(packing: Packing, spare: Int32Array[]): void {
    const { words, depth } = this;
    if (words.length < FRAME_WORDS) return;
    this.#packed = packing.length;
    let mask = 0;
    for (let reg = 0; reg < 10; reg++) if (words[regAt(reg)] !== Type.UNINIT) mask |= 1 << reg;
    packing.push(mask);
    for (let reg = 0; reg < 10; reg++) if (((mask >> reg) & 1) === 1) packing.register(words, regAt(reg));
    for (let slot = 0; slot < depth; slot++) {
      const kinds = words[KINDS + slot]!;
      packing.push(kinds);
      if (hasWords(kinds)) packing.register(words, spillAt(slot));
    }
    this.words = NOTHING;
    spare.push(words);
  }

  /** Makes a packed frame whole again; the last one that was packed first. */
  unpack(packing: Packing, spare: Int32Array[], frame: number): void {
    if (this.words !== NOTHING) return;
    const words = spare.pop() ?? new Int32Array(FRAME_WORDS);
    this.words = words;
    this.begin(frame);
    let p = this.#packed;
    const mask = packing.words[p++]!;
    for (let reg = 0; reg < 10; reg++)
      if (((mask >> reg) & 1) === 1) p = unpackRegister(packing.words, p, words, regAt(reg));
    for (let slot = 0; slot < this.depth; slot++) {
      const kinds = packing.words[p++]!;
      words[KINDS + slot] = kinds;
      if (hasWords(kinds)) p = unpackRegister(packing.words, p, words, spillAt(slot));
    }
    packing.length = this.#packed;
  }

  /** Gives back the words that are not in use, while the frame waits. */
  compact(spare: Int32Array[]): void {
    const { words } = this;
    if (words.length < FRAME_WORDS) return;
    this.words = words.slice(0, SPILLS + this.depth * REG_WORDS);
    spare.push(words);
  }

  /** Makes the frame whole again. */
  expand(spare: Int32Array[]): void {
    const { words } = this;
    if (words.length === FRAME_WORDS) return;
    this.words = spare.pop() ?? new Int32Array(FRAME_WORDS);
    this.words.set(words);
  }

  /** Makes sure that slot `slot` exists. */
  reach(slot: number): void {
    if (slot < this.depth) return;
    for (let i = this.depth; i <= slot; i++) {
      this.words[KINDS + i] = 0;
      setUninit(this.words, spillAt(i));
    }
    this.depth = slot + 1;
  }

  wrote(slot: number): void {
    if (slot < 32) this.written0 |= 1 << slot;
    else this.written1 |= 1 << (slot - 32);
  }

  hasWritten(slot: number): boolean {
    return ((slot < 32 ? this.written0 >> slot : this.written1 >> (slot - 32)) & 1) === 1;
  }
}

/** A reference that the path has acquired and must give back. */
export interface Reference {
  readonly id: number;
  /** The instruction that acquired it. */
  readonly insn: number;
}

/** A stored state that a path has come from; see store.ts. */
export interface Parent {
  readonly parent: Parent | undefined;
}

/** A path at one instruction. */
export class State<P = unknown> {
  frames: Frame[];
  references: readonly Reference[] = [];
  /** The held spin lock: the id of the pointer whose value holds it and its map; 0 for none. */
  lockId = 0;
  lockMap = 0;
  /** Sections of read-side RCU, and of switched-off preemption, that the path is in. */
  rcuSections = 0;
  preemptSections = 0;
  insn = 0;
  previous = -1;
  /** First and last instruction since the last stored state. */
  first = 0;
  /** Instructions since the last stored state, with the slot each one touched: see `note`. */
  history: Int32Array = NOTHING;
  historyLength = 0;
  parent: P | undefined = undefined;
  mayGotoDepth = 0;
  callbackUnroll = 0;
  /** Jumps and stack accesses since the last stored state. */
  marks = 0;

  constructor(frames: Frame[]) {
    this.frames = frames;
  }

  get frame(): Frame {
    return this.frames[this.frames.length - 1]!;
  }

  /** A copy, in words of `spare` as far as there are any. */
  copy(spare: Int32Array[] = []): State<P> {
    const frames: Frame[] = [];
    for (const frame of this.frames) frames.push(frame.copy(spare.pop()));
    const copied = new State<P>(frames);
    copied.references = this.references;
    copied.lockId = this.lockId;
    copied.lockMap = this.lockMap;
    copied.rcuSections = this.rcuSections;
    copied.preemptSections = this.preemptSections;
    copied.insn = this.insn;
    copied.previous = this.previous;
    copied.first = this.first;
    if (this.historyLength > 0) copied.history = this.history.slice(0, this.historyLength);
    copied.historyLength = this.historyLength;
    copied.parent = this.parent;
    copied.mayGotoDepth = this.mayGotoDepth;
    copied.callbackUnroll = this.callbackUnroll;
    copied.marks = this.marks;
    return copied;
  }

  /** Calls `visit` with every register and every spilled register, with its frame and where it is in the frame's words. */
  each(visit: (words: Int32Array, at: number, frame: number) => void): void {
    for (let f = 0; f < this.frames.length; f++) {
      const { words, depth } = this.frames[f]!;
      for (let reg = 0; reg < 11; reg++) visit(words, regAt(reg), f);
      for (let slot = 0; slot < depth; slot++) if (isSpill(words[KINDS + slot]!)) visit(words, spillAt(slot), f);
    }
  }

  /** Notes one more instruction of the path; `touch` is 0, or 1 + slot + 64 × frame of the stack slot that it loads or stores. */
  note(insn: number, touch: number): void {
    if (this.historyLength === this.history.length) {
      const grown = new Int32Array(Math.max(16, 2 * this.historyLength));
      grown.set(this.history);
      this.history = grown;
    }
    this.history[this.historyLength++] = insn | (touch << 20);
  }

  /** The last noted instruction narrowed numbers together: a set of links by its number. */
  noteLinks(links: number): void {
    this.note(0, 0);
    this.history[this.historyLength - 1] = ~links;
  }

  /** The last noted instruction touched a slot. */
  touch(slot: number, frame: number): void {
    const last = this.historyLength - 1;
    this.marks++;
    this.history[last] = (this.history[last]! & 0xf_ffff) | ((1 + slot + 64 * frame) << 20);
  }
}

/** Whether a slot holds a register with its meaning (stored with 8 bytes, or with fewer). */
export function isSpill(kinds: number): boolean {
  return (kinds & 15) === Byte.SPILL;
}

/** Whether a slot has words beside its kinds: of a register, or of an object of the kernel. */
export function hasWords(kinds: number): boolean {
  return isSpill(kinds) || isSpecial(kinds);
}

/** Whether a slot is part of an object of the kernel. */
export function isSpecial(kinds: number): boolean {
  return kinds === 0x4444_4444 || kinds === 0x5555_5555;
}

/** Whether a slot holds one of 8 bytes. */
export function isFullSpill(kinds: number): boolean {
  return kinds === 0x1111_1111;
}

/** Copies a register into a slot or back. */
export function moveRegister(to: Int32Array, at: number, from: Int32Array, x: number): void {
  copyRegister(to, at, from, x);
}
