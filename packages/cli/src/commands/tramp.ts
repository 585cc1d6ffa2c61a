// `bpfkit tramp`: the code that runs linked programs around a function, its frame, and where it finds the arguments.
import {
  type ArgPlaces,
  type Backend,
  formatFuncModel,
  type Image,
  type LinkKind,
  notesOf,
  parseFuncModel,
  type TrampolinePlan,
  type TrampolineSpec,
} from "@bpfkit/core";
import { type Arguments, type Command, UsageError } from "../arguments.ts";
import { BACKENDS } from "../backends.ts";
import { frameSvg, frameText } from "../frame-picture.ts";
import { EXIT, grouped, hexBytes, printJson, type Style, table } from "../output.ts";

const ARCHES: readonly string[] = BACKENDS.map(({ arch }) => arch);

/** Links by the option that asks for them, in the order in which they are attached. */
const LINKS: Readonly<Record<string, LinkKind>> = {
  fentry: "fentry",
  "fmod-ret": "fmod_ret",
  fexit: "fexit",
  session: "fsession",
};
/** More than any trampoline can have. */
const MANY = 100;

/** Prints trampolines. */
export const tramp: Command = {
  name: "tramp",
  operands: [],
  summary: "print the trampoline around a function: its code, its frame, where its arguments lie",
  options: {
    arch: { value: "ARCH", help: `${ARCHES.join(", ")}; the first unless told` },
    model: { value: "MODEL", help: "the function in C's words, without names: 'int (u64, struct{u64,u32}, char *)'" },
    fentry: { value: "N", help: "programs before the function; one if no other link is asked for" },
    "fmod-ret": { value: "N", help: "programs that can take its place" },
    fexit: { value: "N", help: "programs behind it" },
    session: { value: "N", help: "programs before and behind it, with a word of their own in between" },
    "from-stack": { help: "find the function by the return address that its entry's call left" },
    "func-ip": { help: "a program asks for the function's address" },
    "tail-calls": { help: "the function is a program that can make tail calls" },
    indirect: { help: "called through a pointer in a table, as for struct_ops" },
    svg: { help: "the frame alone, as a drawing" },
  },
  examples: [
    "--model 'int (u64, u32)' --fexit 1",
    "--arch arm64 --model 'int (u64, struct{u64,u32})' --fentry 2 --fmod-ret 1 --func-ip",
    "--model 'void (char *)' --session 1 --svg > frame.svg",
  ],
  run({ io, style, arguments: args }) {
    const backend = BACKENDS.find(({ arch }) => arch === args.choice("arch", ARCHES, ARCHES[0]!))!;
    const spec = specOf(args);
    const made = make(spec, backend);
    if (args.has("svg")) io.out(toSvg(made));
    else if (args.has("json") || args.has("pretty")) printJson(io, toJson(made), args.has("pretty"));
    else io.out(toText(made, style));
    return EXIT.OK;
  },
};

/** @throws {UsageError} without a model; {BpfError} `syntax` for one that cannot be read */
function specOf(args: Arguments): TrampolineSpec {
  const model = args.text("model");
  if (model === undefined) throw new UsageError("tramp needs --model MODEL, such as 'int (u64, char *)'");
  const asked = Object.entries(LINKS).flatMap(([option, kind]) =>
    Array.from({ length: args.number(option, 0, { max: MANY }) }, () => ({ kind })),
  );
  const isTold = Object.keys(LINKS).some((option) => args.has(option));
  return {
    model: parseFuncModel(model),
    links: isTold ? asked : [{ kind: "fentry" }],
    original: args.has("from-stack") ? "from-stack" : "known",
    funcIp: args.has("func-ip"),
    tailCalls: args.has("tail-calls"),
    indirect: args.has("indirect"),
  };
}

/** What an instruction belongs to, from `start` to below `end`, in bytes. */
interface Stretch {
  readonly role: string;
  readonly start: number;
  readonly end: number;
}

interface Made {
  readonly spec: TrampolineSpec;
  readonly places: ArgPlaces;
  /** How the function's entry leads there. */
  readonly entered: string;
  readonly image: Image;
  readonly stretches: readonly Stretch[];
  readonly code: readonly Code[];
}

interface Code {
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly text: string;
  readonly note: string | undefined;
}

function make(spec: TrampolineSpec, backend: Backend): Made {
  const places = backend.classifyArgs(spec.model);
  const image = backend.emitTrampoline(spec);
  const { after } = notesOf(image);
  const code = Array.from(backend.disassemble(image.code), ({ offset, bytes, text }) => ({
    offset,
    bytes,
    text,
    note: after?.(offset, offset + bytes.length),
  }));
  const plan = backend.planTrampoline(spec);
  const entered = spec.indirect === true ? "through a pointer" : `by a ${plan.entered}`;
  return { spec, places, entered, image, stretches: stretchesOf(plan, image), code };
}

/** Blocks of programs and what lies between them. */
function stretchesOf(plan: TrampolinePlan, image: Image): Stretch[] {
  const { fentry, fmodRet, fexit, callsOriginal } = plan;
  const runs = [...fentry, ...fmodRet, ...fexit];
  const blocks = image.patchSites.filter(({ kind }) => kind === "block");
  const original = callsOriginal ? fentry.length + fmodRet.length : -1;
  const stretches: Stretch[] = [];
  let start = 0;
  for (let i = 0; i <= blocks.length; i++) {
    const block = blocks[i];
    const before = runs[i - 1];
    const roles = [
      ...(i === 0 ? ["frame and arguments"] : []),
      ...(before?.kind === "fmod_ret" ? [`the result of program ${before.link} decides`] : []),
      ...(runs[i]?.kind === "fmod_ret" && before?.kind !== "fmod_ret" ? ["a result of 0"] : []),
      ...(i === original ? ["the original"] : []),
      ...(runs[i]?.session === undefined ? [] : [`the word of program ${runs[i]!.link}'s session`]),
      ...(block === undefined ? ["the way out"] : []),
    ];
    const end = block?.offset ?? image.code.length;
    if (end > start) stretches.push({ role: roles.join(", then "), start, end });
    if (block === undefined) break;
    const { link, kind } = runs[i]!;
    stretches.push({ role: `program ${link}, ${kind}`, start: block.offset, end: block.end! });
    start = block.end!;
  }
  return stretches;
}

const titleOf = ({ spec: { model, links } }: Made): string =>
  `${formatFuncModel(model)}, ${counted(links.map(({ kind }) => kind))}`;

/** `fentry, 2 × fexit` */
function counted(kinds: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const kind of kinds) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  if (counts.size === 0) return "no link";
  return Array.from(counts, ([kind, count]) => (count === 1 ? kind : `${count} × ${kind}`)).join(", ");
}

function toText(made: Made, style: Style): string {
  const { places, entered, image, stretches, code } = made;
  const head = `${titleOf(made)}, for ${image.arch}: ${grouped(image.code.length)} bytes, entered ${entered}`;
  const words = places.slots.map(({ in: where, index, clear }, i) => [
    i,
    where === "register" ? `register ${index}` : `stack, word ${index}`,
    clear ? "upper half cleared" : "",
  ]);
  const width = 3 * Math.max(0, ...code.map(({ bytes }) => bytes.length)) - 1;
  const lines = stretches.flatMap(({ role, start, end }) => [
    style.dim(`; ${role}: ${end - start} bytes\n`),
    ...code
      .filter(({ offset }) => offset >= start && offset < end)
      .map(({ offset, bytes, text, note }) => {
        const raw = hexBytes(bytes).padEnd(width);
        return `${offset.toString(16).padStart(4, "0")}  ${raw}  ${text}${note === undefined ? "" : `  ; ${note}`}\n`;
      }),
  ]);
  return [
    `${style.bold(head)}; layout ${image.layout}\n`,
    `\n${style.bold("arguments")}\n`,
    words.length === 0 ? "  none\n" : table(["word", "in", ""], words),
    `\n${style.bold("frame")}\n`,
    frameText(image.subprogs[0]!.frame),
    `\n${style.bold("code")}\n`,
    ...lines,
  ].join("");
}

function toSvg(made: Made): string {
  const { image } = made;
  return frameSvg(titleOf(made), `${image.arch}, offsets and sizes in bytes`, image.subprogs[0]!.frame);
}

function toJson({ spec, places, entered, image, stretches, code }: Made): unknown {
  const { links, original, funcIp, tailCalls, indirect } = spec;
  return {
    model: formatFuncModel(spec.model),
    arch: image.arch,
    layout: image.layout,
    spec: { links: links.map(({ kind }) => kind), original, funcIp, tailCalls, indirect },
    entered,
    bytes: image.code.length,
    arguments: places.slots.map(({ in: where, index, clear }) => ({ in: where, index, clear })),
    frame: image.subprogs[0]!.frame,
    sites: image.patchSites.map(({ kind, offset, size, end }) => ({ kind, offset, size, end })),
    stretches: stretches.map(({ role, start, end }) => ({
      role,
      start,
      end,
      code: code
        .filter(({ offset }) => offset >= start && offset < end)
        .map(({ offset, bytes, text, note }) => ({ offset, bytes: hexBytes(bytes, ""), text, note })),
    })),
  };
}
