// Command lines: commands and options as data, read strictly; the help text comes from the same data.
import { parseArgs } from "node:util";
import type { Io } from "./io.ts";
import type { Style } from "./output.ts";

/** A command line that cannot be understood; exit code 2. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
}

/** An option; one with `value` takes a value, and the word names it in the help text. */
export interface OptionSpec {
  readonly short?: string;
  readonly value?: string;
  readonly help: string;
}

/** A command. Operands are written as in its usage line: `FILE`, or `[PROG]` where it may be left out. */
export interface Command {
  readonly name: string;
  readonly operands: readonly string[];
  readonly summary: string;
  readonly options: Readonly<Record<string, OptionSpec>>;
  readonly examples: readonly string[];
  /** Does it; gives the exit code. */
  readonly run: (call: Call) => number;
}

/** What a command is run with. */
export interface Call {
  readonly io: Io;
  readonly style: Style;
  readonly arguments: Arguments;
}

export const COMMON_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  json: { short: "j", help: "print JSON; integers of 64 bits are strings" },
  pretty: { short: "p", help: "print indented JSON" },
  color: { value: "WHEN", help: "auto, always or never; auto heeds NO_COLOR" },
  quiet: { short: "q", help: "no progress bar" },
  help: { short: "h", help: "say what the command does" },
};

/** The operands and options of a command line, checked against what the command declares. */
export class Arguments {
  readonly operands: readonly string[];
  readonly #values: ReadonlyMap<string, string | true>;

  constructor(operands: readonly string[], values: ReadonlyMap<string, string | true>) {
    this.operands = operands;
    this.#values = values;
  }

  has(option: string): boolean {
    return this.#values.has(option);
  }

  text(option: string): string | undefined {
    const value = this.#values.get(option);
    return value === true ? undefined : value;
  }

  /** A whole number within bounds. @throws {UsageError} */
  number(option: string, fallback: number, bounds: { readonly min?: number; readonly max?: number } = {}): number {
    const { min = 0, max = Number.MAX_SAFE_INTEGER } = bounds;
    const text = this.text(option);
    if (text === undefined) return fallback;
    const value = /^(0x[0-9a-f]+|[0-9]+)$/i.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new UsageError(`--${option} is a whole number from ${min} to ${max}, not ${text}`);
    }
    return value;
  }

  /** One of a few words. @throws {UsageError} */
  choice<T extends string>(option: string, words: readonly T[], fallback: T): T {
    const text = this.text(option);
    if (text === undefined) return fallback;
    const word = words.find((candidate) => candidate === text);
    if (word === undefined) throw new UsageError(`--${option} is one of ${words.join(", ")}, not ${text}`);
    return word;
  }
}

/** Reads the words behind a command's name. @throws {UsageError} */
export function readArguments(command: Command, words: readonly string[]): Arguments {
  const options = { ...COMMON_OPTIONS, ...command.options };
  const { tokens } = parseArgs({
    args: [...words],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(
      Object.entries(options).map(([name, { short, value }]) => [
        name,
        { type: value === undefined ? "boolean" : "string", ...(short === undefined ? {} : { short }) },
      ]),
    ),
  });
  const operands: string[] = [];
  const values = new Map<string, string | true>();
  for (const token of tokens) {
    if (token.kind === "positional") operands.push(token.value);
    if (token.kind !== "option") continue;
    const spec = Object.hasOwn(options, token.name) ? options[token.name] : undefined;
    if (spec === undefined) throw new UsageError(`${command.name} has no option ${token.rawName}`);
    if (spec.value === undefined && token.value !== undefined) throw new UsageError(`${token.rawName} takes no value`);
    if (spec.value !== undefined && token.value === undefined) {
      throw new UsageError(`${token.rawName} needs a value: ${spec.value}`);
    }
    if (values.has(token.name)) throw new UsageError(`${token.rawName} is given twice`);
    values.set(token.name, token.value ?? true);
  }
  if (!values.has("help")) {
    const missing = command.operands.find((operand, i) => !operand.startsWith("[") && operands[i] === undefined);
    if (missing !== undefined) throw new UsageError(`${command.name} needs ${missing}`);
    const extra = operands[command.operands.length];
    if (extra !== undefined) throw new UsageError(`${command.name} takes no ${extra}`);
  }
  return new Arguments(operands, values);
}

/** The help text of a command. */
export function helpOf(command: Command): string {
  const { name, operands, summary, options, examples } = command;
  return [
    `${summary}\n`,
    `usage: ${["bpfkit", name, ...operands].join(" ")} [OPTIONS]\n`,
    "options:",
    ...optionLines({ ...options, ...COMMON_OPTIONS }),
    ...(examples.length === 0 ? [] : ["", "examples:", ...examples.map((line) => `  bpfkit ${name} ${line}`)]),
    "",
  ].join("\n");
}

/** The help text of the whole command. */
export function overview(commands: readonly Command[]): string {
  const usages = commands.map(({ name, operands }) => [name, ...operands].join(" "));
  const width = Math.max(...usages.map((usage) => usage.length));
  return [
    "bpfkit: BPF objects taken apart, compiled and run, without root and without a kernel\n",
    "usage: bpfkit COMMAND [OPTIONS]\n",
    "commands:",
    ...commands.map(({ summary }, i) => `  ${usages[i]!.padEnd(width)}  ${summary}`),
    `  ${"help [COMMAND]".padEnd(width)}  say what a command does`,
    `  ${"version".padEnd(width)}  say which version this is`,
    "",
    "options of all commands:",
    ...optionLines(COMMON_OPTIONS),
    "",
    "FILE may be - for the standard input. A command may be cut short where that leaves no doubt.",
    "exit codes: 0 done, 1 negative verdict or engines that disagree, 2 bad usage, 3 malformed input,",
    "4 limit reached, 5 internal error",
    "",
  ].join("\n");
}

function optionLines(options: Readonly<Record<string, OptionSpec>>): string[] {
  const rows = Object.entries(options).map(([name, { short, value, help }]) => {
    const names = `${short === undefined ? "    " : `-${short}, `}--${name}`;
    return [value === undefined ? names : `${names} ${value}`, help] as const;
  });
  const width = Math.max(...rows.map(([names]) => names.length));
  return rows.map(([names, help]) => `  ${names.padEnd(width)}  ${help}`);
}
