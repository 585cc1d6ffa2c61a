// The command: finds what to do, does it, and turns every failure into a message and an exit code.
import { type Command, helpOf, overview, readArguments, UsageError } from "./arguments.ts";
import { conform } from "./commands/conform.ts";
import { demo } from "./commands/demo.ts";
import { dis } from "./commands/dis.ts";
import { explain } from "./commands/explain.ts";
import { jit } from "./commands/jit.ts";
import { multi } from "./commands/multi.ts";
import { obj } from "./commands/obj.ts";
import { patch } from "./commands/patch.ts";
import { plugin } from "./commands/plugin.ts";
import { poke } from "./commands/poke.ts";
import { run } from "./commands/run.ts";
import { tail } from "./commands/tail.ts";
import { tramp } from "./commands/tramp.ts";
import { verify } from "./commands/verify.ts";
import type { Io } from "./io.ts";
import { describeFailure, EXIT, styleFor } from "./output.ts";
import { version } from "./version.ts";
import { describeRejection } from "./vouch.ts";

const COMMANDS: readonly Command[] = [
  obj,
  dis,
  verify,
  explain,
  jit,
  patch,
  tail,
  tramp,
  multi,
  poke,
  run,
  demo,
  conform,
  plugin,
];

/**
 * Runs `bpfkit` with the words behind its name; gives the exit code and never throws.
 *
 * @example
 * ```ts
 * import { main, processIo } from "@bpfkit/cli";
 * const code = main(["obj", "prog.bpf.o", "-j"], processIo());
 * ```
 */
export function main(argv: readonly string[], io: Io): number {
  try {
    return dispatch(argv, io);
  } catch (error) {
    const { text, exit } = describeRejection(error) ?? describeFailure(error);
    io.err(`bpfkit: ${text}\n`);
    return exit;
  }
}

function dispatch([word, ...rest]: readonly string[], io: Io): number {
  if (word === undefined) {
    io.err(overview(COMMANDS));
    return EXIT.USAGE;
  }
  if (word === "version" || word === "--version" || word === "-V") {
    io.out(`bpfkit ${version()}\n`);
    return EXIT.OK;
  }
  if (word === "help" || word === "--help" || word === "-h") {
    io.out(rest[0] === undefined ? overview(COMMANDS) : helpOf(commandOf(rest[0])));
    return EXIT.OK;
  }
  const command = commandOf(word);
  const args = readArguments(command, rest);
  if (args.has("help")) {
    io.out(helpOf(command));
    return EXIT.OK;
  }
  const style = styleFor(io, args.choice("color", ["auto", "always", "never"], "auto"));
  return command.run({ io, style, arguments: args });
}

function commandOf(word: string): Command {
  const candidates = COMMANDS.filter(({ name }) => name.startsWith(word));
  const found = candidates.find(({ name }) => name === word) ?? (candidates.length === 1 ? candidates[0] : undefined);
  if (found !== undefined) return found;
  const known = (candidates.length > 0 ? candidates : COMMANDS).map(({ name }) => name).join(", ");
  throw new UsageError(
    candidates.length > 0 ? `${word} could be ${known}` : `no command ${word}; there are ${known}, help and version`,
  );
}
