// What is asked of multi-attach, and why it is refused: each refusal names the function, its place in the request and the reason.
import { BpfError, type ErrorCode } from "../errors.ts";
import { type LinkKind, MAX_LINKS } from "../trampoline/plan.ts";
import { type FunctionFacts, FunctionFlag } from "./facts.ts";
import { type OrderedFunctions, orderFunctions } from "./order.ts";
import { type MultiState, NO_CLASS } from "./state.ts";

/** Most functions of one request. */
export const MAX_MULTI_FUNCTIONS: number = 1 << 20;

/** One program to functions. */
export interface MultiRequest {
  /** `fmod_ret` only where the link is typed. */
  readonly kind: LinkKind;
  /** A number of the caller's for the program: a function takes the same one once. */
  readonly program: number;
  /** Ids, each once, in any order; or a `pattern` in place of them. */
  readonly functions?: ArrayLike<number>;
  /** Names, with `*` for any letters and `?` for any one: all functions of such a name to which the program can be attached. */
  readonly pattern?: string;
  /** One per function, in the order of `functions`; 0 unless told. */
  readonly cookies?: ArrayLike<bigint>;
  /** The program knows the types of the arguments: it gets a trampoline of its own at each function. */
  readonly typed?: boolean;
  /** The program may sleep. */
  readonly sleepable?: boolean;
}

/** Why one function of a request cannot be taken. */
export interface MultiRefusal {
  /** In the request, from 0. */
  readonly index: number;
  readonly function: number;
  readonly code: ErrorCode;
  /** In words, with the kernel's name of the error. */
  readonly reason: string;
}

/** A request whose functions may all be taken. */
export interface CheckedRequest extends OrderedFunctions {
  readonly cookies: bigint | BigUint64Array;
}

/**
 * Ids of the functions that a request names.
 *
 * @throws {BpfError} `argument` (EINVAL) for no function at all, a pattern that nothing matches, ids and a pattern, cookies and a pattern, fewer or more
 * cookies than functions; `limit` (E2BIG) for more than 1,048,576 ids
 */
export function functionsOf(facts: FunctionFacts, request: MultiRequest): ArrayLike<number> {
  const { kind, typed = false, functions, pattern, cookies, sleepable = false } = request;
  const refuse = (what: string, expected: string): BpfError =>
    new BpfError("argument", `${what} (EINVAL)`, { expected });
  if (kind === "fmod_ret" && !typed) throw refuse("fmod_ret for functions of any type", "fentry, fexit or fsession");
  if (functions !== undefined && pattern !== undefined) throw refuse("functions and a pattern", "one of them");
  if (cookies !== undefined && pattern !== undefined) throw refuse("cookies and a pattern", "cookies with functions");
  const ids = pattern === undefined ? functions : matches(facts, pattern, sleepable);
  const count = ids?.length ?? 0;
  if (count === 0 && pattern !== undefined)
    throw refuse(`no function for '${pattern}'`, "a pattern of functions that can be traced");
  if (count === 0) throw refuse("no functions", "functions or a pattern");
  if (count > MAX_MULTI_FUNCTIONS)
    throw new BpfError("limit", `${count} functions (E2BIG)`, { expected: `at most ${MAX_MULTI_FUNCTIONS}` });
  if (cookies !== undefined && cookies.length !== count)
    throw refuse(`${cookies.length} cookies for ${count} functions`, "one for each");
  return ids!;
}

/** All functions of a request that cannot be taken, in the request's order. Throws as {@link functionsOf}. O(functions) */
export function refusalsOf(state: MultiState, request: MultiRequest): MultiRefusal[] {
  const ids = functionsOf(state.facts, request);
  const refusals = new Map<number, MultiRefusal>();
  const verdicts: ClassVerdicts = new Map();
  let isWhole = true;
  for (let index = 0; index < ids.length; index++) {
    const refusal = refusalOf(state, request, verdicts, ids, index);
    if (refusal !== undefined) refusals.set(index, refusal);
    if (!isFunction(state.facts, ids[index]!)) isWhole = false;
  }
  // What is no function has no place in the order.
  if (isWhole) for (const refusal of duplicatesIn(orderFunctions(ids))) refusals.set(refusal.index, refusal);
  return [...refusals.values()].sort((a, b) => a.index - b.index);
}

/** Checks every function and brings them into order. @throws {BpfError} with the first refusal; and as {@link functionsOf} */
export function checkRequest(state: MultiState, request: MultiRequest): CheckedRequest {
  const ids = functionsOf(state.facts, request);
  const verdicts: ClassVerdicts = new Map();
  let first: MultiRefusal | undefined;
  let index = 0;
  for (; index < ids.length && first === undefined; index++) first = refusalOf(state, request, verdicts, ids, index);
  // A duplicate before the refused one would be the first.
  const ordered = orderFunctions(first === undefined ? ids : Array.prototype.slice.call(ids, 0, index - 1));
  for (const refusal of duplicatesIn(ordered)) if (first === undefined || refusal.index < first.index) first = refusal;
  if (first !== undefined) throw refusalError(state.facts, first, ids.length);
  return { ...ordered, cookies: orderCookies(request.cookies, ordered) };
}

/** A refusal as an error. */
function refusalError(
  facts: FunctionFacts,
  { code, index, function: id, reason }: MultiRefusal,
  count: number,
): BpfError {
  const name = isFunction(facts, id) ? facts.name(id) : undefined;
  return new BpfError(code, `function ${index} of ${count}, ${name === undefined ? id : `'${name}'`}: ${reason}`, {
    index,
    ...(name === undefined ? {} : { function: name }),
  });
}

/** What is wrong with a function. */
type Verdict = Pick<MultiRefusal, "code" | "reason"> | undefined;

/** What is wrong with the functions of a class. */
type ClassVerdicts = Map<number, Verdict>;

function refusalOf(
  state: MultiState,
  request: MultiRequest,
  verdicts: ClassVerdicts,
  ids: ArrayLike<number>,
  index: number,
): MultiRefusal | undefined {
  const id = ids[index]!;
  const verdict = verdictOn(state, request, verdicts, id);
  return verdict && { index, function: id, ...verdict };
}

function verdictOn(state: MultiState, request: MultiRequest, verdicts: ClassVerdicts, id: number): Verdict {
  const { facts } = state;
  if (!isFunction(facts, id)) return { code: "unknown-symbol", reason: "no such function (ENOENT)" };
  const flags = facts.flags[id]!;
  if ((flags & FunctionFlag.TRACEABLE) === 0) return { code: "argument", reason: "it cannot be traced (EINVAL)" };
  if (facts.models[id]! < 0) {
    return { code: "unsupported", reason: "its arguments take more words than a trampoline hands on (ENOTSUPP)" };
  }
  if (request.sleepable === true && (flags & FunctionFlag.MAY_SLEEP) === 0)
    return { code: "argument", reason: "the program may sleep, the function may not (EINVAL)" };
  const busy = facts.busy?.(id);
  if (busy !== undefined) return { code: "argument", reason: `${busy} (EBUSY)` };
  const inClass = state.classOf(id);
  if (inClass === NO_CLASS) return undefined;
  if (!verdicts.has(inClass)) verdicts.set(inClass, verdictOnClass(state, request, inClass));
  return verdicts.get(inClass);
}

function isFunction({ count }: FunctionFacts, id: number): boolean {
  return Number.isInteger(id) && id >= 0 && id < count;
}

function verdictOnClass(state: MultiState, { kind, program }: MultiRequest, inClass: number): Verdict {
  let weight = weightOf(kind);
  for (const id of state.class(inClass).links) {
    const link = state.links.get(id)!;
    if (link.program === program) {
      return { code: "argument", reason: `link ${id} runs the same program there (EBUSY)` };
    }
    weight += weightOf(link.kind);
  }
  if (weight <= MAX_LINKS) return undefined;
  return {
    code: "limit",
    reason: `${weight} links of at most ${MAX_LINKS}, of which a session counts as two (E2BIG)`,
  };
}

function weightOf(kind: LinkKind): number {
  return kind === "fsession" ? 2 : 1;
}

function* duplicatesIn({ functions, places }: OrderedFunctions): Generator<MultiRefusal> {
  for (let i = 1; i < functions.length; i++) {
    const id = functions[i]!;
    if (id !== functions[i - 1]) continue;
    yield { index: places?.[i] ?? i, function: id, code: "argument", reason: "it is listed before (EINVAL)" };
  }
}

/** One cookie where all are the same. */
function orderCookies(
  cookies: ArrayLike<bigint> | undefined,
  { functions, places }: OrderedFunctions,
): bigint | BigUint64Array {
  if (cookies === undefined) return 0n;
  const column = new BigUint64Array(functions.length);
  for (let i = 0; i < column.length; i++) column[i] = cookies[places?.[i] ?? i]!;
  return column.every((cookie) => cookie === column[0]) ? column[0]! : column;
}

function matches(facts: FunctionFacts, pattern: string, sleepable: boolean): number[] {
  const needed = FunctionFlag.TRACEABLE | (sleepable ? FunctionFlag.MAY_SLEEP : 0);
  const ids: number[] = [];
  for (let id = 0; id < facts.count; id++) {
    const flags = facts.flags[id]! & (needed | FunctionFlag.UNNAMED);
    if (flags === needed && facts.models[id]! >= 0 && matchesPattern(facts.name(id), pattern)) ids.push(id);
  }
  return ids;
}

/** Whether a name has the form of a request's pattern. Only the last `*` is ever tried again: at most name × pattern steps. */
export function matchesPattern(name: string, pattern: string): boolean {
  let [at, next] = [0, 0];
  let [star, from] = [-1, 0];
  while (at < name.length) {
    const letter = pattern[next];
    if (letter === "*") [star, from] = [next++, at];
    else if (letter === "?" || letter === name[at]) [at, next] = [at + 1, next + 1];
    else if (star >= 0) [at, next] = [++from, star + 1];
    else return false;
  }
  while (pattern[next] === "*") next++;
  return next === pattern.length;
}
