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

/** What one kernel says of one helper. */
export interface CallAnswer {
  readonly helper: string;
  readonly type: string;
  /** `fine`, `refused`, or `unasked`: a call with arguments as the table has them. */
  readonly call: string;
  /** What r0 holds, in the kernel's words; `nothing`, or `unasked`. */
  readonly gives: string;
  /** What each argument has to be, as tools/oracle/spec-calls.mjs says it. */
  readonly args: readonly string[];
  readonly effects: ReadonlySet<string>;
}

/** What one kernel says of one map type. */
export interface MapAnswer {
  readonly name: string;
  readonly keys: readonly number[];
  readonly values: readonly number[];
  readonly entries: readonly number[];
  /** Numbers of bits that may be set. */
  readonly flags: readonly number[];
  /** It can be created without any flag. */
  readonly bare: boolean;
  readonly helpers: readonly string[];
  /** Among `direct` and `sleepable`. */
  readonly abilities: readonly string[];
}

export interface Answers {
  readonly calls: readonly CallAnswer[];
  readonly maps: readonly MapAnswer[];
  /** Accesses through pointers, as those of a {@link Situation}, by what they point to. */
  readonly pointers: ReadonlyMap<string, ReadonlyMap<string, string>>;
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
  const calls: CallAnswer[] = [];
  const maps: MapAnswer[] = [];
  const pointers = new Map<string, ReadonlyMap<string, string>>();
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
    if (names[0] === "calls") {
      calls.push(...lines.map(callIn));
      continue;
    }
    if (names[0] === "maps") {
      maps.push(...lines.map(mapIn));
      continue;
    }
    const accesses = accessesIn(lines);
    if (names[0]!.startsWith("to ")) {
      pointers.set(names[0]!.slice(3), accesses);
      continue;
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
  return { situations, attachTypes, calls, maps, pointers };
}

function accessesIn(lines: readonly string[]): ReadonlyMap<string, string> {
  const accesses = new Map<string, string>();
  for (const line of lines) {
    const [, what, width, value = "", offsets] = /^(read|write) (\d)(?: (\w+))?: (.*)$/.exec(line) ?? [];
    if (what === undefined) continue;
    for (const offset of numbersIn(offsets!, Number(width))) accesses.set(`${what} ${width} ${offset}`, value);
  }
  return accesses;
}

function callIn(line: string): CallAnswer {
  const [, helper, type, call, gives, args, effects] = /^(\w+) \[(\w+).*?\] (\w+) gives (\w+) \((.*)\)(.*)$/.exec(
    line,
  )!;
  return {
    helper: helper!,
    type: type!,
    call: call!,
    gives: gives!,
    args: args!.split(", ").filter(Boolean),
    effects: new Set(effects!.split(" ").filter(Boolean)),
  };
}

function mapIn(line: string): MapAnswer {
  const parts = line.split("|").map((part) => part.trim());
  const words = (text: string): string[] => text.split(" ").filter(Boolean);
  const numbers = (index: number): number[] => words(parts[index]!).slice(1).map(Number);
  return {
    name: parts[0]!,
    keys: numbers(1),
    values: numbers(2),
    entries: numbers(3),
    flags: numbers(4),
    bare: numbers(5).length > 0,
    helpers: words(parts[6]!),
    abilities: words(parts[7]!),
  };
}
