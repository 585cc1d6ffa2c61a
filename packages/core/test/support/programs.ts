// Programs made of packed words, and surroundings to run them in, for tests that need no assembler.
import { structureOf } from "../../src/analysis/structure.ts";
import { BpfError } from "../../src/errors.ts";
import { Insns, packWord } from "../../src/isa/insns.ts";
import { INSNS, type InsnRow, type Op } from "../../src/isa/opcodes.ts";
import type {
  Engine,
  Execution,
  Host,
  HostFunction,
  LoadOptions,
  Symbol as Reference,
  StartOptions,
} from "../../src/machine/engine.ts";
import { type Allocation, Memory } from "../../src/machine/memory.ts";
import type { Subprog, VerifiedProgram } from "../../src/program.ts";

export interface FieldValues {
  readonly dst?: number;
  readonly src?: number;
  readonly off?: number;
  readonly imm?: number;
  /** Second slot of a two-slot load. */
  readonly high?: number;
}

/** The words of one instruction; what its row pins wins. */
export function insn(op: Op, { dst = 0, src = 0, off = 0, imm = 0, high = 0 }: FieldValues = {}): number[] {
  const row: InsnRow = INSNS[op];
  const words = [packWord(row.code, dst, row.src ?? src, row.off ?? off), row.imm ?? imm];
  return row.code === 0x18 ? [...words, 0, high] : words;
}

/** A program of such words; subprograms by the slot where they begin. */
export function programOf(insns: readonly number[][], starts: readonly number[] = [0]): VerifiedProgram {
  const subprogs: Subprog[] = starts.map((start) => ({ name: start === 0 ? "main" : `sub${start}`, start }));
  const program = {
    name: "test",
    type: "socket_filter",
    license: "GPL",
    insns: new Insns(Int32Array.from(insns.flat())),
    subprogs,
    maps: [],
    kfuncs: [],
  };
  return { program, structure: structureOf(program), basis: { kind: "trusted" }, passes: [] };
}

/** What a test's programs can reach: functions by helper number, `kfunc N` or `packet N`; a map's address is its index × 4096. */
export class Surroundings implements Host {
  readonly memory: Memory = new Memory({ sizes: { text: 1 << 16, stack: 1 << 16, data: 1 << 16 } });
  readonly stack: Allocation = this.memory.allocate("stack", 8192, "the stack");
  readonly functions: Record<string, HostFunction>;
  readonly asked: Reference[] = [];

  constructor(functions: Record<string, HostFunction> = {}) {
    this.functions = functions;
  }

  address(symbol: Reference): bigint {
    this.asked.push(symbol);
    if (symbol.kind === "map") return BigInt(symbol.index) * 4096n;
    if (symbol.kind === "map-value") return BigInt(symbol.index) * 4096n + BigInt(symbol.offset);
    throw new BpfError("unknown-symbol", symbol.kind);
  }

  function(symbol: Reference): HostFunction {
    this.asked.push(symbol);
    const name =
      symbol.kind === "helper"
        ? `${symbol.id}`
        : symbol.kind === "kfunc"
          ? `kfunc ${symbol.index}`
          : symbol.kind === "packet-load"
            ? `packet ${symbol.size}`
            : "";
    const found = this.functions[name];
    if (found === undefined) throw new BpfError("unknown-symbol", name);
    return found;
  }

  start(engine: Engine, program: VerifiedProgram, options: Partial<StartOptions> = {}, load?: LoadOptions): Execution {
    return engine.load(program, this, load).start(this.options(options));
  }

  options(options: Partial<StartOptions> = {}): StartOptions {
    const low = this.stack.address;
    return { args: [], stack: { low, high: low + BigInt(this.stack.size) }, ...options };
  }
}
