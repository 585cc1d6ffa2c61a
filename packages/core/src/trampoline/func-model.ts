// What a trampoline has to know of a function that can be traced: sizes and signs of arguments and result (Linux' `struct btf_func_model`).
import { BpfError } from "../errors.ts";

/** An argument. */
export interface ArgModel {
  /** Bytes: 1 to 8, or up to 16 in a struct. */
  readonly size: number;
  readonly signed: boolean;
  /** A struct or union by value. */
  readonly struct: boolean;
}

/** What a function returns: nothing (0 bytes) or a number of 1 to 8 bytes. */
export interface ResultModel {
  readonly size: number;
  readonly signed: boolean;
}

/** A function, without its name. */
export interface FuncModel {
  readonly args: readonly ArgModel[];
  readonly result: ResultModel;
}

const MAX_STRUCT = 16;
const SCALARS: ReadonlyMap<string, ArgModel> = new Map(
  (
    [
      [1, false, "u8", "__u8", "uint8_t", "bool", "char", "unsigned char"],
      [1, true, "s8", "__s8", "int8_t", "signed char"],
      [2, false, "u16", "__u16", "uint16_t", "unsigned short"],
      [2, true, "s16", "__s16", "int16_t", "short"],
      [4, false, "u32", "__u32", "uint32_t", "unsigned", "unsigned int"],
      [4, true, "s32", "__s32", "int32_t", "int"],
      [8, false, "u64", "__u64", "uint64_t", "unsigned long", "unsigned long long", "size_t"],
      [8, true, "s64", "__s64", "int64_t", "long", "long long", "ssize_t"],
    ] as const
  ).flatMap(([size, signed, ...names]) => names.map((name) => [name, { size, signed, struct: false }] as const)),
);

/**
 * Reads a model in C's words: `int (u64, struct{u64, u32}, char *)`. Members of a struct lie as C lays them out; a `char` has no sign, as kernels since 6.2 are
 * compiled (`-funsigned-char`).
 *
 * @throws {BpfError} `syntax` names what is not understood
 * @example
 * ```ts
 * import { formatFuncModel, parseFuncModel } from "@bpfkit/core";
 * console.log(formatFuncModel(parseFuncModel("void (int, struct{u64,u32})"))); // void (s32, struct 16)
 * ```
 */
export function parseFuncModel(text: string): FuncModel {
  const parts = /^\s*([^(]*?)\s*\(([\s\S]*)\)\s*$/.exec(text);
  if (parts === null) throw refusal(text, "RESULT (ARGUMENT, …)");
  const [, result, args] = parts;
  const list = args!.trim() === "" || args!.trim() === "void" ? [] : splitArgs(args!);
  return { args: list.map(argOf), result: resultOf(result!) };
}

/** A model as `parseFuncModel` reads it, with structs by their size: `int (u64, struct 16)`. */
export function formatFuncModel({ args, result }: FuncModel): string {
  const scalar = ({ size, signed }: ResultModel): string =>
    size === 0 ? "void" : [1, 2, 4, 8].includes(size) ? `${signed ? "s" : "u"}${8 * size}` : `struct ${size}`;
  const list = args.map((arg) => (arg.struct ? `struct ${arg.size}` : scalar(arg)));
  return `${scalar(result)} (${list.join(", ")})`;
}

function resultOf(text: string): ResultModel {
  if (text === "void") return { size: 0, signed: false };
  const { size, signed, struct } = argOf(text);
  if (struct) throw refusal(text, "a result that is a number, a pointer or void");
  return { size, signed };
}

function argOf(text: string): ArgModel {
  const type = text.trim().replace(/\s+/g, " ");
  if (type.endsWith("*")) return { size: 8, signed: false, struct: false };
  const scalar = SCALARS.get(type);
  if (scalar !== undefined) return scalar;
  const sized = /^struct (\d+)$/.exec(type);
  const members = /^(?:struct|union) ?\{(.*)\}$/.exec(type);
  const size = sized !== null ? Number(sized[1]) : members !== null ? structSize(type, members[1]!) : 0;
  if (!(size >= 1 && size <= MAX_STRUCT)) {
    throw refusal(
      text,
      `u8 to u64, s8 to s64, C's integer types, pointers, or struct{…} of at most ${MAX_STRUCT} bytes`,
    );
  }
  return { size, signed: false, struct: true };
}

function structSize(type: string, members: string): number {
  const fields = splitArgs(members.replaceAll(";", ",")).filter((field) => field.trim() !== "");
  let [end, align] = [0, 1];
  for (const field of fields) {
    const { size, struct } = argOf(field);
    const step = struct ? 8 : size;
    const at = type.startsWith("union") ? 0 : Math.ceil(end / step) * step;
    end = Math.max(end, at + size);
    align = Math.max(align, step);
  }
  return Math.ceil(end / align) * align;
}

/** At commas that are in no braces. */
function splitArgs(text: string): string[] {
  const parts = [""];
  let depth = 0;
  for (const letter of text) {
    if (letter === "{") depth++;
    if (letter === "}") depth--;
    if (letter === "," && depth === 0) parts.push("");
    else parts[parts.length - 1] += letter;
  }
  return parts;
}

function refusal(text: string, expected: string): BpfError {
  return new BpfError("syntax", `function model '${text.trim()}'`, { expected });
}
