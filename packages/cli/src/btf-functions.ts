// The functions of a BTF file as multi-attach knows them, and those that a command line names.
import {
  type ArgPlaces,
  type Backend,
  BpfError,
  type FuncModel,
  type FunctionFacts,
  FunctionFlag,
  ModelKeys,
  matchesPattern,
  placesKey,
} from "@bpfkit/core";
import { type FunctionModels, functionModels, loadBtf, type RefusedFunction } from "@bpfkit/object";
import { type Call, type OptionSpec, UsageError } from "./arguments.ts";
import { about, readInput } from "./output.ts";

/** Options of commands that choose functions. */
export const FUNCTION_OPTIONS: Readonly<Record<"btf" | "functions", OptionSpec>> = {
  btf: { value: "FILE", help: "BTF of a kernel, as /sys/kernel/btf/vmlinux" },
  functions: {
    value: "NAMES",
    help: "separated by commas, with * and ?; those of further programs behind a semicolon",
  },
};

/** What one program is to be attached to. */
export interface Selection {
  readonly patterns: readonly string[];
  /** Numbers of functions, ascending. */
  readonly functions: readonly number[];
  readonly refused: readonly RefusedFunction[];
}

/** Reads `--btf`. @throws {UsageError} without it; {BpfError} for what is no BTF */
export function readFunctions({ io, arguments: args }: Call): FunctionModels {
  const path = args.text("btf");
  if (path === undefined) throw new UsageError("multi needs --btf FILE, such as /sys/kernel/btf/vmlinux");
  const bytes = readInput(io, path);
  return about(path, () => functionModels(loadBtf(bytes)));
}

/** Reads `--functions`: one selection per program. @throws {UsageError} where a name matches nothing */
export function selectFunctions({ arguments: args }: Call, { names, refused }: FunctionModels): Selection[] {
  const text = args.text("functions");
  if (text === undefined) throw new UsageError("multi needs --functions NAMES, such as 'vfs_*,ksys_read'");
  return text.split(";").map((list): Selection => {
    const patterns = list.split(",").map((pattern) => pattern.trim());
    const isMatch = (name: string): boolean => patterns.some((pattern) => matchesPattern(name, pattern));
    const functions = [...names.keys()].filter((i) => isMatch(names[i]!));
    const without = refused.filter(({ name }) => isMatch(name));
    for (const pattern of patterns) {
      const found = [...functions.map((i) => names[i]!), ...without.map(({ name }) => name)];
      if (!found.some((name) => matchesPattern(name, pattern)))
        throw new UsageError(`no function matches '${pattern}'`);
    }
    return { patterns, functions, refused: without };
  });
}

/** The columns that plans are made from, for a backend. BTF does not tell which functions cannot be traced for other reasons than their arguments. */
export function factsOf({ names, models, modelOf }: FunctionModels, backend: Backend): FunctionFacts {
  const keys = new ModelKeys();
  const keyOf = models.map((model) => {
    const places = placesOf(backend, model);
    return places === undefined ? -1 : keys.of(placesKey(places));
  });
  return {
    count: names.length,
    models: Int32Array.from(modelOf, (model) => keyOf[model]!),
    flags: new Uint8Array(names.length).fill(FunctionFlag.TRACEABLE | FunctionFlag.MAY_SLEEP),
    name: (id) => names[id]!,
  };
}

/** Where arguments lie; undefined where they take more words than trampolines hand on. */
export function placesOf(backend: Backend, model: FuncModel): ArgPlaces | undefined {
  try {
    return backend.classifyArgs(model);
  } catch (error) {
    if (error instanceof BpfError && error.code === "unsupported") return undefined;
    throw error;
  }
}
