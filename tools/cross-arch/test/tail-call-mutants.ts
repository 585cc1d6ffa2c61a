// Backends with one thing wrong about tail calls: one part replaced, whatever the architecture.

import type { Mutant } from "@bpfkit/conformance";
import {
  type BackendParts,
  type CodeBuffer,
  type CompileOptions,
  type CounterEdge,
  defineBackend,
  type Image,
  type LowerContext,
} from "@bpfkit/core";

/** An instruction that does nothing. */
const NOPS: Readonly<Record<string, readonly number[]>> = {
  "x86-64": [0x90],
  arm64: [0x1f, 0x20, 0x03, 0xd5],
  riscv64: [0x01, 0x00],
};

/** Bytes between a place in a prologue and the next: those that push the frame register, or an instruction. */
const WORDS: Readonly<Record<string, number>> = { "x86-64": 1, arm64: 4, riscv64: 4 };

const EDGES: readonly CounterEdge[] = ["entry", "call", "return", "host-call", "host-return", "tail-call", "exit"];

/** Mutants of a backend under a layout; those that come to the same code as the backend are left out by {@link isOther}. */
export function tailCallMutants<R extends string, A extends CodeBuffer>(parts: BackendParts<R, A>): readonly Mutant[] {
  const word = WORDS[parts.arch]!;
  return [
    { name: "counts before it looks at the slot", backend: defineBackend(countingEarly(parts)) },
    { name: "does not store the count", backend: defineBackend(withoutCount(parts)) },
    ...[6, 7, 8, 9].map((register) => ({
      name: `does not give r${register} back when it leaves for another program`,
      backend: defineBackend(leaving(parts, (saved) => saved.filter((one) => one !== register))),
    })),
    {
      name: "gives saved registers back in the wrong order when it leaves for another program",
      backend: defineBackend(leaving(parts, (saved) => [...saved].reverse())),
    },
    ...EDGES.map((edge) => ({ name: `has no code for the counter: ${edge}`, backend: withoutEdge(parts, edge) })),
    { name: "lands a word too far", backend: defineBackend(landing(parts, word)) },
    { name: "lands a word too early", backend: defineBackend(landing(parts, -word)) },
  ];
}

/** Whether a mutant makes other code of a program than its backend. */
export function sameCode(a: Image, b: Image): boolean {
  return a.code.length === b.code.length && a.code.every((byte, i) => byte === b.code[i]) && a.landing === b.landing;
}

/** A stretch of code that has just been made. */
interface Stretch {
  readonly start: number;
  readonly end: number;
}

/** Lowers a tail call, and tells of the two stretches that see to the count: the check, and what counts. */
function tailCallWith<R extends string, A extends CodeBuffer>(
  parts: BackendParts<R, A>,
  change: (a: A, check: Stretch, count: Stretch) => void,
): BackendParts<R, A> {
  return {
    ...parts,
    lowering: {
      ...parts.lowering,
      tailCall: (a, insns, at, context) => {
        const first = a.counterEdge.length;
        parts.lowering.tailCall(a, insns, at, context);
        const stretches = a.counterEdge.slice(first).map((_, i): Stretch => {
          const [start, end] = [a.counterStart[first + i]!, a.counterEnd[first + i]!];
          return { start: a.labelOffset[start]!, end: a.labelOffset[end]! };
        });
        if (stretches.length >= 2) change(a, stretches[0]!, stretches[1]!);
      },
    },
  };
}

/** Moves what counts ahead of what looks at the slot, or of the site that stands for it. */
function countingEarly<R extends string, A extends CodeBuffer>(parts: BackendParts<R, A>): BackendParts<R, A> {
  return tailCallWith(parts, (a, check, count) => {
    const { bytes } = a;
    const size = count.end - count.start;
    const counting = bytes.slice(count.start, count.end);
    bytes.copyWithin(check.end + size, check.end, count.start);
    bytes.set(counting, check.end);
    const move = (column: Int32Array, length: number, from: number): void => {
      for (let i = 0; i < length; i++) if (column[i]! >= from && column[i]! <= count.start) column[i]! += size;
    };
    // The check's own branch lies at its end, and stays there.
    const checked = a.branchOffset.subarray(0, a.branchCount).indexOf(check.end);
    move(a.branchOffset, a.branchCount, check.end);
    if (checked >= 0) a.branchOffset[checked] = check.end;
    for (const start of a.siteStart) {
      const offset = a.labelOffset[start]!;
      if (offset >= check.end && offset <= count.start) a.labelOffset[start] = offset + size;
    }
  });
}

function withoutCount<R extends string, A extends CodeBuffer>(parts: BackendParts<R, A>): BackendParts<R, A> {
  return tailCallWith(parts, (a, _check, count) => erase(parts.arch, a.bytes, count));
}

/** Nothing in place of code that sees to the counter on an edge; branches stay, but go on where they are. */
function withoutEdge<R extends string, A extends CodeBuffer>(
  parts: BackendParts<R, A>,
  edge: CounterEdge,
): Mutant["backend"] {
  const backend = defineBackend(parts);
  return {
    ...backend,
    compile(verified, options?: CompileOptions) {
      const image = backend.compile(verified, options);
      const code = image.code.slice();
      for (const stretch of image.counterCode) if (stretch.edge === edge) erase(parts.arch, code, stretch);
      return { ...image, code };
    },
  };
}

function erase(arch: string, code: Uint8Array, { start, end }: Stretch): void {
  const nop = NOPS[arch]!;
  for (let at = start; at < end; at++) code[at] = nop[(at - start) % nop.length]!;
}

/** Another list of saved registers for what leaves a frame in a tail call. */
function leaving<R extends string, A extends CodeBuffer>(
  parts: BackendParts<R, A>,
  change: (saved: readonly number[]) => readonly number[],
): BackendParts<R, A> {
  const changed = (context: LowerContext<A>): LowerContext<A> =>
    new Proxy(context, {
      get: (target, key) => {
        if (key === "frame") return { ...target.frame, saved: change(target.frame.saved) };
        const member: unknown = Reflect.get(target, key);
        return typeof member === "function" ? member.bind(target) : member;
      },
    });
  return {
    ...parts,
    lowering: {
      ...parts.lowering,
      tailCall: (a, insns, at, context) => parts.lowering.tailCall(a, insns, at, changed(context)),
    },
  };
}

/** Tail calls enter programs so many bytes behind where they should, and compiling does not notice. */
function landing<R extends string, A extends CodeBuffer>(parts: BackendParts<R, A>, bytes: number): BackendParts<R, A> {
  return {
    ...parts,
    landing: (layout, features) => parts.landing(layout, features) + bytes,
    prologue: (a, context) => {
      parts.prologue(a, context);
      if (context.subprog === 0) a.labelOffset[a.landing]! += bytes;
    },
  };
}
