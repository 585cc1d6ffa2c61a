// One program's run on two engines: both are moved from boundary to boundary, and compared there.
import {
  type Executable,
  Fault,
  type Insns,
  invariant,
  kindOf,
  type Line,
  type LiveFrame,
  opAt,
  type StackSpace,
  type Stop,
  type TrackedExecution,
  type Trap,
  type UndefinedUse,
  type VerifiedProgram,
  WriteJournal,
} from "@bpfkit/core";
import type { Kernel } from "./kernel.ts";
import { type ProgramFault, programFaultOf } from "./lockstep-fault.ts";
import { type Finding, findingText, type Moment } from "./lockstep-report.ts";
import type { LiveMap } from "./maps/map.ts";
import type { LoadedProgram, ProgramRun, RunOptions } from "./program.ts";

/** Where two engines first differ. */
export interface Difference {
  /** Slot of the BPF instruction that ran before the difference showed; -1 before the first. */
  readonly at: number;
  /** Where the reference went on from there: its next instruction, maybe of another program. */
  readonly next: { readonly program: VerifiedProgram; readonly at: number };
  /** What differs: `r3`, `the byte at 0x…`, `program`, `place`, `tail calls`, `stop`, `dataOut`, `keys of map 'm'`, … */
  readonly what: string;
  readonly reference: string;
  readonly subject: string;
  /** The instruction, its machine code, registers before and after: text of several lines. */
  readonly listing: string;
}

/** Two kernels that are alike. */
export interface Kernels {
  readonly reference: Kernel;
  readonly subject: Kernel;
  /** What of the subject is what of the reference: the programs that are loaded in both. */
  readonly counterparts: WeakMap<Executable, Executable>;
}

/** A program in both kernels. */
interface Ground {
  readonly subject: Executable;
  readonly reference: Executable | undefined;
  readonly program: VerifiedProgram;
  /** Where instructions begin in the subject's code; undefined when it has none and places are slots. */
  readonly offsets: Uint32Array | undefined;
  /** Whether some of its frames hold a count of tail calls. */
  readonly counts: boolean;
}

/** A backend's `disassemble`. */
type Disassemble = ((code: Uint8Array, address?: bigint) => Iterable<Line>) | undefined;

/** Machine instructions that one BPF instruction may take, callbacks excluded: more is a difference. */
const STEP_BUDGET = 1_000_000;
/** Opcode of the exit instruction. */
const EXIT = 0x95;
/** Kinds of instructions whose own traps are the host's: the end of a callback is where a helper goes on. */
const HOST_KINDS: ReadonlySet<string> = new Set(["callHelper", "callKfunc", "exit"]);

/** One run in both kernels, from its start to its end. */
export class Pair {
  readonly subject: ProgramRun;
  readonly reference: ProgramRun;
  boundaries = 0;
  undefinedUse: UndefinedUse | undefined;
  programFault: ProgramFault | undefined;
  readonly #lockstep: Kernels;
  readonly #tracked: TrackedExecution;
  readonly #stack: StackSpace;
  readonly #stackLow: number;
  readonly #stackHigh: number;
  readonly #written: { readonly reference: WriteJournal; readonly subject: WriteJournal };
  /** Registers of the reference at the last boundary. */
  readonly #before: bigint[] = new Array<bigint>(11).fill(0n);
  /** Slots that the reference ran since then, all of one program: a step into another one ends at its boundary. */
  readonly #path: number[] = [];
  /** That program. */
  #ground: Ground;
  /** r10 of a frame that the reference has entered and that was not looked at yet. */
  #entered: bigint | undefined;

  constructor(lockstep: Kernels, subject: LoadedProgram, reference: LoadedProgram, options: RunOptions) {
    this.#lockstep = lockstep;
    this.#ground = groundOf(subject.executable, reference.executable);
    this.subject = subject.start(options);
    const frameAddress = (): bigint => {
      this.#entered = this.subject.register(10);
      return this.#entered;
    };
    try {
      this.reference = reference.start({ ...options, frameAddress });
    } catch (error) {
      this.subject[Symbol.dispose]();
      throw error;
    }
    this.#tracked = this.reference.execution as TrackedExecution;
    const { memory } = lockstep.subject;
    this.#stack = lockstep.subject.stackOf(options.cpu ?? 0);
    this.#stackLow = Number(this.#stack.low - memory.base);
    this.#stackHigh = Number(this.#stack.high - memory.base);
    this.#written = { reference: new WriteJournal(), subject: new WriteJournal() };
    memory.journal = this.#written.subject;
    lockstep.reference.memory.journal = this.#written.reference;
  }

  /** Both to the end; what differed, where something did. */
  follow(budget: number): Finding | undefined {
    for (;;) {
      let subjectStop = this.subject.step(STEP_BUDGET);
      const referenceStop = this.#advance();
      if (subjectStop === undefined && this.#isShared(referenceStop)) subjectStop = this.subject.step(STEP_BUDGET);
      this.undefinedUse = this.#tracked.undefinedUse;
      if (this.undefinedUse !== undefined) return undefined;
      if (subjectStop !== undefined || referenceStop !== undefined)
        return this.#compareEnds(subjectStop, referenceStop);
      const ground = this.#nextGround();
      const finding =
        this.#comparePlaces(ground) ??
        this.#compareRegisters() ??
        this.#compareWrites() ??
        (ground.counts ? this.#compareTailCalls() : undefined);
      if (finding !== undefined) return finding;
      this.boundaries++;
      if (this.reference.executed >= budget) return undefined;
      for (let reg = 0; reg <= 10; reg++) this.#before[reg] = this.reference.register(reg);
      this.#path.length = 0;
      this.#ground = ground;
    }
  }

  explain(finding: Finding, disassemble: Disassemble): Difference {
    const { program, subject } = this.#ground;
    const { image, imageAddress = 0n } = subject;
    const { executable, at } = this.reference;
    const moment: Moment = {
      program: program.program,
      engines: [this.#lockstep.reference.engine.name, this.#lockstep.subject.engine.name],
      path: this.#path,
      before: this.#before,
      isFirst: this.boundaries === 0,
      reference: (reg) => this.reference.register(reg),
      subject: (reg) => this.subject.register(reg),
      definedMask: (reg) => this.#tracked.definedMask(reg),
      code: (slot) =>
        image === undefined || disassemble === undefined
          ? []
          : [
              ...disassemble(
                image.code.subarray(image.boundaries[slot], image.ends[slot]),
                imageAddress + BigInt(image.boundaries[slot]!),
              ),
            ],
    };
    return {
      at: this.#path.at(-1) ?? -1,
      next: { program: executable.program, at },
      ...finding,
      listing: findingText(finding, moment),
    };
  }

  /** The program whose instructions ran last. */
  get program(): VerifiedProgram {
    return this.#ground.program;
  }

  end(): void {
    this.subject[Symbol.dispose]();
    this.reference[Symbol.dispose]();
    this.#lockstep.subject.memory.journal = undefined;
    this.#lockstep.reference.memory.journal = undefined;
  }

  /**
   * Moves the reference over what the subject ran: one instruction, and those behind it that share their place in the code with it.
   * Only going forward inside a place stays in it; a jump back arrives there again.
   */
  #advance(): Stop | undefined {
    const { reference } = this;
    const ground = this.#ground;
    for (;;) {
      const from = reference.at;
      if (from >= 0) this.#path.push(from);
      const stop = reference.step(1);
      if (this.#entered !== undefined) this.#adoptFrame(this.#entered);
      if (stop !== undefined) return stop;
      const { at } = reference;
      if (from < 0 || at <= from || reference.executable !== ground.reference) return undefined;
      if (placeIn(ground, at) !== placeIn(ground, from)) return undefined;
    }
  }

  /** Whether the subject has only jumped from where it left a subprogram to the code of an exit that does the leaving. */
  #isShared(referenceStop: Stop | undefined): boolean {
    const ground = this.#ground;
    const { structure, program } = ground.program;
    const { insns } = program;
    const left = this.#path.at(-1);
    if (left === undefined || !canLeave(insns, left) || this.subject.executable !== ground.subject) return false;
    let { at } = this.subject;
    while (at + 1 < insns.length && placeIn(ground, at + 1) === placeIn(ground, at)) at++; // past instructions without code
    return (
      insns.code(at) === EXIT &&
      structure.subprogAt(left) === structure.subprogAt(at) &&
      (referenceStop !== undefined ||
        this.reference.executable !== ground.reference ||
        placeIn(ground, at) !== placeIn(ground, this.reference.at))
    );
  }

  /** The program that the subject stands in now. */
  #nextGround(): Ground {
    const { executable } = this.subject;
    if (executable === this.#ground.subject) return this.#ground;
    return groundOf(executable, this.#lockstep.counterparts.get(executable));
  }

  #comparePlaces(ground: Ground): Finding | undefined {
    const { subject, reference } = this;
    if (reference.executable !== ground.reference) {
      return { what: "program", reference: nameOf(reference.executable), subject: nameOf(subject.executable) };
    }
    if (placeIn(ground, reference.at) === placeIn(ground, subject.at)) return undefined;
    return {
      what: "place",
      reference: `at instruction ${reference.at}`,
      subject: `at instruction ${subject.at}`,
    };
  }

  /** What the frame at hand says, where it holds a count. */
  #compareTailCalls(): Finding | undefined {
    const expected = this.reference.tailCalls;
    let found: string | number;
    try {
      found = this.subject.tailCalls;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      found = `none: ${error.message}`;
    }
    if (found === -1 || found === expected) return undefined;
    return { what: "tail calls", reference: String(expected), subject: String(found) };
  }

  /** What is in a new frame is undefined, so it may as well be what the subject has there: copies of it compare equal then. */
  #adoptFrame(base: bigint): void {
    this.#entered = undefined;
    const frame = this.#tracked.frames().at(-1);
    if (frame?.base !== base || frame.depth === 0) return;
    const [low, high] = this.#extent(frame);
    this.#lockstep.reference.memory.bytes.set(this.#lockstep.subject.memory.bytes.subarray(low, high), low);
  }

  #extent({ base, depth }: LiveFrame): [number, number] {
    const high = Number(base - this.#lockstep.reference.memory.base);
    return [high - depth, high];
  }

  #compareRegisters(): Finding | undefined {
    for (let reg = 0; reg <= 10; reg++) {
      const [expected, found] = [this.reference.register(reg), this.subject.register(reg)];
      if (expected !== found && ((expected ^ found) & this.#tracked.definedMask(reg)) !== 0n) {
        return { what: `r${reg}`, reference: hex(expected), subject: hex(found) };
      }
    }
    return undefined;
  }

  #compareWrites(): Finding | undefined {
    const { reference, subject } = this.#written;
    const finding = this.#compareJournal(subject) ?? this.#compareJournal(reference);
    subject.clear();
    reference.clear();
    return finding;
  }

  #compareJournal(journal: WriteJournal): Finding | undefined {
    for (let i = 0; i < journal.length; i++) {
      const low = journal.offset(i);
      const high = low + journal.size(i);
      if (high <= this.#stackLow || low >= this.#stackHigh) {
        const finding = this.#compareBytes(low, high);
        if (finding !== undefined) return finding;
      } else {
        for (const frame of this.#tracked.frames()) {
          const [frameLow, frameHigh] = this.#extent(frame);
          const finding = this.#compareBytes(Math.max(low, frameLow), Math.min(high, frameHigh));
          if (finding !== undefined) return finding;
        }
      }
    }
    return undefined;
  }

  #compareBytes(low: number, high: number): Finding | undefined {
    const expected = this.#lockstep.reference.memory;
    const found = this.#lockstep.subject.memory;
    for (let at = low; at < high; at++) {
      if (expected.bytes[at] === found.bytes[at]) continue;
      const address = expected.base + BigInt(at);
      if (!this.#tracked.isDefined(address, 1)) continue;
      return {
        what: `the byte at ${hex(address)}, ${this.#placeText(address)}`,
        reference: `0x${expected.bytes[at]!.toString(16)}`,
        subject: `0x${found.bytes[at]!.toString(16)}`,
      };
    }
    return undefined;
  }

  /** What lies at an address, in the program's terms. */
  #placeText(address: bigint): string {
    const frame = this.#tracked
      .frames()
      .findLast(({ base, depth }) => address < base && address >= base - BigInt(depth));
    if (frame !== undefined) {
      const owner = frame === this.#tracked.frames().at(-1) ? "" : " of a caller";
      return `r10 - ${frame.base - address}${owner}`;
    }
    const { allocation } = this.#lockstep.reference.memory.allocationAt(address)!;
    return `${address - allocation.address} bytes into ${allocation.owner}`;
  }

  #compareEnds(subject: Stop | undefined, reference: Stop | undefined): Finding | undefined {
    const [expected, found] = [stopText(reference, this.reference.at), stopText(subject, this.subject.at)];
    const finding: Finding = { what: "stop", reference: expected, subject: found };
    if (reference?.kind === "trap" && !(subject?.kind === "trap" && this.#sameTrap(subject, reference)))
      return this.#judgeTrap(subject, reference, finding);
    if (subject?.kind !== reference?.kind || subject === undefined || reference === undefined) return finding;
    if (subject.kind === "returned" && reference.kind === "returned") {
      const differing = (subject.value ^ reference.value) & this.#tracked.definedMask(0);
      if (differing !== 0n)
        return { what: "r0 at the end", reference: hex(reference.value), subject: hex(subject.value) };
    }
    return this.#compareWrites() ?? this.#compareState();
  }

  /**
   * A trap of the reference alone is a difference, unless the program is to blame. Then the subject's own way on is as good as any:
   * behind an access or a call, with nothing else written; only where the host came in, it may have done and met more.
   */
  #judgeTrap(subject: Stop | undefined, reference: Trap, finding: Finding): Finding | undefined {
    const fault = programFaultOf(reference, this.#tracked.frames(), this.#stack);
    if (fault === undefined) return finding;
    const byHost = HOST_KINDS.has(kindOf(opAt(this.reference.executable.program.program.insns, fault.at)));
    if (subject !== undefined && !(byHost && subject.kind === "trap")) return finding;
    const wrong = byHost ? undefined : this.#compareWrites();
    if (wrong === undefined) this.programFault = fault;
    return wrong;
  }

  #sameTrap(subject: Trap, reference: Trap): boolean {
    const isAccess = (trap: Trap): boolean => trap.cause === "load" || trap.cause === "store";
    const isAtomic = kindOf(opAt(this.reference.executable.program.program.insns, Number(reference.pc))) === "atomic";
    // An atomic operation does both, and code of several instructions may do either first.
    if (subject.cause !== reference.cause && !(isAtomic && isAccess(subject) && isAccess(reference))) return false;
    if (subject.address !== reference.address) return false;
    const ground = this.#nextGround();
    if (ground.reference !== this.reference.executable) return false;
    const { image, imageAddress } = ground.subject;
    if (image === undefined || imageAddress === undefined) return subject.pc === reference.pc;
    const offset = Number(subject.pc - imageAddress);
    const slot = image.boundaries.findIndex((start, i) => start <= offset && offset < image.ends[i]!);
    return slot < 0 || placeIn(ground, slot) === placeIn(ground, Number(reference.pc));
  }

  /** What the host sees at the end. */
  #compareState(): Finding | undefined {
    const [kernel, other] = [this.#lockstep.subject, this.#lockstep.reference];
    const [result, expected] = [this.subject.result, this.reference.result];
    for (const part of ["dataOut", "contextOut"] as const) {
      if (!sameBytes(result[part], expected[part])) {
        return { what: part, reference: String(expected[part]), subject: String(result[part]) };
      }
    }
    const maps = kernel.maps as readonly LiveMap[];
    const others = other.maps as readonly LiveMap[];
    invariant(maps.length === others.length, "the same maps in both kernels");
    for (const [i, map] of maps.entries()) {
      const { digest, size } = others[i]!;
      if (map.digest !== digest)
        return { what: `keys of map '${map.name}'`, reference: `${size} keys`, subject: `${map.size} keys` };
    }
    if (kernel.clock.now !== other.clock.now)
      return { what: "time", reference: String(other.clock.now), subject: String(kernel.clock.now) };
    const [line, otherLine] = [kernel.trace.at(-1), other.trace.at(-1)];
    if (line !== otherLine || kernel.trace.length !== other.trace.length) {
      return {
        what: "trace",
        reference: `${other.trace.length} lines, … ${otherLine}`,
        subject: `${kernel.trace.length} lines, … ${line}`,
      };
    }
    return undefined;
  }
}

function groundOf(subject: Executable, reference: Executable | undefined): Ground {
  const { image } = subject;
  return {
    subject,
    reference,
    program: (reference ?? subject).program,
    offsets: image?.boundaries,
    counts: image?.subprogs.some(({ counter }) => counter !== undefined) ?? false,
  };
}

/** Where an instruction begins: instructions that share their code, or have none, have one place. */
function placeIn({ offsets }: Ground, slot: number): number {
  return offsets?.[slot] ?? slot;
}

function nameOf({ program }: Executable): string {
  return `in '${program.program.name}'`;
}

/** A packet load outside the packet leaves as an exit does. */
function canLeave(insns: Insns, at: number): boolean {
  return insns.code(at) === EXIT || kindOf(opAt(insns, at)) === "packetLoad";
}

function stopText(stop: Stop | undefined, at: number): string {
  if (stop === undefined) return `goes on at instruction ${at}`;
  if (stop.kind === "returned") return `returned ${hex(stop.value)}`;
  if (stop.kind === "budget") return `between two instructions after ${STEP_BUDGET} steps`;
  const where = stop.address === undefined ? "" : ` at ${hex(stop.address)}`;
  return `trap: ${stop.cause}${where}${stop.detail === undefined ? "" : `, ${stop.detail}`}`;
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

export function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a?.length === b?.length && (a === undefined || a.every((byte, i) => byte === b![i]));
}
