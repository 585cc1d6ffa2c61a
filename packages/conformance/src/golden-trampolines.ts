// The trampolines whose listings every backend keeps as golden files, by file name: the same questions asked of each architecture.
import {
  assemble,
  type Backend,
  type CompileOptions,
  formatFuncModel,
  formatListing,
  type LinkKind,
  notesOf,
  parseFuncModel,
  type TrampolineSpec,
  trust,
} from "@bpfkit/core";

/** A trampoline to emit and list. */
export interface GoldenTrampoline {
  /** What it shows. */
  readonly title: string;
  /** As `parseFuncModel` reads it. */
  readonly model: string;
  readonly links: readonly LinkKind[];
  /** The first link's cookie depends on the function. */
  readonly findsCookie?: boolean;
  readonly rest?: Partial<Omit<TrampolineSpec, "model" | "links">>;
}

const SIX = "int (u64, void *, short, int, void *, u64)";
const TWELVE = "int (u64, u32, void *, int, short, u64, char, u64, u32, void *, int, u64)";

/** By file name, without `trampoline-` and `.lst`. */
export const GOLDEN_TRAMPOLINES: Readonly<Record<string, GoldenTrampoline>> = {
  fentry: { title: "a program before the function", model: "int (int, u64)", links: ["fentry"] },
  fexit: { title: "a program behind the function", model: "int (int, u64)", links: ["fexit"] },
  "fmod-ret": {
    title: "two programs that can take the function's place",
    model: "int (int)",
    links: ["fmod_ret", "fmod_ret"],
  },
  session: { title: "two sessions", model: "int (int)", links: ["fsession", "fsession"] },
  every: {
    title: "one link of each kind, and the function's address",
    model: "int (int, u64)",
    links: ["fentry", "fmod_ret", "fexit", "fsession"],
    rest: { funcIp: true },
  },
  six: { title: "six arguments, fexit", model: SIX, links: ["fexit"] },
  twelve: { title: "twelve arguments, fexit", model: TWELVE, links: ["fexit"] },
  "twelve-fentry": { title: "twelve arguments, fentry", model: TWELVE, links: ["fentry"] },
  struct: {
    title: "structs by value, of which one finds a single register left, fexit",
    model: "long (struct{u64,u32}, u32, u64, u64, struct 16, struct 16, u32)",
    links: ["fexit"],
  },
  "from-stack": {
    title: "fentry and fexit, the original by the return address on the stack",
    model: "int (int, u64)",
    links: ["fentry", "fexit"],
    rest: { original: "from-stack", funcIp: true },
  },
  cookies: {
    title: "fexit with a cookie for each function that shares it",
    model: "int (int, u64)",
    links: ["fexit", "fentry"],
    findsCookie: true,
    rest: { original: "from-stack" },
  },
  "from-row": {
    title: "programs by the row of the function that it was called for",
    model: "int (int, u64)",
    links: [],
    rest: { original: "from-stack", fromRow: true },
  },
  "tail-calls": {
    title: "around a program that can make tail calls, fexit",
    model: "int (void *)",
    links: ["fexit"],
    rest: { tailCalls: true },
  },
  indirect: {
    title: "called through a pointer in a table",
    model: "int (void *, u32)",
    links: ["fentry"],
    rest: { indirect: true },
  },
};

/** The text of a golden file: the frame, then the code. */
export function trampolineListing(backend: Backend, name: string, options: CompileOptions = {}): string {
  const { title, model: text, links, findsCookie = false, rest } = GOLDEN_TRAMPOLINES[name]!;
  const model = parseFuncModel(text);
  const spec: TrampolineSpec = {
    original: "known",
    ...rest,
    model,
    links: links.map((kind, i) => ({ kind, findsCookie: findsCookie && i === 0 })),
  };
  const image = backend.emitTrampoline(spec, options);
  const frame = image.subprogs[0]!.frame.map(
    ({ name: slot, offset, size }) => `#   ${String(offset).padStart(5)} ${String(size).padStart(3)}  ${slot}`,
  );
  const { before, ...notes } = notesOf(image);
  const ends = new Set(image.patchSites.map(({ end }) => end));
  const lines = formatListing(backend.disassemble(image.code), {
    ...notes,
    before: (offset) => [...(ends.has(offset) ? [".end block"] : []), ...(before?.(offset) ?? [])],
  });
  return [
    `# ${backend.arch} · trampoline · ${title} · layout ${image.layout}`,
    `# ${formatFuncModel(model)}, ${links.join(", ")}: ${image.code.length} bytes; frame:`,
    ...frame,
    lines,
    "",
  ].join("\n");
}

const ENTRY = 0x10_0000n;
const REPLACEMENT = 0x10_4000n;

/** The text of the golden file of a program in whose place another one runs: its entry has become a jump there. */
export function replacedEntryListing(backend: Backend, options: CompileOptions = {}): string {
  const image = backend.compile(trust(assemble("r0 = 0\nexit")), options);
  const { offset, size } = image.patchSites.find(({ kind, subprog }) => kind === "entry" && subprog === 0)!;
  const site = { address: ENTRY + BigInt(offset), size };
  const code = image.code.slice();
  for (const phase of backend.poke(site, { kind: "nop" }, { kind: "jump", target: REPLACEMENT }).phases) {
    if (phase.kind === "write") code.set(phase.bytes, Number(phase.address - ENTRY));
  }
  const lines = formatListing(backend.disassemble(code, ENTRY), notesOf(image));
  return `# ${backend.arch} · the entry at 0x${ENTRY.toString(16)} leads to 0x${REPLACEMENT.toString(16)} · layout ${image.layout}\n${lines}\n`;
}
