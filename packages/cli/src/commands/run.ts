// `bpfkit run`: runs a program over a packet capture, a packet or a context.
import { BpfError } from "@bpfkit/core";
import type { RunResult } from "@bpfkit/kernel";
import { type Arguments, type Call, type Command, UsageError } from "../arguments.ts";
import type { Io } from "../io.ts";
import { dumpMaps, mapsToJson, mapsToText } from "../map-dump.ts";
import { type MapElement, readMapFile } from "../map-file.ts";
import { chooseProgram, openObject } from "../object-file.ts";
import { about, EXIT, grouped, hexBytes, Progress, printJson, readInput, table } from "../output.ts";
import { ETHERNET, openCapture } from "../pcap.ts";
import { describeTrap, ENGINES, openSession, type Session } from "../session.ts";
import { SET_OPTION, slotsOf } from "../slots.ts";
import { outcomeOf, REFUSED, Tally } from "../tally.ts";
import { basisJson, basisText, VOUCH_OPTIONS, vouchOf } from "../vouch.ts";

/** Elements of each map that are printed. */
const SHOWN = 10;

/** Runs a program. */
export const run: Command = {
  name: "run",
  operands: ["FILE", "[PROG]"],
  summary: "run a program over a packet capture, a packet or a context",
  options: {
    pcap: { value: "FILE", help: "a classic packet capture; each packet is a run" },
    data: { value: "FILE", help: "one packet" },
    ctx: { value: "FILE", help: "a context as user space passes it" },
    set: SET_OPTION,
    ...VOUCH_OPTIONS,
    maps: { value: "FILE", help: 'what maps hold at first, JSON: {"MAP": [{"key": "HEX", "value": "HEX"}]}' },
    engine: { value: "ENGINE", help: `${ENGINES.join(", ")} (in lockstep); interpreter unless told` },
    repeat: { value: "N", help: "runs of each input in a row; the packet is not put back between them" },
    budget: { value: "N", help: "most instructions of one run" },
    cpus: { value: "N", help: "virtual CPUs that take turns; 1 unless told" },
    seed: { value: "N", help: "seed of the random numbers that programs get" },
  },
  examples: ["prog.bpf.o --pcap traffic.pcap --engine all", "prog.bpf.o sum --ctx args.bin -j"],
  run(call) {
    const { io, arguments: args } = call;
    const inputs = ["pcap", "data", "ctx"].filter((option) => args.has(option));
    if (args.has("pcap") && inputs.length > 1) throw new UsageError("--pcap goes without --data and --ctx");
    const engine = args.choice("engine", ENGINES, "interpreter");
    const repeat = args.number("repeat", 1, { min: 1, max: 1_000_000 });
    if (engine === "all" && repeat > 1) throw new UsageError("--repeat goes with one engine, not with all");
    const file = args.operands[0]!;
    const paths = [file, ...["pcap", "data", "ctx", "maps"].map((option) => args.text(option))];
    if (paths.filter((path) => path === "-").length > 1) {
      throw new UsageError("- is the standard input, which can be read as one file only");
    }
    const object = openObject(call);
    const program = chooseProgram(object, call);
    const session = about(file, () =>
      openSession(program, {
        engine,
        repeat,
        maps: readMaps(io, args),
        slots: slotsOf(object, args),
        vouch: vouchOf(args),
        cpus: args.number("cpus", 1, { min: 1, max: 1024 }),
        seed: args.number("seed", 0, { max: 0xffff_ffff }),
        ...(args.has("budget") ? { budget: args.number("budget", 0, { min: 1 }) } : {}),
      }),
    );
    const report = about(file, () =>
      args.has("pcap") ? runCapture(call, session, program.type) : runOnce(call, session, program.type),
    );
    const maps = dumpMaps(object, session.lanes[0]!.kernel.maps);
    const entered = session.lanes[0]!.loaded.executable.program;
    const head = { program: program.name, type: program.type, ...basisJson(entered) };
    if (args.has("json") || args.has("pretty")) {
      printJson(io, { ...head, ...toJson(session, report), maps: mapsToJson(maps) }, args.has("pretty"));
    } else {
      const title = `${program.name} (${program.type}), ${basisText(entered)}`;
      io.out(`${call.style.bold(title)}\n${toText(session, report)}\nmaps\n${mapsToText(maps, SHOWN)}`);
    }
    for (const problem of report.problems) io.err(`bpfkit: ${file}: ${problem}\n`);
    return report.exit;
  },
};

/** What came of all runs. */
export interface Report {
  readonly tally: Tally;
  /** Of the last run; undefined after a capture. */
  readonly last: readonly RunResult[] | undefined;
  /** Traps and budgets used up, the first of each kind. */
  readonly problems: readonly string[];
  readonly exit: number;
}

/** Reads the file that `--maps` names. */
export function readMaps(io: Io, args: Arguments): ReadonlyMap<string, readonly MapElement[]> {
  const path = args.text("maps");
  return path === undefined ? new Map() : about(path, () => readMapFile(readInput(io, path)));
}

function runOnce({ io, arguments: args }: Call, session: Session, type: string): Report {
  const [data, ctx] = [args.text("data"), args.text("ctx")];
  const results = session.run({
    ...(data === undefined ? {} : { data: readInput(io, data) }),
    ...(ctx === undefined ? {} : { context: readInput(io, ctx) }),
  });
  const collector = new Collector(session, type);
  collector.add(results, "");
  return collector.report(results);
}

function runCapture(call: Call, session: Session, type: string): Report {
  const { io, arguments: args } = call;
  const path = args.text("pcap")!;
  return about(path, () => runPackets(io, readInput(io, path), session, type, args.has("quiet")));
}

/** Runs every packet of a capture. @throws {BpfError} `malformed`, `unsupported`, `divergence` */
export function runPackets(io: Io, bytes: Uint8Array, session: Session, type: string, quiet: boolean): Report {
  const capture = openCapture(bytes);
  if (capture.linkType !== ETHERNET) {
    throw new BpfError("unsupported", `a capture of link type ${capture.linkType}`, {
      offset: 20,
      expected: "1 (Ethernet)",
    });
  }
  const collector = new Collector(session, type);
  const progress = new Progress(io, "packets", quiet);
  const { cpus } = session.lanes[0]!.kernel;
  try {
    for (const { index, offset, data } of capture.packets()) {
      progress.update(offset / bytes.length);
      collector.add(tryRun(session, { data, cpu: index % cpus }), `packet ${index}: `);
    }
  } finally {
    progress.end();
  }
  return collector.report(undefined);
}

/** As `session.run`, with undefined for packets that the kernel's test run does not take. */
function tryRun(session: Session, input: Parameters<Session["run"]>[0]): readonly RunResult[] | undefined {
  try {
    return session.run(input);
  } catch (error) {
    if (error instanceof BpfError && error.code === "argument") return undefined;
    throw error;
  }
}

class Collector {
  readonly #session: Session;
  readonly #tally: Tally;
  readonly #problems: Map<string, string> = new Map();
  #exit: number = EXIT.OK;

  constructor(session: Session, type: string) {
    this.#session = session;
    this.#tally = new Tally(
      session.lanes.map(({ name }) => name),
      type,
    );
  }

  add(results: readonly RunResult[] | undefined, where: string): void {
    for (const [i, lane] of this.#session.lanes.entries()) {
      const result = results?.[i];
      this.#tally.add(i, result === undefined ? REFUSED : outcomeOf(result));
      if (result?.stop.kind === "trap")
        this.#note("trap", EXIT.NEGATIVE, `${where}trap: ${describeTrap(result, result.stop, lane.loaded)}`);
      if (result?.stop.kind === "budget")
        this.#note("budget", EXIT.LIMIT, `${where}still running after ${result.executed} instructions`);
    }
  }

  report(last: readonly RunResult[] | undefined): Report {
    return { tally: this.#tally, last, problems: [...this.#problems.values()], exit: this.#exit };
  }

  #note(kind: string, exit: number, text: string): void {
    if (!this.#problems.has(kind)) this.#problems.set(kind, text);
    this.#exit = Math.max(this.#exit, exit);
  }
}

function toJson(session: Session, { tally, last }: Report): Record<string, unknown> {
  const { lanes, executed, comparison } = session;
  return {
    engines: lanes.map(({ name, loaded: { executable } }, i) => ({
      name,
      executed: executed[i],
      ...(executable.image === undefined ? {} : { codeBytes: executable.image.code.length }),
      outcomes: Object.fromEntries(tally.counts(i)),
      ...(last === undefined ? { returns: tally.returns(i) } : { result: resultToJson(last[i]!) }),
    })),
    ...(comparison === undefined
      ? {}
      : { lockstep: { boundaries: comparison.boundaries, instructions: comparison.instructions } }),
  };
}

function resultToJson({ stop, returnValue, dataOut, contextOut }: RunResult): unknown {
  return {
    stop: stop.kind === "trap" ? { ...stop, pc: Number(stop.pc) } : stop.kind,
    ...(returnValue === undefined ? {} : { returnValue }),
    ...(dataOut === undefined ? {} : { dataOut: hexBytes(dataOut, "") }),
    ...(contextOut === undefined ? {} : { contextOut: hexBytes(contextOut, "") }),
  };
}

function toText(session: Session, { tally, last }: Report): string {
  const { lanes, executed, comparison } = session;
  const counts = lanes.map((_, i) => tally.counts(i));
  const words = [...new Set(counts.flatMap((each) => [...each.keys()]))];
  const result = last?.[0];
  return [
    table(
      ["", ...lanes.map(({ name }) => name)],
      [...words.map((word) => [word, ...counts.map((each) => each.get(word) ?? 0)]), ["instructions", ...executed]],
    ),
    ...(result?.dataOut === undefined ? [] : [`  packet out   ${hexBytes(result.dataOut)}\n`]),
    ...(result?.contextOut === undefined ? [] : [`  context out  ${hexBytes(result.contextOut)}\n`]),
    ...(comparison === undefined ? [] : [`  ${comparisonText(comparison)}\n`]),
  ].join("");
}

/** How much of a lockstep run was compared. */
export function comparisonText({ boundaries, instructions }: NonNullable<Session["comparison"]>): string {
  const share = instructions === 0 ? 100 : (100 * boundaries) / instructions;
  return `lockstep: compared at ${grouped(boundaries)} of ${grouped(instructions)} BPF instructions (${share.toFixed(1)} %), no difference`;
}
