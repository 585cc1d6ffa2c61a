// What a call of a function with programs around it has to come to, said without a trampoline.
import type { ArgPlaces, ArgSlot, SmallWord, TrampolineLink, TrampolineTraits } from "@bpfkit/core";

/** A call of a function, and how everybody behaves in it. */
export interface TracedCall {
  /** In the order in which they were attached. */
  readonly links: readonly TrampolineLink[];
  /** Programs can ask for the function's address. */
  readonly funcIp: boolean;
  /** Called through a pointer in a table: the one program is the function. */
  readonly indirect: boolean;
  /** The trampoline looks up what to run. */
  readonly fromRow: boolean;
  /** The words of its arguments. */
  readonly words: readonly bigint[];
  /** Per link: whether the host lets the program run, and what it returns. */
  readonly allowed: readonly boolean[];
  readonly returns: readonly bigint[];
  /** What the function returns. */
  readonly result: bigint;
  /** Blocks that are turned off, by their order in the code, and from when on. */
  readonly off: ReadonlySet<number>;
  readonly offFrom: "start" | "original";
}

/** What a call did, in order, in words; and what the caller got. */
export interface Outcome {
  readonly events: readonly string[];
  readonly result: bigint;
}

/** What programs can find around their context. */
export interface Finding {
  readonly link: number;
  readonly words: readonly bigint[];
  /** Undefined where a program of its kind cannot ask. */
  readonly result: bigint | undefined;
  readonly ip: bigint | undefined;
  readonly atExit: boolean;
  readonly session: { readonly place: number; readonly word: bigint } | undefined;
}

/** What the host puts into a session's word, over what was there. */
export function nextWord(word: bigint, link: number): bigint {
  return BigInt.asUintN(64, word * 3n + 0x5e55_1000_0000_0001n + BigInt(link));
}

/** What `program-enter` gives for a link that may run. */
export function tokenOf(link: number): bigint {
  return 0x7000_0000_0000_0002n + BigInt(link);
}

/** What a search for a link's cookie finds for a function. */
export function cookieOf(link: number, ip: bigint): bigint {
  return BigInt.asUintN(64, (ip << 24n) ^ 0xc00c_1e00_0000_0001n) + BigInt(link);
}

/** Where the first session's word is, in words below the context, besides the function's address. */
const FIRST_SESSION = 2;

/**
 * The direct model: links run last first; `fentry`, then `fmod_ret` until one gives something else than 0, then the function unless one did,
 * then `fexit`. Sessions count as `fentry` and as `fexit`.
 *
 * @param ip - the function's address
 */
export function expectedOutcome(
  call: TracedCall,
  { slots }: ArgPlaces,
  { smallOnStack }: TrampolineTraits,
  ip: bigint,
): Outcome {
  const { links, funcIp, words } = call;
  const events: string[] = [];
  const lastFirst = [...links.entries()].reverse();
  const sessions = [...links.keys()].filter((link) => links[link]!.kind === "fsession");
  const own = new Map(sessions.map((link) => [link, 0n]));
  const seen = words.map((word, i) => cut(word, slots[i]!, smallOnStack.seen));
  const isWrapped = links.some(({ kind }) => kind !== "fentry");
  let result = 0n;
  let block = 0;
  let areOff = call.offFrom === "start";

  /** A program's block; gives what its program returned, if that ran. */
  const run = (link: number, when: "fentry" | "fmod_ret" | "fexit"): bigint | undefined => {
    const { kind, cookie = 0n, findsCookie = false } = links[link]!;
    if (call.off.has(block++) && areOff) return undefined;
    if (findsCookie) events.push(searchText(link, ip));
    events.push(enterText(link, findsCookie ? cookieOf(link, ip) : cookie));
    if (!call.allowed[link]) {
      events.push(exitText(link, 0n));
      return undefined;
    }
    const word = own.get(link);
    if (word !== undefined) own.set(link, nextWord(word, link));
    events.push(
      findingText({
        link,
        words: seen,
        result: seesResult(links, kind, call.indirect) ? result : undefined,
        ip: funcIp ? ip : undefined,
        atExit: sessions.length > 0 && when === "fexit", // without sessions nobody is told
        session:
          word === undefined ? undefined : { place: FIRST_SESSION + Number(funcIp) + sessions.indexOf(link), word },
      }),
      exitText(link, tokenOf(link)),
    );
    return call.returns[link]!;
  };
  const runAll = (when: "fentry" | "fexit"): void => {
    for (const [link, { kind }] of lastFirst) if (kind === when || kind === "fsession") run(link, when);
  };

  if (call.fromRow) events.push(rowText(ip));
  if (call.indirect) return { result: run(0, "fentry") ?? 0n, events };
  if (isWrapped) events.push("enter");
  runAll("fentry");
  for (const [link, { kind }] of lastFirst) {
    if (kind !== "fmod_ret") continue;
    if (result === 0n) result = run(link, "fmod_ret") ?? 0n;
    else block++;
  }
  if (result === 0n) {
    const passed = isWrapped ? words.map((word, i) => cut(word, slots[i]!, smallOnStack.passed)) : words;
    events.push(originalText(ip, passed));
    result = call.result;
    areOff = true;
  }
  runAll("fexit");
  if (isWrapped) events.push("exit");
  return { events, result };
}

/** Whether a program finds a result behind its arguments: 0 before there is one. */
export function seesResult(
  links: readonly TrampolineLink[],
  kind: TrampolineLink["kind"],
  isIndirect: boolean,
): boolean {
  return !isIndirect && (kind !== "fentry" || links.some((link) => link.kind === "fsession"));
}

function cut(word: bigint, { in: where, clear, size }: ArgSlot, small: SmallWord): bigint {
  if (where === "register" || small === "whole") return word;
  if (small === "own-bytes") return BigInt.asUintN(8 * size, word);
  return clear ? BigInt.asUintN(32, word) : word;
}

const hex = (value: bigint): string => value.toString(16);
const list = (words: readonly bigint[]): string => words.map(hex).join(" ");

export function enterText(link: number, cookie: bigint): string {
  return `program-enter of ${link}, cookie ${hex(cookie)}`;
}

export function exitText(link: number, token: bigint): string {
  return `program-exit of ${link} with ${hex(token)}`;
}

export function searchText(link: number, ip: bigint): string {
  return `cookie of ${link} for the function at ${hex(ip)}`;
}

export function rowText(ip: bigint): string {
  return `row of the function at ${hex(ip)}`;
}

export function originalText(ip: bigint, words: readonly bigint[]): string {
  return `the function at ${hex(ip)} with (${list(words)})`;
}

export function findingText({ link, words, result, ip, atExit, session }: Finding): string {
  let text = `program ${link} with (${list(words)})`;
  if (ip !== undefined) text += `, function at ${hex(ip)}`;
  if (result !== undefined) text += `, result ${hex(result)}`;
  if (atExit) text += ", at exit";
  if (session !== undefined) text += `, session ${hex(session.word)} ${session.place} words below`;
  return text;
}
