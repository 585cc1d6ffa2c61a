// Branch relaxation: gives every recorded branch the shortest encoding that reaches, and puts code and branches together.
import { BpfError, invariant } from "../errors.ts";
import type { CodeBuffer, Label } from "./code-buffer.ts";

/** One way to encode a branch. Limits are inclusive and of the displacement in bytes. */
export interface BranchEncoding {
  readonly size: number;
  readonly min: number;
  readonly max: number;
}

/** A sort of branch: its encodings, shortest first and each reaching at least as far as the one before. */
export interface BranchForm {
  readonly name: string;
  /** An encoding of size 0 is a branch to what follows it, left out. */
  readonly encodings: readonly BranchEncoding[];
  /** Where displacements count from. */
  readonly from: "start" | "end";
}

/** Writes one branch; `encoding` is an index in its form's list. */
export type BranchWriter = (
  bytes: Uint8Array,
  at: number,
  form: number,
  operand: number,
  encoding: number,
  displacement: number,
) => void;

/** Branch forms in columns: entry `form * stride + encoding`. */
export interface BranchForms {
  readonly names: readonly string[];
  readonly stride: number;
  readonly size: Int32Array;
  readonly min: Int32Array;
  readonly max: Int32Array;
  /** Per form: encodings, and 1 where displacements count from the end. */
  readonly count: Uint8Array;
  readonly fromEnd: Uint8Array;
}

/** What relaxation decided. */
export interface Relaxed {
  /** Per branch: its encoding. */
  readonly encoding: Uint8Array;
  /** Entry `k`: bytes of the first `k` branches together. */
  readonly bytesBefore: Int32Array;
  /** How often a branch grew, and how often a neighbour was looked at for it: the whole cost beyond one walk over the branches. */
  readonly grown: number;
  readonly looks: number;
}

/** Puts forms in columns, once per backend. */
export function branchForms(forms: readonly BranchForm[]): BranchForms {
  const stride = Math.max(1, ...forms.map(({ encodings }) => encodings.length));
  const column = (of: (encoding: BranchEncoding) => number): Int32Array => {
    const values = new Int32Array(forms.length * stride);
    forms.forEach(({ encodings }, form) => {
      encodings.forEach((encoding, i) => {
        values[form * stride + i] = of(encoding);
      });
    });
    return values;
  };
  return {
    names: forms.map(({ name }) => name),
    stride,
    size: column(({ size }) => size),
    min: column(({ min }) => min),
    max: column(({ max }) => max),
    count: Uint8Array.from(forms, ({ encodings }) => encodings.length),
    fromEnd: Uint8Array.from(forms, ({ from }) => (from === "end" ? 1 : 0)),
  };
}

/** So many growths that measuring everything anew is cheaper than telling each to its neighbours. */
const MANY = 64;

/**
 * Per form, its first encoding that reaches from anywhere in the code to anywhere else; and the most bytes that a branch spans which
 * has an encoding before that.
 */
function limitsOf(
  { length, branchCount, branchForm }: CodeBuffer,
  forms: BranchForms,
): { last: Uint8Array; window: number } {
  const { stride, size, min, max, count } = forms;
  let longest = length;
  for (let i = 0; i < branchCount; i++) longest += size[branchForm[i]! * stride + count[branchForm[i]!]! - 1]!;
  let window = 0;
  const last = Uint8Array.from(count, (encodings, form) => {
    let at = 0;
    for (; at < encodings - 1; at++) {
      const row = form * stride + at;
      if (size[row]! > 0 && min[row]! <= -longest && max[row]! >= longest) break;
      window = Math.max(window, -min[row]!, max[row]!);
    }
    return at;
  });
  return { last, window };
}

/**
 * Chooses encodings. All branches start with their shortest one; whenever one does not reach it takes the next longer one, and its
 * growth is told to the branches that span it.
 *
 * - It ends: a branch never shrinks, so there are at most branches × (encodings − 1) growths, each told once.
 * - It is minimal: distances only ever rise, so a branch that does not reach now would not reach in any layout whose branches are
 *   at least as long as the present ones; by induction every valid layout is at least as long in every branch.
 * - It is never out of range: a branch is looked at whenever its distance changes, and `emitCode` checks what it writes.
 *
 * Cost: many growths at once are told by measuring everything anew, O(branches); a few each to their neighbours, the branches within
 * the longest reach of an encoding that can still grow: some dozens where that is 128 bytes.
 */
export function relax(buffer: CodeBuffer, forms: BranchForms): Relaxed {
  const { branchCount: count, branchOffset, branchForm, branchTarget, labelBranch, labelOffset } = buffer;
  const { stride, size, min, max, fromEnd } = forms;
  const encoding = new Uint8Array(count);
  const bytesBefore = new Int32Array(count + 1);
  const { last, window } = limitsOf(buffer, forms);

  // Bytes between a branch and its target, its own excluded; `target` is the index of the first branch at or behind the target.
  const gap = new Int32Array(count);
  const target = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const label = branchTarget[i]!;
    if (labelOffset[label]! < 0) invariant(false, `a place for label ${label}`);
    target[i] = labelBranch[label]!;
  }

  // What a branch must lie behind, or before, to span another one while it can still grow; out of the way once it cannot.
  const backTo = new Int32Array(count).fill(count);
  const onTo = new Int32Array(count).fill(-1);
  for (let i = 0; i < count; i++) {
    if (last[branchForm[i]!] === 0) continue;
    if (target[i]! > i) onTo[i] = target[i]!;
    else backTo[i] = target[i]!;
  }
  const pending = new Int32Array(2 * count * (stride - 1));
  let pendingCount = 0;
  let grown = 0;
  let looks = 0;

  function refit(i: number): void {
    const form = branchForm[i]!;
    const before = encoding[i]!;
    let at = before;
    while (at < last[form]! && !reaches(form * stride + at, i)) at++;
    if (at === before) return;
    encoding[i] = at;
    grown++;
    if (at === last[form]) {
      backTo[i] = count;
      onTo[i] = -1;
    }
    pending[pendingCount++] = i;
    pending[pendingCount++] = size[form * stride + at]! - size[form * stride + before]!;
  }

  function reaches(row: number, i: number): boolean {
    const bytes = size[row]!;
    const end = fromEnd[branchForm[i]!]!;
    if (target[i]! > i) return gap[i]! + (end ? 0 : bytes) <= max[row]!;
    // A branch backwards is never left out: a branch to itself has nothing in between, and loops.
    return bytes > 0 && gap[i]! + (end ? bytes : 0) <= -min[row]!;
  }

  /** Measures and refits all branches. */
  function sweep(): void {
    pendingCount = 0;
    place();
    for (let i = 0; i < count; i++) {
      const behind = target[i]!;
      const raw = labelOffset[branchTarget[i]!]! - branchOffset[i]!;
      gap[i] =
        behind > i ? raw + bytesBefore[behind]! - bytesBefore[i + 1]! : -raw + bytesBefore[i]! - bytesBefore[behind]!;
    }
    for (let i = 0; i < count; i++) refit(i);
    looks += count;
  }

  function place(): void {
    for (let i = 0; i < count; i++)
      bytesBefore[i + 1] = bytesBefore[i]! + size[branchForm[i]! * stride + encoding[i]!]!;
  }

  sweep();
  while (pendingCount > 0) {
    if (pendingCount > 2 * MANY) {
      sweep();
      continue;
    }
    const by = pending[--pendingCount]!;
    const i = pending[--pendingCount]!;
    const offset = branchOffset[i]!;
    const behind = i + 1;
    let j = behind;
    for (const end = offset + window; j < count && branchOffset[j]! <= end; j++) {
      if (backTo[j]! > i) continue;
      gap[j] = gap[j]! + by;
      refit(j);
    }
    looks += j - behind;
    j = i - 1;
    for (const end = offset - window; j >= 0 && branchOffset[j]! >= end; j--) {
      if (onTo[j]! <= i) continue;
      gap[j] = gap[j]! + by;
      refit(j);
    }
    looks += i - 1 - j;
  }
  place();
  return { encoding, bytesBefore, grown, looks };
}

/** Byte offset of a bound label. */
export function positionOf(buffer: CodeBuffer, relaxed: Relaxed, label: Label): number {
  return buffer.labelOffset[label]! + relaxed.bytesBefore[buffer.labelBranch[label]!]!;
}

/** Code and branches in one array. @throws {BpfError} `out-of-range` when a target is too far for every encoding */
export function emitCode(buffer: CodeBuffer, relaxed: Relaxed, forms: BranchForms, write: BranchWriter): Uint8Array {
  const {
    bytes: raw,
    branchCount,
    branchOffset,
    branchForm,
    branchOperand,
    branchTarget,
    labelOffset,
    labelBranch,
  } = buffer;
  const { encoding, bytesBefore } = relaxed;
  const { stride, size, min, max, fromEnd, names } = forms;
  const code = new Uint8Array(buffer.length + bytesBefore[branchCount]!);
  let from = 0;
  let at = 0;
  for (let i = 0; i < branchCount; i++) {
    const to = branchOffset[i]!;
    if (to - from > 64) {
      code.set(raw.subarray(from, to), at);
      at += to - from;
      from = to;
    } else while (from < to) code[at++] = raw[from++]!;
    const form = branchForm[i]!;
    const row = form * stride + encoding[i]!;
    const bytes = size[row]!;
    if (bytes === 0) continue;
    const label = branchTarget[i]!;
    const displacement = labelOffset[label]! + bytesBefore[labelBranch[label]!]! - at - (fromEnd[form]! ? bytes : 0);
    if (displacement < min[row]! || displacement > max[row]!) {
      throw new BpfError("out-of-range", `${names[form]!} of ${displacement} bytes`, {
        offset: at,
        expected: `${min[row]!} to ${max[row]!}`,
      });
    }
    write(code, at, form, branchOperand[i]!, encoding[i]!, displacement);
    at += bytes;
  }
  code.set(raw.subarray(from, buffer.length), at);
  return code;
}
