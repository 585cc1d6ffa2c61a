// How things look: tables, JSON, colours, the progress bar, and what an error says and exits with.
import { BpfError, type ErrorCode } from "@bpfkit/core";
import pc from "picocolors";
import { UsageError } from "./arguments.ts";
import type { Io } from "./io.ts";

/** Exit codes of the command. */
export const EXIT: {
  readonly OK: 0;
  readonly NEGATIVE: 1;
  readonly USAGE: 2;
  readonly MALFORMED: 3;
  readonly LIMIT: 4;
  readonly INTERNAL: 5;
} = { OK: 0, NEGATIVE: 1, USAGE: 2, MALFORMED: 3, LIMIT: 4, INTERNAL: 5 };

const EXIT_OF: Readonly<Record<ErrorCode, number>> = {
  argument: EXIT.USAGE,
  syntax: EXIT.MALFORMED,
  malformed: EXIT.MALFORMED,
  structure: EXIT.MALFORMED,
  rejected: EXIT.NEGATIVE,
  unsupported: EXIT.MALFORMED,
  "unknown-symbol": EXIT.MALFORMED,
  "out-of-range": EXIT.MALFORMED,
  limit: EXIT.LIMIT,
  divergence: EXIT.NEGATIVE,
  internal: EXIT.INTERNAL,
};

/** Colours, or their absence. */
export type Style = Readonly<Record<"bold" | "dim" | "red" | "green" | "yellow" | "cyan", (text: string) => string>>;

/** The colours to use on the standard output. */
export function styleFor(io: Io, when: "auto" | "always" | "never"): Style {
  const wanted =
    when === "always" || (when === "auto" && io.terminal.out && !io.env.NO_COLOR && io.env.TERM !== "dumb");
  return pc.createColors(wanted);
}

/** A failure with the file that it is about. */
export class FileError extends Error {
  override readonly name: string = "FileError";
  readonly file: string;

  constructor(file: string, cause: unknown) {
    super(`${file}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.file = file;
  }
}

/** Runs `body`, naming `file` in what it throws. */
export function about<T>(file: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof FileError || error instanceof UsageError) throw error;
    throw new FileError(file, error);
  }
}

/** Reads a file of the command line. @throws {UsageError} where it cannot be read */
export function readInput(io: Io, path: string): Uint8Array {
  try {
    return io.read(path);
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    const why = code === "ENOENT" ? "no such file" : code === "EISDIR" ? "is a folder" : (error as Error).message;
    throw new UsageError(`${path}: ${why}`);
  }
}

/** The message and exit code of a failure: `FILE: offset O: …`, `FILE: insn I: …`, `FILE:LINE:COLUMN: …`. */
export function describeFailure(error: unknown): { readonly text: string; readonly exit: number } {
  if (error instanceof UsageError) return { text: error.message, exit: EXIT.USAGE };
  const cause = error instanceof FileError ? error.cause : error;
  const file = error instanceof FileError ? `${error.file}: ` : "";
  if (!(cause instanceof BpfError)) {
    const stack = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    return { text: `${file}internal error; a report with the input is welcome\n${stack}`, exit: EXIT.INTERNAL };
  }
  const { offset, insn, line, column } = cause.details;
  const place = [
    ...(offset === undefined ? [] : [`offset ${offset}: `]),
    ...(insn === undefined ? [] : [`insn ${insn}: `]),
    ...(line === undefined ? [] : [`line ${line}${column === undefined ? "" : `:${column}`}: `]),
  ];
  return { text: `${file}${place.join("")}${cause.message}`, exit: EXIT_OF[cause.code] };
}

/** Prints a value as JSON, on one line or indented. 64-bit integers become strings. */
export function printJson(io: Io, value: unknown, pretty: boolean): void {
  const text = JSON.stringify(
    value,
    (_, field) => (typeof field === "bigint" ? field.toString() : field),
    pretty ? 2 : 0,
  );
  io.out(`${text}\n`);
}

/** Lines of columns: numbers to the right, the rest to the left; nothing behind the last column. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const texts = [head, ...rows].map((row) => row.map((cell) => (typeof cell === "number" ? grouped(cell) : cell)));
  const right = head.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === "number"));
  const widths = head.map((_, column) => Math.max(...texts.map((row) => row[column]?.length ?? 0)));
  const pad = (cell: string, column: number): string =>
    right[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!);
  return texts.map((row) => `  ${row.map(pad).join("  ").trimEnd()}\n`).join("");
}

/** `1,234,567` */
export function grouped(value: number | bigint): string {
  return value.toString().replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** `0a ff` */
export function hexBytes(bytes: Uint8Array, separator: string = " "): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(separator);
}

const BAR = 30;
const REDRAW = 100; // milliseconds

/** A bar on the standard error of a terminal, drawn only by work that lasts; silent anywhere else. */
export class Progress {
  readonly #io: Io;
  readonly #label: string;
  readonly #active: boolean;
  readonly #started: number;
  #drawn = 0;

  constructor(io: Io, label: string, quiet: boolean) {
    this.#io = io;
    this.#label = label;
    this.#active = io.terminal.err && !quiet;
    this.#started = this.#active ? io.now() : 0;
  }

  /** Says how far it is, from 0 to 1. */
  update(share: number): void {
    if (!this.#active) return;
    const now = this.#io.now();
    if (now - Math.max(this.#started, this.#drawn) < REDRAW) return;
    this.#drawn = now;
    const full = Math.round(share * BAR);
    const percent = String(Math.floor(share * 100)).padStart(3);
    this.#io.err(`\r${this.#label} [${"#".repeat(full)}${".".repeat(BAR - full)}] ${percent} %`);
  }

  /** Wipes the bar. */
  end(): void {
    if (this.#drawn > 0) this.#io.err(`\r${" ".repeat(this.#label.length + BAR + 10)}\r`);
  }
}
