// What the command does to the outside world: two streams, files to read, and what the environment says about colour.
import { readFileSync } from "node:fs";

/** The outside world of one call of the command; tests supply their own. */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  /** Reads a whole file; `-` is the standard input. @throws a Node.js file system error */
  read(path: string): Uint8Array;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether each stream is a terminal. */
  readonly terminal: { readonly out: boolean; readonly err: boolean };
  /** Milliseconds from some point in time; only for progress and for the time that the demo reports. */
  now(): number;
}

/** The world of a process. */
export function processIo(): Io {
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    read: (path) => readFileSync(path === "-" ? 0 : path),
    env: process.env,
    terminal: { out: process.stdout.isTTY === true, err: process.stderr.isTTY === true },
    now: () => performance.now(),
  };
}
