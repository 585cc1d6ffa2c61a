// `bpfkit tail`: which programs tail calls lead to, how far the stack can grow through them, and what counting them costs.
import {
  type Backend,
  MAX_STACK_ABOVE_TAIL_CALL,
  type TailCallSite,
  type TailCallStack,
  tailCallStackOf,
  tailCallsOf,
  type VerifiedProgram,
  worstTailCallStack,
} from "@bpfkit/core";
import type { ObjectProgram } from "@bpfkit/object";
import { type Arguments, type Call, type Command, UsageError } from "../arguments.ts";
import { BACKENDS } from "../backends.ts";
import { type CounterCost, counterCosts } from "../counter-cost.ts";
import { openObject } from "../object-file.ts";
import { about, EXIT, grouped, printJson, table } from "../output.ts";
import { SET_OPTION, type Slot, slotsOf } from "../slots.ts";
import { basisJson, basisText, VOUCH_OPTIONS, type Vouch, vouchOf } from "../vouch.ts";

const ARCHES: readonly string[] = BACKENDS.map(({ arch }) => arch);

/** Shows the tail calls of an object. */
export const tail: Command = {
  name: "tail",
  operands: ["FILE", "[PROG]"],
  summary: "print where tail calls lead, how much stack they can pile up, and what counting them costs",
  options: {
    dot: { help: "the graph alone, in the language of Graphviz" },
    set: SET_OPTION,
    arch: { value: "ARCH", help: `whose code counts: ${ARCHES.join(", ")}; the first unless told` },
    scheme: { value: "NAME", help: "the way of counting; the kernel's own unless told" },
    indirect: { help: "no direct tail calls" },
    ...VOUCH_OPTIONS,
  },
  examples: ["prog.bpf.o", "prog.bpf.o --dot | dot -Tsvg", "prog.bpf.o xdp_main --arch riscv64 --scheme pass-through"],
  run(call) {
    const { io, arguments: args } = call;
    const backend = BACKENDS.find(({ arch }) => arch === args.choice("arch", ARCHES, ARCHES[0]!))!;
    const layout = layoutOf(backend, args);
    const object = openObject(call);
    const slots = slotsOf(object, args);
    const vouch = vouchOf(args);
    const programs = about(args.operands[0]!, () =>
      reached(object.programs, slots, args.operands[1]).map((program) =>
        reportOf(vouch, program, slots, backend, layout),
      ),
    );
    if (args.has("dot")) io.out(toDot(programs));
    else if (args.has("json") || args.has("pretty")) {
      const worst = worstTailCallStack(programs.map(({ stack }) => stack));
      printJson(io, { programs: programs.map(toJson), worst }, args.has("pretty"));
    } else io.out(`${programs.map((program) => toText(program, backend, call)).join("\n")}${boundText(programs)}`);
    return EXIT.OK;
  },
};

/** Layout settings that the command line asks for. @throws {UsageError} for a scheme that the backend does not have */
function layoutOf({ arch, capabilities }: Backend, args: Arguments): Readonly<Record<string, string | boolean>> {
  const { tailCallSchemes } = capabilities;
  const scheme = args.text("scheme") ?? tailCallSchemes[0]!;
  if (!(tailCallSchemes as readonly string[]).includes(scheme))
    throw new UsageError(`--scheme is one of ${tailCallSchemes.join(", ")} on ${arch}, not ${scheme}`);
  return { tailCalls: scheme, ...(args.has("indirect") ? { directTailCalls: false } : {}) };
}

/** The program named and those that can follow it; all of them where none is named. @throws {UsageError} */
function reached(
  programs: readonly ObjectProgram[],
  slots: readonly Slot[],
  wanted: string | undefined,
): readonly ObjectProgram[] {
  if (wanted === undefined) return programs;
  const first = programs.find(({ name }) => name === wanted);
  if (first === undefined)
    throw new UsageError(`no program ${wanted}; there are ${programs.map(({ name }) => name).join(", ")}`);
  const found = new Set([first]);
  for (const { maps } of found) {
    for (const { map, program } of slots) if (maps.some(({ name }) => name === map)) found.add(program);
  }
  return programs.filter((program) => found.has(program));
}

/** A tail call and where it leads. */
interface Jump extends TailCallSite {
  readonly isDirect: boolean;
  /** What the array holds where the call can look. */
  readonly to: readonly { readonly slot: number; readonly program: string }[];
}

/** What is known of one program. */
interface Report {
  readonly program: ObjectProgram;
  readonly verified: VerifiedProgram;
  readonly jumps: readonly Jump[];
  readonly stack: TailCallStack;
  readonly bytes: number;
  readonly costs: readonly CounterCost[];
}

function reportOf(
  vouch: Vouch,
  program: ObjectProgram,
  slots: readonly Slot[],
  backend: Backend,
  layout: Readonly<Record<string, string | boolean>>,
): Report {
  const verified = vouch(program);
  const image = backend.compile(verified, { layout });
  const direct = new Set(image.pokes.map(({ insn }) => insn));
  const jumps = tailCallsOf(verified).map((site) => ({
    ...site,
    isDirect: direct.has(site.insn),
    to: slots
      .filter(({ map, slot }) => program.maps[site.map ?? -1]?.name === map && (site.key ?? slot) === slot)
      .map(({ slot, program: { name } }) => ({ slot, program: name })),
  }));
  const stack = tailCallStackOf(verified);
  return { program, verified, jumps, stack, bytes: image.code.length, costs: counterCosts(backend, image) };
}

/** What can pile up when all these programs call one another. */
function boundText(reports: readonly Report[]): string {
  if (reports.every(({ jumps }) => jumps.length === 0)) return "";
  const { frames, bytes } = worstTailCallStack(reports.map(({ stack }) => stack));
  return `\nat most ${frames} ${frames === 1 ? "frame" : "frames"} and ${grouped(bytes)} bytes of stack, with 33 tail calls among these programs\n`;
}

/** The way to each subprogram that makes tail calls. */
function chainText({ verified, stack }: Report): string {
  const { subprogs } = verified.structure;
  return stack.tailCalls
    .map(({ subprogs: path, bytesAbove }) => {
      const names = path.map((index) => subprogs[index]!.name).join(" → ");
      const limit = path.length === 1 ? "" : `, of less than ${MAX_STACK_ABOVE_TAIL_CALL}`;
      return `  ${names}: ${bytesAbove} bytes above it${limit}\n`;
    })
    .join("");
}

/** `table[3]`, `table[*]`, or `?` where the array is not known. */
function arrayText({ program }: Report, { map, key }: Jump): string {
  return map === undefined ? "?" : `${program.maps[map]!.name}[${key ?? "*"}]`;
}

function toText(report: Report, backend: Backend, { style }: Call): string {
  const { program, verified, jumps, bytes, costs } = report;
  const { subprogs } = verified.structure;
  const head = style.bold(
    `${program.name} (${program.type}), ${jumps.length} ${jumps.length === 1 ? "tail call" : "tail calls"}`,
  );
  const basis = `; ${basisText(verified)}`;
  if (jumps.length === 0) return `${head}${basis}\n`;
  const rows = jumps.map((jump) => [
    jump.insn,
    subprogs[jump.subprog]!.name,
    arrayText(report, jump),
    jump.isDirect ? "direct" : "indirect",
    jump.to.map(({ slot, program: name }) => (jump.key === undefined ? `${slot}: ${name}` : name)).join(", ") ||
      "nothing yet",
  ]);
  const costRows = costs.map(({ subprog, edge, instructions, loads, stores, bytes: size }) => [
    subprogs[subprog]!.name,
    edge,
    instructions,
    loads,
    stores,
    size,
  ]);
  return [
    `${head}${basis}\n`,
    table(["slot", "in", "through", "form", "to"], rows),
    chainText(report),
    style.dim(`  counting them, ${backend.arch}, ${bytes} bytes in all\n`),
    table(["in", "edge", "instructions", "loads", "stores", "bytes"], costRows),
  ].join("");
}

function toJson(report: Report): unknown {
  const { program, verified, jumps, bytes, costs } = report;
  const { subprogs } = verified.structure;
  return {
    program: program.name,
    type: program.type,
    ...basisJson(verified),
    subprogs: subprogs.map(({ name, calls, stackDepth, tailCallReachable }) => ({
      name,
      calls: calls.map((index) => subprogs[index]!.name),
      stackDepth,
      tailCallReachable,
    })),
    tailCalls: jumps.map(({ insn, subprog, map, key, isDirect, to }) => ({
      insn,
      subprog: subprogs[subprog]!.name,
      ...(map === undefined ? {} : { map: program.maps[map]!.name }),
      ...(key === undefined ? {} : { key }),
      form: isDirect ? "direct" : "indirect",
      to,
    })),
    stack: {
      ...report.stack,
      tailCalls: report.stack.tailCalls.map(({ subprogs: path, bytesAbove }) => ({
        path: path.map((index) => subprogs[index]!.name),
        bytesAbove,
      })),
    },
    bytes,
    counter: costs.map(({ subprog, ...cost }) => ({ subprog: subprogs[subprog]!.name, ...cost })),
  };
}

/** Programs as clusters of their subprograms; calls are solid, tail calls dashed. */
function toDot(reports: readonly Report[]): string {
  const lines = ["digraph tail_calls {", "  node [shape=box];"];
  const node = (program: string, subprog: number): string => JSON.stringify(`${program}/${subprog}`);
  const shown = new Set(reports.map(({ program }) => program.name));
  for (const { program, verified } of reports) {
    lines.push(
      `  subgraph ${JSON.stringify(`cluster_${program.name}`)} {`,
      `    label=${JSON.stringify(program.name)};`,
    );
    for (const [index, { name, calls }] of verified.structure.subprogs.entries()) {
      lines.push(`    ${node(program.name, index)} [label=${JSON.stringify(name)}];`);
      for (const callee of calls) lines.push(`    ${node(program.name, index)} -> ${node(program.name, callee)};`);
    }
    lines.push("  }");
  }
  for (const report of reports) {
    for (const jump of report.jumps) {
      const from = node(report.program.name, jump.subprog);
      const array = arrayText(report, jump);
      const targets = jump.to.filter(({ program }) => shown.has(program));
      if (targets.length === 0) lines.push(`  ${from} -> ${JSON.stringify(array)} [style=dashed];`);
      for (const { slot, program } of targets) {
        const label = array.replace("[*]", `[${slot}]`);
        lines.push(`  ${from} -> ${node(program, 0)} [style=dashed, label=${JSON.stringify(label)}];`);
      }
    }
  }
  return `${[...lines, "}"].join("\n")}\n`;
}
