// A program placed for interpretation: instructions decoded on first use, host functions and addresses resolved at load.
import { checkTailCalls } from "../analysis/tail-calls.ts";
import { BpfError, invariant } from "../errors.ts";
import { kindOf, OPS, opAt } from "../isa/decode.ts";
import { INSNS, type InsnKind, type Op } from "../isa/opcodes.ts";
import { type Fields, type Meaning, SEMANTICS } from "../isa/semantics.ts";
import { targetOf } from "../isa/targets.ts";
import type { VerifiedProgram } from "../program.ts";
import type {
  Executable,
  Execution,
  Host,
  HostFunction,
  LoadOptions,
  Symbol as Reference,
  StartOptions,
} from "./engine.ts";
import { Access, type Allocation, type Memory } from "./memory.ts";

/** An instruction ready to run. */
export interface Decoded extends Fields {
  readonly meaning: Meaning;
  /** Slot of the instruction behind it. */
  readonly next: number;
}

/** Bytes that stand for a subprogram in the host region. */
const ENTRY_SIZE = 16;

const ILLEGAL: Meaning = (m) => m.trapIf(m.constant(1n), "illegal");
const UNSUPPORTED: ReadonlySet<InsnKind> = new Set<InsnKind>(["addrSpaceCast", "gotox", "callx"]);

/** Programs in each memory by the address of their entry, where tail calls find them. */
const ENTRIES = new WeakMap<Memory, Map<bigint, Loaded>>();

/** What every invocation of a loaded program shares. */
export class Loaded {
  /** The program that is entered at an address. */
  static at(memory: Memory, entry: bigint): Loaded | undefined {
    return ENTRIES.get(memory)?.get(entry);
  }

  readonly program: VerifiedProgram;
  readonly host: Host;
  /** What the engine gives out. */
  readonly executable: Executable;
  /** Per slot; filled by {@link decode}. */
  readonly decoded: (Decoded | undefined)[];
  readonly helpers: Map<number, HostFunction> = new Map();
  readonly kfuncs: Map<number, HostFunction> = new Map();
  readonly packetLoads: Map<number, HostFunction> = new Map();
  /** What the two-slot load at a slot stands for, where it is not a plain number. */
  readonly symbols: Map<number, bigint> = new Map();
  /** Address that stands for each subprogram. */
  readonly entries: readonly bigint[];
  readonly #subprogs: ReadonlyMap<bigint, number>;
  readonly #entriesAllocation: Allocation | undefined;

  /** @throws {BpfError} `unsupported`, `unknown-symbol`, or `limit` where the host region is full */
  constructor(
    program: VerifiedProgram,
    host: Host,
    { subprogAddress }: LoadOptions,
    start: (loaded: Loaded, options: StartOptions) => Execution,
  ) {
    checkTailCalls(program);
    this.program = program;
    this.host = host;
    this.executable = {
      program,
      subprogAddress: (index) => this.entries[index]!,
      start: (startOptions) => start(this, startOptions),
      release: () => this.release(),
    };
    this.decoded = new Array<undefined>(program.program.insns.length).fill(undefined);
    this.#resolveFunctions();
    const { subprogs } = program.structure;
    if (subprogAddress === undefined) {
      const owner = `subprograms of ${program.program.name}`;
      this.#entriesAllocation = host.memory.allocate("host", ENTRY_SIZE * subprogs.length, owner, Access.HOST);
    }
    const first = this.#entriesAllocation?.address ?? 0n;
    this.entries = subprogs.map((_, i) => subprogAddress?.(i) ?? first + BigInt(ENTRY_SIZE * i));
    this.#subprogs = new Map(this.entries.map((address, i) => [address, i]));
    this.#resolveSubprogs();
    const placed = ENTRIES.get(host.memory) ?? new Map<bigint, Loaded>();
    ENTRIES.set(host.memory, placed.set(this.entries[0]!, this));
  }

  /** Index of the subprogram that an address stands for. */
  subprogOf(address: bigint): number | undefined {
    return this.#subprogs.get(address);
  }

  /** The instruction at a slot; one that traps as illegal where none begins. */
  decode(pc: number): Decoded {
    const { insns } = this.program.program;
    const op = pc >= 0 && pc < insns.length ? opAt(insns, pc) : -1;
    if (op < 0) return { ...NOTHING, meaning: ILLEGAL, pc, next: pc + 1 };
    const wide = insns.width(pc) === 2;
    const decoded: Decoded = {
      meaning: SEMANTICS[OPS[op]!],
      dst: insns.dst(pc),
      src: insns.src(pc),
      off: BigInt.asUintN(64, BigInt(insns.off(pc))),
      imm: BigInt.asUintN(64, BigInt(insns.imm(pc))),
      imm32: BigInt(insns.imm(pc) >>> 0),
      imm64: wide ? insns.imm64(pc) : 0n,
      id: insns.imm(pc),
      pc,
      target: BigInt(targetOf(insns, pc, op) ?? 0),
      next: pc + (wide ? 2 : 1),
    };
    this.decoded[pc] = decoded;
    return decoded;
  }

  release(): void {
    ENTRIES.get(this.host.memory)?.delete(this.entries[0]!);
    if (this.#entriesAllocation !== undefined) this.host.memory.free(this.#entriesAllocation);
  }

  #resolveFunctions(): void {
    const { insns } = this.program.program;
    const ask = (functions: Map<number, HostFunction>, key: number, symbol: Reference): void => {
      if (!functions.has(key)) functions.set(key, this.host.function(symbol));
    };
    for (let at = 0; at < insns.length; at += insns.width(at)) {
      const row = opAt(insns, at);
      if (row < 0) continue;
      const op = OPS[row]!;
      const kind = kindOf(row);
      if (UNSUPPORTED.has(kind) || op === "lddw_btf_id") {
        throw new BpfError("unsupported", `${op} at ${at} is nothing the interpreter runs yet`, { insn: at });
      }
      const imm = insns.imm(at);
      if (kind === "callHelper") ask(this.helpers, imm, { kind: "helper", id: imm });
      else if (kind === "callKfunc") ask(this.kfuncs, imm, { kind: "kfunc", index: imm });
      else if (kind === "packetLoad") {
        const size = packetLoadSize(op);
        ask(this.packetLoads, size, { kind: "packet-load", size });
      } else if (kind === "loadImm64") this.#resolveMap(op, at);
    }
  }

  #resolveMap(op: Op, at: number): void {
    const { insns } = this.program.program;
    const index = insns.imm(at);
    if (op === "lddw_map_fd" || op === "lddw_map_idx") {
      this.symbols.set(at, this.host.address({ kind: "map", index }));
    } else if (op === "lddw_map_value" || op === "lddw_map_idx_value") {
      this.symbols.set(at, this.host.address({ kind: "map-value", index, offset: insns.imm(at + 1) >>> 0 }));
    }
  }

  #resolveSubprogs(): void {
    const { program, structure } = this.program;
    const { insns } = program;
    for (let at = 0; at < insns.length; at += insns.width(at)) {
      const row = insns.width(at) === 2 ? opAt(insns, at) : -1;
      if (row < 0 || OPS[row] !== "lddw_subprog") continue;
      const index = structure.subprogAt(targetOf(insns, at, row)!);
      invariant(index >= 0, `the subprogram loaded at ${at}`);
      this.symbols.set(at, this.entries[index]!);
    }
  }
}

const NOTHING: Omit<Fields, "pc"> = { dst: 0, src: 0, off: 0n, imm: 0n, imm32: 0n, imm64: 0n, id: 0, target: 0n };

function packetLoadSize(op: Op): 1 | 2 | 4 {
  const { code } = INSNS[op];
  return (code & 0x18) === 0x10 ? 1 : (code & 0x18) === 0x08 ? 2 : 4;
}
