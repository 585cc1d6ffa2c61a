// Where backends write machine code: a growing byte array beside columns of labels, branches, relocations and patch sites.
import type { Symbol as SymbolRef } from "../machine/engine.ts";
import type { PatchSite } from "./image.ts";
import type { FarJump } from "./poke.ts";
import type { CounterEdge } from "./tail-call-schemes.ts";

/** What an encoder writes into: `ensure` makes room for `n` more bytes, then it fills `bytes` from `length` and raises `length`. */
export interface CodeSink {
  bytes: Uint8Array;
  length: number;
  ensure(n: number): void;
}

/** A place in the code, known once it is bound; the first labels of a program stand for its BPF slots. */
export type Label = number;

/**
 * The code of one image while it is being made. A branch takes no bytes here: it is a row of (place, form, operand, label), and
 * relaxation gives it a size. So a place is two numbers: bytes written before it, and branches recorded before it.
 *
 * One buffer serves many compilations; `reset` keeps its arrays.
 */
export class CodeBuffer implements CodeSink {
  bytes: Uint8Array = new Uint8Array(1 << 12);
  /** Over `bytes`, for encoders that write whole words. */
  view: DataView = new DataView(this.bytes.buffer);
  length = 0;

  /** Per label: bytes and branches before it; -1 while unbound. */
  labelOffset: Int32Array = new Int32Array(1 << 10);
  labelBranch: Int32Array = new Int32Array(1 << 10);
  labelCount = 0;

  /** Per branch: bytes before it, form (index in the backend's list), operand (condition, register: the backend's business), target. */
  branchOffset: Int32Array = new Int32Array(1 << 8);
  branchForm: Uint8Array = new Uint8Array(1 << 8);
  branchOperand: Int32Array = new Int32Array(1 << 8);
  branchTarget: Int32Array = new Int32Array(1 << 8);
  branchCount = 0;

  /** Per relocation: place, kind, symbol. */
  readonly relocationOffset: number[] = [];
  readonly relocationBranch: number[] = [];
  readonly relocationKind: string[] = [];
  readonly relocationSymbol: SymbolRef[] = [];

  /** Per patch site: where it starts and its far jump (labels), and the rest of it. */
  readonly siteStart: Label[] = [];
  readonly siteFar: (FarJump<Label> | undefined)[] = [];
  readonly sites: Omit<PatchSite, "offset" | "far" | "end">[] = [];
  /** Per patch site: where its block ends, where it has one. */
  readonly siteEnd: (Label | undefined)[] = [];

  /** Per stretch of code that is there for the counter of tail calls: where it begins and ends, and the edge it serves. */
  readonly counterStart: Label[] = [];
  readonly counterEnd: Label[] = [];
  readonly counterEdge: CounterEdge[] = [];

  /** Where tail calls enter the main program; -1 until {@link land}. */
  landing: Label = -1;

  /** Empties the buffer and makes labels 0 to `labels` - 1, unbound. */
  reset(labels: number): void {
    this.length = 0;
    this.branchCount = 0;
    this.labelCount = labels;
    if (labels > this.labelOffset.length) {
      this.labelOffset = new Int32Array(2 * labels);
      this.labelBranch = new Int32Array(2 * labels);
    }
    this.labelOffset.fill(-1, 0, labels);
    this.relocationOffset.length = 0;
    this.relocationBranch.length = 0;
    this.relocationKind.length = 0;
    this.relocationSymbol.length = 0;
    this.siteStart.length = 0;
    this.siteFar.length = 0;
    this.sites.length = 0;
    this.siteEnd.length = 0;
    this.counterStart.length = 0;
    this.counterEnd.length = 0;
    this.counterEdge.length = 0;
    this.landing = -1;
  }

  ensure(n: number): void {
    if (this.length + n <= this.bytes.length) return;
    this.bytes = grown(this.bytes, this.length + n);
    this.view = new DataView(this.bytes.buffer);
  }

  /** A label to be bound later. */
  label(): Label {
    if (this.labelCount === this.labelOffset.length) {
      this.labelOffset = grown(this.labelOffset, this.labelCount + 1);
      this.labelBranch = grown(this.labelBranch, this.labelCount + 1);
    }
    this.labelOffset[this.labelCount] = -1;
    return this.labelCount++;
  }

  /** Puts a label here. */
  bind(label: Label): void {
    this.labelOffset[label] = this.length;
    this.labelBranch[label] = this.branchCount;
  }

  /** Puts a label where another one is. */
  bindWith(label: Label, other: Label): void {
    this.labelOffset[label] = this.labelOffset[other]!;
    this.labelBranch[label] = this.labelBranch[other]!;
  }

  /** A label that is already here. */
  here(): Label {
    const label = this.label();
    this.bind(label);
    return label;
  }

  isBound(label: Label): boolean {
    return this.labelOffset[label]! >= 0;
  }

  /** Records a branch to `target` that lies here; relaxation chooses its encoding among those of `form`. */
  branch(form: number, operand: number, target: Label): void {
    const at = this.branchCount;
    if (at === this.branchOffset.length) {
      this.branchOffset = grown(this.branchOffset, at + 1);
      this.branchForm = grown(this.branchForm, at + 1);
      this.branchOperand = grown(this.branchOperand, at + 1);
      this.branchTarget = grown(this.branchTarget, at + 1);
    }
    this.branchOffset[at] = this.length;
    this.branchForm[at] = form;
    this.branchOperand[at] = operand;
    this.branchTarget[at] = target;
    this.branchCount = at + 1;
  }

  /** Records that the field which begins `back` bytes before the end depends on where `symbol` lies; `kind` is the backend's word. */
  relocate(kind: string, symbol: SymbolRef, back: number): void {
    this.relocationOffset.push(this.length - back);
    this.relocationBranch.push(this.branchCount);
    this.relocationKind.push(kind);
    this.relocationSymbol.push(symbol);
  }

  /** Records that the next `size` bytes may be rewritten while the code is live. Gives the site's index. */
  site(kind: PatchSite["kind"], size: number, subprog: number, insn?: number): number {
    this.siteStart.push(this.here());
    this.siteFar.push(undefined);
    return this.sites.push({ kind, size, subprog, ...(insn === undefined ? {} : { insn }) }) - 1;
  }

  /** The same for the beginning of a block, which ends at a label. */
  block(size: number, end: Label): void {
    this.siteEnd[this.site("block", size, 0)] = end;
  }

  /** Records that the code since `code` jumps to the address in the next 8 bytes, for a site to reach what is far. */
  farJump(site: number, code: Label): void {
    this.siteFar[site] = { code, slot: this.here() };
  }

  /** Records that everything since `from` is there for the counter of tail calls; nothing where that is no code. */
  forCounter(edge: CounterEdge, from: Label): void {
    const isEmpty = this.labelOffset[from] === this.length && this.labelBranch[from] === this.branchCount;
    if (isEmpty) return;
    this.counterStart.push(from);
    this.counterEnd.push(this.here());
    this.counterEdge.push(edge);
  }

  /** Tail calls enter the main program here. */
  land(): void {
    this.landing = this.here();
  }
}

function grown<T extends Uint8Array | Int32Array>(column: T, need: number): T {
  const size = Math.max(need, 2 * column.length);
  const larger = column instanceof Uint8Array ? new Uint8Array(size) : new Int32Array(size);
  larger.set(column);
  return larger as T;
}
