// What the tests of the command share: the example files, captures made of packets, and a world that keeps what is printed.
import { readFileSync } from "node:fs";
import { main } from "../src/cli.ts";
import type { Io } from "../src/io.ts";

/** A file of the firewall example. */
export function example(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../../../examples/firewall/${name}`, import.meta.url)));
}

export function exampleText(name: string): string {
  return new TextDecoder().decode(example(name));
}

/** Writes a capture in one of the four dialects. */
export function capture(
  packets: readonly {
    readonly seconds: number;
    readonly fraction: number;
    readonly data: Uint8Array;
    readonly wireLength?: number;
  }[],
  dialect: { readonly little?: boolean; readonly nanoseconds?: boolean; readonly linkType?: number } = {},
): Uint8Array {
  const { little = true, nanoseconds = false, linkType = 1 } = dialect;
  const bytes = new Uint8Array(24 + packets.reduce((sum, { data }) => sum + 16 + data.length, 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4, little);
  view.setUint16(4, 2, little);
  view.setUint16(6, 4, little);
  view.setUint32(16, 65535, little);
  view.setUint32(20, linkType, little);
  let at = 24;
  for (const { seconds, fraction, data, wireLength = data.length } of packets) {
    [seconds, fraction, data.length, wireLength].forEach((field, i) => {
      view.setUint32(at + 4 * i, field, little);
    });
    bytes.set(data, at + 16);
    at += 16 + data.length;
  }
  return bytes;
}

/** What a call of the command did. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Calls the command with files that exist only here; the firewall's are always there. */
export function bpfkit(
  argv: readonly string[],
  files: Readonly<Record<string, Uint8Array>> = {},
  world: Partial<Pick<Io, "env" | "terminal" | "now">> = {},
): Outcome {
  let out = "";
  let err = "";
  const code = main(argv, {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    read: (path) => {
      const file = files[path];
      if (file !== undefined) return file;
      if (path === "-") return new Uint8Array();
      return example(path.replace(/^\.\//, ""));
    },
    env: {},
    terminal: { out: false, err: false },
    now: () => 0,
    ...world,
  });
  return { code, out, err };
}

/** Numbers below 2³² from a seed (xorshift). */
export function seeded(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
