// `bpfkit plugin`: an engine as a plugin of the public bpf_conformance suite: program on the standard input, memory as an argument, r0 out.
import { bytesOf } from "@bpfkit/conformance";
import { BpfError, Insns, interpreter, jit, type Program, trust } from "@bpfkit/core";
import { Kernel } from "@bpfkit/kernel";
import { type Command, UsageError } from "../arguments.ts";
import { BACKENDS } from "../backends.ts";
import { EXIT, readInput } from "../output.ts";
import { describeTrap } from "../session.ts";

const ENGINES: readonly string[] = ["interpreter", ...BACKENDS.map(({ arch }) => arch)];
const BUDGET = 100_000_000;

/** Runs one program on one engine. */
export const plugin: Command = {
  name: "plugin",
  operands: ["[MEMORY]"],
  summary: "run a program given as hex, as a plugin of bpf_conformance; it gets plain memory, so nothing is verified",
  options: {
    engine: { value: "ENGINE", help: `${ENGINES.join(", ")}; interpreter unless told` },
    program: { value: "HEX", help: "the program; the standard input unless told" },
    elf: { help: "refused: programs in objects are for bpfkit run" },
  },
  examples: ["--engine x86-64 '0a 0b 0c 0d' < program.hex"],
  run({ io, arguments: args }) {
    if (args.has("elf"))
      throw new BpfError("unsupported", "a program in an object", { expected: "instructions as hex" });
    const name = args.choice("engine", ENGINES, "interpreter");
    const backend = BACKENDS.find(({ arch }) => arch === name);
    const text = args.text("program") ?? new TextDecoder().decode(readInput(io, "-"));
    const memory = bytes("memory", args.operands[0] ?? "");
    const program = programOf(bytes("the program", text));
    const kernel = new Kernel({ engine: backend === undefined ? interpreter : jit(backend) });
    const trusted = trust(program);
    if (trusted.structure.subprogs.some(({ hasTailCall }) => hasTailCall))
      throw new BpfError("unsupported", "a tail call", { expected: "a program without maps" });
    const loaded = kernel.load(trusted);
    const room = memory.length === 0 ? undefined : kernel.memory.allocate("data", memory.length, "memory");
    if (room !== undefined) kernel.memory.write(room.address, memory);
    const execution = loaded.executable.start({
      args: [room?.address ?? 0n, BigInt(memory.length)],
      stack: kernel.stackOf(0),
    });
    const stop = execution.run(BUDGET);
    if (stop.kind === "returned") {
      io.out(`${stop.value.toString(16)}\n`);
      return EXIT.OK;
    }
    if (stop.kind === "budget") throw new BpfError("limit", `still running after ${BUDGET} instructions`);
    io.err(`bpfkit: ${describeTrap(execution, stop, loaded)}\n`);
    return EXIT.NEGATIVE;
  },
};

/** @throws {UsageError} for what is no hex, so that no other number is ever made of it */
function bytes(what: string, text: string): Uint8Array {
  try {
    return bytesOf(text.replace(/^\s*0x/i, ""));
  } catch {
    throw new UsageError(`${what} is hex digits in pairs, with or without blanks between them`);
  }
}

function programOf(code: Uint8Array): Program {
  return {
    name: "plugin",
    type: "syscall",
    license: "GPL",
    insns: Insns.fromBytes(code),
    subprogs: [{ name: "main", start: 0 }],
    maps: [],
    kfuncs: [],
  };
}
