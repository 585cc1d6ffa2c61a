// The bridge from a loaded program to its kernel: addresses of its maps, code behind its calls, and the checks before loading.
import {
  BpfError,
  type GuestCall,
  type Host,
  type HostCall,
  type HostFunction,
  type Symbol as HostSymbol,
  helperById,
  INSNS,
  inferFacts,
  inlineArrayLookup,
  invariant,
  MAP_TYPES,
  Mark,
  type Memory,
  mapTypeName,
  OPS,
  opAt,
  type Program,
  type VerifiedProgram,
} from "@bpfkit/core";
import { CONTEXTS } from "./context/registry.ts";
import type { HelperSite } from "./helpers/helper.ts";
import { helperRow } from "./helpers/registry.ts";
import { packetLoad } from "./helpers/skb.ts";
import { type OwnKfunc, TRACING_KFUNCS } from "./helpers/tracing.ts";
import type { Kernel, KernelFunction } from "./kernel.ts";
import { ArrayMap } from "./maps/array.ts";
import type { LiveMap } from "./maps/map.ts";

/** Sources of two-slot loads that stand for addresses in values. */
const [MAP_FD_VALUE, MAP_IDX_VALUE] = [2, 6];

/** What users supplied: helpers by number, kfuncs by name. */
export interface UserFunctions {
  readonly helpers: Map<number, KernelFunction>;
  readonly kfuncs: Map<string, UserKfunc>;
}

/** A kfunc, and whether it may sleep. */
export interface UserKfunc {
  readonly run: KernelFunction;
  readonly sleeps: boolean;
}

/** @throws {BpfError} for what this program will not find when it runs, at the instruction that asks for it */
export function checkProgram(verified: VerifiedProgram, functions: UserFunctions): void {
  const { program, structure, passes } = verified;
  const context = CONTEXTS[program.type];
  if (context === undefined) {
    throw new BpfError("unsupported", `program type '${program.type}' of '${program.name}'`, {
      expected: Object.keys(CONTEXTS).join(", "),
    });
  }
  checkProgArrays(verified);
  const { insns } = program;
  for (let at = 0; at < insns.length; at++) {
    if ((structure.marks[at]! & Mark.START) === 0) continue;
    const kind = kindAt(program, at);
    if (kind === "callHelper") checkHelper(program, insns.imm(at), functions, at);
    else if (kind === "callKfunc") {
      if (ownKfunc(program, insns.imm(at), functions) === undefined) kfuncOf(program, insns.imm(at), functions, at);
    } else if (kind === "loadImm64" && !passes.includes(inlineArrayLookup.name)) checkValueLoad(program, at);
    else if (kind === "packetLoad" && !context.packetLoads) {
      throw new BpfError(
        "unsupported",
        `a legacy packet load at instruction ${at} of ${program.type} program '${program.name}'`,
        {
          insn: at,
          hint: "such loads need a socket buffer, which this program type has none of; the kernel refuses them, too",
        },
      );
    }
  }
}

/** Prog arrays are for tail calls only, and tail calls for prog arrays, as far as a call's map is known. */
function checkProgArrays(verified: VerifiedProgram): void {
  const { program, structure } = verified;
  const { insns, maps } = program;
  const hasTailCall = structure.subprogs.some((subprog) => subprog.hasTailCall);
  if (!hasTailCall && !maps.some(({ type }) => type === MAP_TYPES.prog_array)) return;
  const { map: mapOf } = verified.facts ?? inferFacts(verified);
  for (let insn = 0; insn < insns.length; insn++) {
    const map = maps[mapOf[insn]! - 1];
    const kind = map === undefined ? undefined : kindAt(program, insn);
    if (map === undefined || (kind !== "callHelper" && kind !== "tailCall")) continue;
    if ((map.type === MAP_TYPES.prog_array) === (kind === "tailCall")) continue;
    const helper = helperById(insns.imm(insn))?.name ?? insns.imm(insn);
    throw new BpfError(
      "argument",
      `cannot pass ${mapTypeName(map.type)} map '${map.name}' into bpf_${helper} at instruction ${insn} of '${program.name}' (EINVAL)`,
      { insn, expected: kind === "tailCall" ? "a prog_array" : "a map with values" },
    );
  }
}

/** Direct access to a value, as the kernel allows it: in an array of one element. */
function checkValueLoad({ insns, maps }: Program, insn: number): void {
  const source = insns.src(insn);
  const map = maps[insns.imm(insn)];
  if ((source !== MAP_FD_VALUE && source !== MAP_IDX_VALUE) || map === undefined) return;
  const { name, type, maxEntries, valueSize } = map;
  const offset = insns.imm(insn + 1) >>> 0;
  if (type !== MAP_TYPES.array || maxEntries !== 1) {
    const what = `a direct load of the value of ${mapTypeName(type) ?? type} map '${name}' (ENOTSUPP)`;
    throw new BpfError("argument", what, { insn, expected: "an array of 1 element" });
  }
  if (offset >= valueSize) {
    const what = `offset ${offset} in the value of map '${name}' (EINVAL)`;
    throw new BpfError("argument", what, { insn, expected: `less than ${valueSize}` });
  }
}

function kindAt({ insns }: Program, at: number): string | undefined {
  const row = opAt(insns, at);
  return row < 0 ? undefined : INSNS[OPS[row]!].kind;
}

function checkHelper(program: Program, id: number, { helpers }: UserFunctions, insn?: number): void {
  if (helpers.has(id)) return;
  const spec = helperById(id);
  const where = insn === undefined ? "" : ` at instruction ${insn}`;
  const details = insn === undefined ? {} : { insn };
  if (spec === undefined) throw new BpfError("unknown-symbol", `helper ${id}${where} of '${program.name}'`, details);
  const row = helperRow(spec.name);
  const name = `helper bpf_${spec.name} (${id})${where} of '${program.name}'`;
  if (row === undefined) {
    throw new BpfError("unsupported", name, { ...details, hint: "Kernel.registerHelper can supply it" });
  }
  if (row.types !== undefined && !row.types.includes(program.type)) {
    throw new BpfError("unsupported", `${name} in a program of type ${program.type}`, {
      ...details,
      expected: `type ${row.types.join(" or ")}`,
    });
  }
}

/** A kfunc that this package has itself; one that the user supplies goes before it. */
function ownKfunc({ type, kfuncs }: Program, index: number, functions: UserFunctions): OwnKfunc | undefined {
  const name = kfuncs[index] ?? "";
  return type !== "tracing" || functions.kfuncs.has(name) ? undefined : TRACING_KFUNCS[name];
}

function kfuncOf(program: Program, index: number, { kfuncs }: UserFunctions, insn?: number): KernelFunction {
  const name = program.kfuncs[index];
  const kfunc = name === undefined ? undefined : kfuncs.get(name);
  const where = insn === undefined ? "" : ` at instruction ${insn}`;
  if (kfunc?.sleeps === true && program.sleepable !== true) {
    throw new BpfError("argument", `kfunc '${name}'${where} of '${program.name}' (EINVAL): it may sleep`, {
      expected: "a program that may sleep",
    });
  }
  if (kfunc !== undefined) return kfunc.run;
  throw new BpfError(
    "unknown-symbol",
    `kfunc ${name === undefined ? index : `'${name}'`}${where} of '${program.name}'`,
    {
      ...(insn === undefined ? {} : { insn }),
      hint: "Kernel.defineKfunc supplies kernel functions",
    },
  );
}

/** What one program can reach. */
export class ProgramHost implements Host {
  readonly memory: Memory;
  readonly #kernel: Kernel;
  readonly #site: HelperSite;
  readonly #program: Program;
  readonly #maps: readonly LiveMap[];
  readonly #functions: UserFunctions;

  constructor(kernel: Kernel, site: HelperSite, program: Program, maps: readonly LiveMap[], functions: UserFunctions) {
    this.memory = kernel.memory;
    this.#kernel = kernel;
    this.#site = site;
    this.#program = program;
    this.#maps = maps;
    this.#functions = functions;
  }

  address(symbol: HostSymbol): bigint {
    if (symbol.kind !== "map" && symbol.kind !== "map-value") {
      throw new BpfError("unknown-symbol", `${symbol.kind} of '${this.#program.name}'`, { expected: "a map" });
    }
    const map = this.#maps[symbol.index];
    if (map === undefined) {
      throw new BpfError("unknown-symbol", `map ${symbol.index} of '${this.#program.name}'`, {
        expected: `one of ${this.#maps.length}`,
      });
    }
    return symbol.kind === "map" ? map.address : valueAddress(map, symbol.offset);
  }

  function(symbol: HostSymbol): HostFunction {
    const kernel = this.#kernel;
    if (symbol.kind === "kfunc") {
      const own = ownKfunc(this.#program, symbol.index, this.#functions);
      if (own !== undefined) return (call) => own(this.#site, call);
      return userFunction(kernel, kfuncOf(this.#program, symbol.index, this.#functions));
    }
    if (symbol.kind === "packet-load") return packetLoad(this.#site, symbol.size);
    if (symbol.kind !== "helper") throw new BpfError("unknown-symbol", `${symbol.kind} of '${this.#program.name}'`);
    const own = this.#functions.helpers.get(symbol.id);
    if (own !== undefined) return userFunction(kernel, own);
    checkHelper(this.#program, symbol.id, this.#functions);
    const { run } = helperRow(helperById(symbol.id)!.name)!;
    const site = this.#site;
    return (call) => run(site, call);
  }
}

/** Address of a value of which {@link checkValueLoad} approves, or of element 0 of any array. */
function valueAddress(map: LiveMap, offset: number): bigint {
  invariant(map instanceof ArrayMap && !map.perCpu, `an array for the direct load of '${map.name}'`);
  return map.firstValue + BigInt(offset);
}

/** Users may give negative numbers. */
function userFunction(kernel: Kernel, run: KernelFunction): HostFunction {
  return (call: HostCall) => {
    const result = run(call, kernel);
    return typeof result === "bigint" ? BigInt.asUintN(64, result) : wrapped(result);
  };
}

function* wrapped(calls: Generator<GuestCall, bigint, bigint>): Generator<GuestCall, bigint, bigint> {
  return BigInt.asUintN(64, yield* calls);
}
