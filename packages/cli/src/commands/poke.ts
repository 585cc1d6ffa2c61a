// `bpfkit poke`: whether code can be rewritten while CPUs run it, by trying everything that can happen; and one such schedule, instruction by instruction.
import {
  type Checked,
  checkHistories,
  formatPlayed,
  formatReplay,
  formatSchedule,
  type Granularity,
  type MachineScenario,
  machineSearch,
  POKE_MUTANTS,
  POKE_RULES,
  type PokeRules,
  parseReplay,
  play,
  sizeOf,
} from "@bpfkit/conformance";
import { type Backend, BpfError } from "@bpfkit/core";
import { POKE_PROTOCOLS } from "@bpfkit/kernel";
import { type Arguments, type Call, type Command, UsageError } from "../arguments.ts";
import { BACKENDS } from "../backends.ts";
import { EXIT, grouped, Progress, printJson } from "../output.ts";

const ARCHES: readonly string[] = BACKENDS.map(({ arch }) => arch);
const PROTOCOLS: readonly string[] = Object.keys(POKE_PROTOCOLS);
const MUTANTS: readonly string[] = POKE_MUTANTS.map(({ name }) => name);
const GRANULARITIES: readonly Granularity[] = ["site", "instruction"];
const [LENGTH, READERS] = [2, 2];

/** Checks protocols, and plays schedules. */
export const poke: Command = {
  name: "poke",
  operands: ["check|replay", "[STRING]"],
  summary: "try all ways in which CPUs can run into code that is rewritten, or play one of them",
  options: {
    arch: { value: "A,B", help: `whose code is run: ${ARCHES.join(", ")}; all unless told` },
    protocol: { value: "NAME", help: `how sites are rewritten: ${PROTOCOLS.join(", ")}; the first unless told` },
    mutant: { value: "NAME", help: `the first with one thing wrong: ${MUTANTS.join(", ")}` },
    length: { value: "N", help: `updates of a history, at most; ${LENGTH} unless told` },
    readers: { value: "N", help: `CPUs that run the program, each twice; ${READERS} unless told` },
    granularity: { value: "WHERE", help: `where CPUs stop: ${GRANULARITIES.join(", ")}; the first unless told` },
  },
  examples: [
    "check --arch riscv64 --length 3",
    "check --arch x86-64 --mutant no-wait",
    "replay x86-64/bypass-first/site/f/u2.0.0.0:1.0.0",
  ],
  run(call) {
    const [action, text] = call.arguments.operands;
    if (action === "check") {
      if (text !== undefined) throw new UsageError(`poke check takes no ${text}`);
      return check(call);
    }
    if (action !== "replay") throw new UsageError(`poke takes check or replay, not ${action}`);
    if (text === undefined) throw new UsageError("poke replay needs STRING, as poke check prints it");
    return replay(call, text);
  },
};

/** What is checked. @throws {UsageError} */
function rulesOf(args: Arguments): PokeRules {
  if (args.has("mutant")) {
    if (args.has("protocol")) throw new UsageError("--protocol and --mutant exclude each other");
    return POKE_RULES.get(args.choice("mutant", MUTANTS, MUTANTS[0]!))!;
  }
  return POKE_RULES.get(args.choice("protocol", PROTOCOLS, PROTOCOLS[0]!))!;
}

/** @throws {UsageError} */
function backendsOf(args: Arguments): readonly Backend[] {
  const text = args.text("arch");
  if (text === undefined) return BACKENDS;
  return text.split(",").map((name) => {
    const backend = BACKENDS.find(({ arch }) => arch === name);
    if (backend === undefined) throw new UsageError(`--arch is of ${ARCHES.join(", ")}, not ${name}`);
    return backend;
  });
}

function check({ io, style, arguments: args }: Call): number {
  const rules = rulesOf(args);
  const length = args.number("length", LENGTH, { min: 1, max: 8 });
  const readers = args.number("readers", READERS, { min: 1, max: 8 });
  const granularity = args.choice("granularity", GRANULARITIES, "site");
  const isJson = args.has("json") || args.has("pretty");
  const rows = backendsOf(args).map((backend) => {
    const progress = new Progress(io, backend.arch, args.has("quiet"));
    const started = io.now();
    const checked = checkHistories(
      { length, readers },
      (history, count) => scenarioOf(backend, rules, granularity, history, count),
      (share) => progress.update(share),
    );
    const seconds = (io.now() - started) / 1000;
    progress.end();
    const { violation } = checked;
    const string = violation && formatReplay({ arch: backend.arch, rules: rules.name, granularity, ...violation });
    if (!isJson) io.out(checkText(checked));
    return {
      arch: backend.arch,
      rules: rules.name,
      length,
      readers,
      granularity,
      histories: checked.histories,
      states: checked.states,
      seconds: Number(seconds.toFixed(3)),
      statesPerSecond: seconds > 0 ? Math.round(checked.states / seconds) : null,
      peakBytes: checked.bytes,
      violation: violation && { history: violation.history, what: violation.what, replay: string },
    };

    function checkText({ histories, states, bytes, violation: found }: Checked): string {
      const rate = seconds > 0 ? `, ${grouped(Math.round(states / seconds))} a second` : "";
      const head = `${backend.arch}, ${rules.name}, ${readers === 1 ? "1 reader" : `${readers} readers`}`;
      const memory = `at most ${grouped(Math.ceil(bytes / 1024))} KiB of them at a time`;
      const counts = `${grouped(histories)} histories, ${grouped(states)} states (${seconds.toFixed(1)} s${rate}; ${memory})`;
      if (found === undefined) return `${style.bold(head)}: ${style.green("no violation")}\n  ${counts}\n`;
      return [
        `${style.bold(head)}: ${style.red(`${found.history.join(", ")}: ${found.what}`)}\n  ${counts}\n`,
        `${formatSchedule(found, readers)}\n`,
        `bpfkit poke replay ${string}\n`,
      ].join("\n");
    }
  });
  if (isJson) printJson(io, { checks: rows }, args.has("pretty"));
  return rows.every(({ violation }) => violation === undefined) ? EXIT.OK : EXIT.NEGATIVE;
}

function scenarioOf(
  backend: Backend,
  { protocol, covered = true, graceBeforeFree = true }: PokeRules,
  granularity: Granularity,
  history: Parameters<typeof machineSearch>[1],
  readers: number,
): MachineScenario {
  return { ...machineSearch({ backend, protocol, granularity }, history, readers), covered, graceBeforeFree };
}

function replay({ io, style, arguments: args }: Call, text: string): number {
  const asked = parseReplay(text);
  const { arch, rules, granularity, history, schedule } = asked;
  const backend = BACKENDS.find((known) => known.arch === arch);
  if (backend === undefined) throw new BpfError("syntax", `architecture '${arch}'`, { expected: ARCHES.join(", ") });
  const { readers, passes } = sizeOf(schedule);
  const scenario = scenarioOf(backend, POKE_RULES.get(rules)!, granularity, history, readers);
  const played = play({ ...scenario, passes }, schedule);
  if (args.has("json") || args.has("pretty")) {
    const moves = played.moves.map(({ who, choice, what, lines }) => ({
      who: who < 0 ? "updater" : `cpu ${who}`,
      choice,
      what,
      instructions: lines.map(({ pc, text: line }) => ({
        pc: `0x${pc.toString(16)}`,
        in: scenario.nameOf(pc),
        text: line,
      })),
    }));
    printJson(
      io,
      { ...asked, schedule: text.trim().split("/").at(-1), moves, violation: played.what },
      args.has("pretty"),
    );
  } else {
    io.out(`${style.bold(`${arch}, ${rules}: ${history.join(", ")}`)}\n\n`);
    io.out(`${formatPlayed(played, readers, scenario.nameOf)}\n\n`);
    io.out(played.what === undefined ? `${style.green("nothing went wrong")}\n` : `${style.red(played.what)}\n`);
  }
  return played.what === undefined ? EXIT.OK : EXIT.NEGATIVE;
}
