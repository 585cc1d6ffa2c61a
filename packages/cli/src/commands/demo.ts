// `bpfkit demo`: the firewall example, verified, then over its capture in the interpreter and as machine code in lockstep. What `npm start` runs.
import { fileURLToPath } from "node:url";
import type { Verified } from "@bpfkit/core";
import { loadObject, type ObjectFile, type ObjectProgram } from "@bpfkit/object";
import { type Call, type Command, UsageError } from "../arguments.ts";
import { BACKENDS } from "../backends.ts";
import type { Value } from "../btf-value.ts";
import { formatGroups } from "../listing.ts";
import { type DumpedEntry, type DumpedMap, dumpMaps, mapsToJson } from "../map-dump.ts";
import { readMapFile } from "../map-file.ts";
import { about, EXIT, grouped, printJson, readInput, table } from "../output.ts";
import { openSession, type Session } from "../session.ts";
import { Tally } from "../tally.ts";
import { accepted, basisJson } from "../vouch.ts";
import { type Compiled, compile } from "./jit.ts";
import { comparisonText, type Report, runPackets } from "./run.ts";

const FOLDER = new URL("../../../../examples/firewall/", import.meta.url);
/** The subprogram whose listing is shown, and how many groups of it. */
const EXCERPT = { subprog: "checksum_ok", groups: 16 };
const TOP = 5;

/** What Linux did with the same packets; made once by asking a kernel. */
interface Linux {
  readonly kernel: string;
  /** A digit for each packet. */
  readonly returns: string;
  readonly codeBytes: number;
}

/** Runs the example. */
export const demo: Command = {
  name: "demo",
  operands: ["[FOLDER]"],
  summary: "run the firewall example in the interpreter and as machine code, in lockstep",
  options: {},
  examples: ["", "-j"],
  run(call) {
    const { io, arguments: args } = call;
    const started = io.now();
    const folder = args.operands[0] === undefined ? fileURLToPath(FOLDER) : `${args.operands[0].replace(/\/$/, "")}/`;
    const read = (name: string) => about(name, () => readInput(io, folder + name));
    const object = about("firewall.bpf.o", () => loadObject(read("firewall.bpf.o"), { name: "firewall" }));
    const program = object.programs[0];
    if (program === undefined) throw new UsageError("firewall.bpf.o has no programs");
    const traffic = read("traffic.pcap");
    const linux = JSON.parse(new TextDecoder().decode(read("linux-7.2.json"))) as Linux;
    const verdict = about("firewall.bpf.o", () => accepted(program));
    const session = about("firewall.bpf.o", () =>
      openSession(program, { engine: "all", maps: readMapFile(read("rules.json")), vouch: () => verdict.program }),
    );
    const report = about("traffic.pcap", () => runPackets(io, traffic, session, program.type, args.has("quiet")));
    const seconds = (io.now() - started) / 1000;
    const compiled = compile(verdict.program, BACKENDS[0]!);
    const result: Result = { object, program, verdict, traffic, linux, session, report, compiled };
    if (args.has("json") || args.has("pretty")) printJson(io, toJson(result), args.has("pretty"));
    else io.out(toText(result, call));
    io.err(`ran ${grouped(report.tally.returns(0).length)} packets on two engines in ${seconds.toFixed(1)} s\n`);
    return agreement(result) === report.tally.returns(0).length ? report.exit : EXIT.NEGATIVE;
  },
};

interface Result {
  readonly object: ObjectFile;
  readonly program: ObjectProgram;
  readonly verdict: Verified;
  readonly traffic: Uint8Array;
  readonly linux: Linux;
  readonly session: Session;
  readonly report: Report;
  readonly compiled: Compiled;
}

/** Packets on which all engines did what Linux did. */
function agreement({ linux, session, report }: Result): number {
  const returns = session.lanes.map((_, i) => report.tally.returns(i));
  return [...linux.returns].filter((digit, packet) => returns.every((lane) => lane[packet] === Number(digit))).length;
}

function toJson(result: Result): unknown {
  const { object, program, verdict, linux, session, report, compiled } = result;
  const { lanes, executed, comparison } = session;
  return {
    program: program.name,
    type: program.type,
    ...basisJson(verdict.program),
    verified: { insns: verdict.stats.totalInsns, states: verdict.stats.totalStates },
    packets: report.tally.returns(0).length,
    verdicts: Object.fromEntries(lanes.map(({ name }, i) => [name, Object.fromEntries(report.tally.counts(i))])),
    executed: Object.fromEntries(lanes.map(({ name }, i) => [name, executed[i]])),
    lockstep: comparison && { boundaries: comparison.boundaries, instructions: comparison.instructions, equal: true },
    codeBytes: { [compiled.image.arch]: compiled.image.code.length, [`linux ${linux.kernel}`]: linux.codeBytes },
    linux: { kernel: linux.kernel, equalPackets: agreement(result) },
    maps: mapsToJson(dumpMaps(object, lanes[1]!.kernel.maps)),
  };
}

function toText(result: Result, { style }: Call): string {
  const { object, program, verdict, traffic, linux, session, report, compiled } = result;
  const { lanes, executed, comparison } = session;
  const { image, listing } = compiled;
  const counts = lanes.map((_, i) => report.tally.counts(i));
  const linuxTally = new Tally([linux.kernel], program.type);
  for (const digit of linux.returns) linuxTally.add(0, Number(digit));
  const linuxCounts = linuxTally.counts(0);
  const packets = report.tally.returns(0).length;
  const maps = dumpMaps(object, lanes[1]!.kernel.maps);
  const excerpt = listing.find(({ name }) => name === EXCERPT.subprog) ?? listing[0]!;
  const title = (text: string) => `\n${style.bold(text)}\n`;
  return [
    `${style.bold("bpfkit: the firewall example")}\n\n`,
    `  program   ${program.name} (${program.type}): ${program.insns.length} slots, ${program.subprogs.length} subprograms, `,
    `${program.maps.length} maps, built by clang from examples/firewall/firewall.bpf.c\n`,
    `  verifier  accepted by the rules of Linux ${verdict.kernel}: all paths, ${grouped(verdict.stats.totalInsns)} instructions\n`,
    `  traffic   ${grouped(packets)} packets, a capture of ${grouped(traffic.length)} bytes\n`,
    `  code      ${grouped(image.code.length)} bytes of ${image.arch} (Linux 7.2 makes ${grouped(linux.codeBytes)} of it)\n`,
    title("verdicts"),
    table(
      ["", ...lanes.map(({ name }) => name), `Linux ${linux.kernel.replace(/[-+].*/, "")}`],
      [...new Set(counts.flatMap((each) => [...each.keys()]))].map((word) => [
        word,
        ...counts.map((each) => each.get(word) ?? 0),
        linuxCounts.get(word) ?? 0,
      ]),
    ),
    `  the same as Linux on ${grouped(agreement(result))} of ${grouped(packets)} packets\n`,
    title("lockstep"),
    `  ${comparison === undefined ? "" : comparisonText(comparison).replace("lockstep: ", "")}\n`,
    `  executed ${grouped(executed[0]!)} BPF instructions (${lanes[0]!.name}) as ${grouped(executed[1]!)} machine instructions `,
    `(${lanes[1]!.name}): ${(executed[1]! / executed[0]!).toFixed(2)} for one\n`,
    title("maps"),
    mapsText(maps, object),
    title(`listing of ${excerpt.name} (excerpt): source, BPF, ${image.arch}`),
    formatGroups(excerpt.groups.slice(0, EXCERPT.groups), { source: true, raw: false }),
    `\nnext: npm start -- jit examples/firewall/firewall.bpf.o -S    the whole listing\n`,
    "      npm start -- help                                      all commands\n",
  ].join("");
}

/** The maps of the firewall in its own terms: reasons by name, addresses as addresses, the largest first. */
function mapsText(maps: readonly DumpedMap[], { btf }: ObjectFile): string {
  const find = (name: string) => maps.find((map) => map.name === name);
  const reason = btf?.find("reason", "enum");
  const reasons = reason === undefined ? undefined : btf!.type(reason);
  const names =
    reasons?.kind === "enum" ? reasons.values.map(({ name }) => name.toLowerCase().replaceAll("_", " ")) : [];
  const section = (
    map: DumpedMap | undefined,
    head: readonly string[],
    rows: readonly (readonly (string | number)[])[],
  ) =>
    map === undefined
      ? ""
      : `  ${map.name} (${map.type}, ${grouped(map.entries.length)} of ${grouped(map.maxEntries)})\n${indent(table(head, rows))}`;
  const [verdicts, sources, blocked, ports] = ["verdicts", "sources", "blocked", "ports"].map(find);
  return [
    section(
      verdicts,
      ["reason", "packets", "bytes"],
      (verdicts?.entries ?? []).map((entry, i) => [
        names[i] ?? String(i),
        field(entry, "packets"),
        field(entry, "bytes"),
      ]),
    ),
    section(
      sources,
      ["most packets from", "packets", "bytes"],
      top(sources, "packets").map((entry) => [address(entry.key), field(entry, "packets"), field(entry, "bytes")]),
    ),
    section(
      blocked,
      ["most hits by", "hits"],
      top(blocked, "hits").map((entry) => [address(entry.key), field(entry, "hits")]),
    ),
    section(
      ports,
      ["port", "hits"],
      top(ports, "hits").map((entry) => [port(entry.key), field(entry, "hits")]),
    ),
  ].join("");
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, "  ");
}

/** A member of an entry's value, summed over the CPUs. */
function field({ decodedValues = [] }: DumpedEntry, name: string): number {
  const of = (value: Value) =>
    typeof value === "object" && !Array.isArray(value) ? (value as Record<string, Value>)[name] : 0n;
  return decodedValues.reduce<number>((sum, value) => sum + Number(of(value) ?? 0), 0);
}

function top(map: DumpedMap | undefined, name: string): DumpedEntry[] {
  return [...(map?.entries ?? [])].sort((a, b) => field(b, name) - field(a, name)).slice(0, TOP);
}

/** An address as it is written: IPv4 where it is one in IPv6's clothes. */
function address(key: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, i) => (key[2 * i]! << 8) | key[2 * i + 1]!);
  if (words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff) return [...key.subarray(12)].join(".");
  const text = words.map((word) => word.toString(16)).join(":");
  return text.replace(/(^|:)0(:0)+(:|$)/, "::");
}

function port(key: Uint8Array): string {
  const protocol = key[2] === 6 ? "tcp" : key[2] === 17 ? "udp" : `protocol ${key[2]}`;
  return `${(key[0]! << 8) | key[1]!}/${protocol}`;
}
