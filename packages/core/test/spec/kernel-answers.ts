// The text files beside this one: what real kernels answered when tools/oracle/spec.mjs asked.
import { readFileSync } from "node:fs";

/** What one kernel says of one situation: a program type with an attach type. */
export interface Situation {
  readonly type: string;
  readonly attachType?: string;
  readonly helpers: ReadonlySet<number>;
  /** By `read 4 70`, operation, width and offset: what a load gives, in the kernel's words. */
  readonly accesses: ReadonlyMap<string, string>;
  /** `anything`, or the smallest and the largest value. */
  readonly returns: string;
  readonly lines: ReadonlySet<string>;
}

export interface Answers {
  readonly situations: readonly Situation[];
  /** Attach types that programs can be loaded for, by program type. */
  readonly attachTypes: ReadonlyMap<string, ReadonlySet<number>>;
}

/** Numbers of `1..5 9`. */
export function numbersIn(text: string, step = 1): number[] {
  return text
    .split(" ")
    .filter(Boolean)
    .flatMap((span) => {
      const [from, to = from] = span.split("..").map(Number) as [number, number?];
      return Array.from({ length: (to - from) / step + 1 }, (_, i) => from + i * step);
    });
}

export function answersOf(kernel: string): Answers {
  const text = readFileSync(new URL(`linux-${kernel}.txt`, import.meta.url), "utf8");
  const situations: Situation[] = [];
  const attachTypes = new Map<string, ReadonlySet<number>>();
  for (const part of text.split("\n\n").slice(1)) {
    const [head, ...lines] = part.trim().split("\n") as [string, ...string[]];
    const names = head.slice(1, -1).split(", ");
    if (names[0] === "attach types") {
      for (const line of lines) {
        const [type, ...spans] = line.split(" ");
        attachTypes.set(type!, new Set(numbersIn(spans.join(" "))));
      }
      continue;
    }
    const accesses = new Map<string, string>();
    for (const line of lines) {
      const [, what, width, value = "", offsets] = /^(read|write) (\d)(?: (\w+))?: (.*)$/.exec(line) ?? [];
      if (what === undefined) continue;
      for (const offset of numbersIn(offsets!, Number(width))) accesses.set(`${what} ${width} ${offset}`, value);
    }
    const rest = (word: string): string =>
      lines.find((line) => line.startsWith(`${word} `))?.slice(word.length + 1) ?? "";
    for (const name of names) {
      const [type, attachType] = name.split(" ") as [string, string?];
      situations.push({
        type,
        ...(attachType === undefined ? {} : { attachType }),
        helpers: new Set(numbersIn(rest("helpers"))),
        accesses,
        returns: rest("returns"),
        lines: new Set(lines),
      });
    }
  }
  return { situations, attachTypes };
}
