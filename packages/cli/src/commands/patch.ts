// `bpfkit patch`: lets passes go over a program, and shows what they made of it and where each instruction came from.
import { Random } from "@bpfkit/conformance";
import {
  allPasses,
  inferFacts,
  type Linearized,
  linearize,
  type Pass,
  PatchList,
  printWidth,
  type VerifiedProgram,
} from "@bpfkit/core";
import { CONTEXT_LAYOUTS } from "@bpfkit/kernel";
import { type Arguments, type Call, type Command, UsageError } from "../arguments.ts";
import { chooseProgram, openObject } from "../object-file.ts";
import { about, EXIT, grouped, printJson } from "../output.ts";
import { basisJson, basisText, VOUCH_OPTIONS, vouchOf } from "../vouch.ts";
import { bpfPrinter } from "./jit.ts";

const NAMES: readonly string[] = allPasses({ random: () => 0 }).map(({ name }) => name);

/** Patches a program. */
export const patch: Command = {
  name: "patch",
  operands: ["FILE", "[PROG]"],
  summary: "print a program as passes leave it, with the origin of each instruction",
  options: {
    passes: { value: "A,B,...", help: `${NAMES.join(", ")}; all of them unless told` },
    "print-after-all": { help: "the program after each pass, not only after the last" },
    seed: { value: "N", help: "what the random numbers of blind-constants start from; 1 unless told" },
    ...VOUCH_OPTIONS,
  },
  examples: ["prog.bpf.o --passes guard-division,zero-extend", "prog.bpf.o xdp_main --print-after-all -j"],
  run(call) {
    const { io, arguments: args } = call;
    const passes = passesOf(args);
    const program = chooseProgram(openObject(call), call);
    const entered = about(args.operands[0]!, () => vouchOf(args)(program));
    const stages = about(args.operands[0]!, () => run(entered, passes));
    const shown = args.has("print-after-all") ? stages : stages.slice(-1);
    if (args.has("json") || args.has("pretty")) {
      const head = { program: program.name, type: program.type, ...basisJson(entered) };
      printJson(io, { ...head, stages: shown.map(toJson) }, args.has("pretty"));
    } else io.out(`${heading(entered, call)}${shown.map((stage) => toText(stage, call)).join("")}`);
    return EXIT.OK;
  },
};

/** @throws {UsageError} for a name that no pass has */
function passesOf(args: Arguments): readonly Pass[] {
  const random = new Random(args.number("seed", 1));
  const known = allPasses({ random: () => random.below(2 ** 32), layouts: CONTEXT_LAYOUTS });
  const wanted = args.text("passes")?.split(",") ?? NAMES;
  return wanted.map((name) => {
    const pass = known.find((candidate) => candidate.name === name);
    if (pass === undefined) throw new UsageError(`no pass ${name}; there are ${NAMES.join(", ")}`);
    return pass;
  });
}

/** The program after a pass. */
interface Stage {
  readonly pass: string;
  readonly patches: number;
  readonly slots: number;
  readonly rows: readonly Row[];
}

interface Row {
  readonly slot: number;
  /** Original slot that it goes back to. */
  readonly origin: number;
  /** The pass that wrote it; undefined for an original. */
  readonly pass: string | undefined;
  readonly text: string;
}

/** Every pass over one list, which is linearized after each to be looked at. */
function run(entered: VerifiedProgram, passes: readonly Pass[]): readonly Stage[] {
  const list = new PatchList(entered.program, entered.facts ?? inferFacts(entered));
  return passes.map((pass) => {
    const before = list.patches;
    list.beginPass(pass.name);
    pass.run(list);
    const linearized = linearize(list, { provenance: true });
    const rows = rowsOf(list, linearized);
    return { pass: pass.name, patches: list.patches - before, slots: linearized.program.insns.length, rows };
  });
}

function rowsOf(list: PatchList, { program, provenance }: Linearized): readonly Row[] {
  const { passNames } = list.store();
  const print = bpfPrinter(program);
  const rows: Row[] = [];
  for (let slot = 0; slot < program.insns.length; slot += printWidth(program.insns, slot)) {
    const id = provenance!.patch[slot]!;
    const pass = id === 0 ? undefined : passNames[list.patch(id).pass];
    rows.push({ slot, origin: provenance!.origin[slot]!, pass, text: print(slot) });
  }
  return rows;
}

function heading(entered: VerifiedProgram, { style }: Call): string {
  const { name, type, insns } = entered.program;
  return `${style.bold(`${name} (${type}): ${grouped(insns.length)} slots`)}; ${basisText(entered)}\n`;
}

function toText({ pass, patches, slots, rows }: Stage, { style }: Call): string {
  const width = Math.max(...rows.map((row) => row.pass?.length ?? 0));
  const lines = rows.map(({ slot, origin, pass: writer, text }) => {
    const line = `${String(slot).padStart(6)}  ${String(origin).padStart(6)}  ${(writer ?? "").padEnd(width)}  ${text}`;
    return writer === undefined ? line : style.green(line);
  });
  const head = `${"slot".padStart(6)}  ${"origin".padStart(6)}`;
  const count = `${grouped(patches)} ${patches === 1 ? "patch" : "patches"}, ${grouped(slots)} slots`;
  return `\n${style.bold(`after ${pass}`)}: ${count}\n${style.dim(head)}\n${lines.join("\n")}\n`;
}

function toJson({ pass, patches, slots, rows }: Stage): unknown {
  return {
    pass,
    patches,
    slots,
    insns: rows.map(({ slot, origin, pass: writer, text }) => ({
      slot,
      origin,
      ...(writer === undefined ? {} : { pass: writer }),
      text,
    })),
  };
}
