// The row of a function: which programs run around it, as words in memory for a trampoline that serves all functions of a model.
import { BpfError } from "../errors.ts";
import type { TrampolinePlan, TrampolineRun } from "./plan.ts";

/**
 * Bytes of a row, and of what it consists of; every word has 8.
 *
 * ```
 *   row + 0    0: behind the first list the function goes on, and its caller gets its result;
 *              else it is called, and this is minus one, minus the number of sessions
 *   row + 8    entries, in the order in which they run before the function
 *              a word 0
 *              entries, in the order in which they run behind it
 *              a word 0
 *
 *   entry + 0  2; or 1: not any more
 *   entry + 8  the program's code
 *   entry + 16 what stands for it in calls of program-enter and program-exit
 *   entry + 24 its cookie
 *   entry + 32 the word in front of the arguments: their number, and for sessions where theirs is and whether the function has returned
 * ```
 *
 * Only the first word of an entry may change while somebody may read the row.
 */
export const Row: {
  readonly LISTS: 8;
  readonly ENTRY: 40;
  readonly PROGRAM: 8;
  readonly OBJECT: 16;
  readonly COOKIE: 24;
  readonly META: 32;
  /** The first word of an entry that is passed over. */
  readonly SKIPPED: 1;
  readonly LIVE: 2;
} = { LISTS: 8, ENTRY: 40, PROGRAM: 8, OBJECT: 16, COOKIE: 24, META: 32, SKIPPED: 1, LIVE: 2 };

/** Words below the context at which the first session's lies: the number of arguments and the function's address are above it. */
const FIRST_SESSION = 3;
/** Of the word in front of the arguments: from where on it has the place of a session's word, and that the function has returned. */
const SESSION_BIT = 8n;
const AT_EXIT = 1n << 63n;

/** A program of a row. */
export interface RowProgram {
  /** Address of its code. */
  readonly code: bigint;
  /** What the host knows it by. */
  readonly object: bigint;
}

/** A row, and where its entries are. */
export interface EncodedRow {
  readonly bytes: Uint8Array;
  /** In the order in which they run. */
  readonly entries: readonly { readonly offset: number; readonly link: number }[];
}

/**
 * Writes the row of a plan for links that are written out.
 *
 * @param plan - of a trampoline with the function's address, without `fmod_ret`
 * @param programs - per link
 * @throws {BpfError} `argument` where there is something in the plan that rows cannot say
 */
export function encodeRow(plan: TrampolinePlan, programs: readonly RowProgram[]): EncodedRow {
  const { fentry, fmodRet, fexit, sessions, callsOriginal, places, spec } = plan;
  if (fmodRet.length > 0 || spec.funcIp !== true || spec.indirect === true)
    throw new BpfError("argument", "a row of such a function", {
      expected: "fentry, fexit and fsession, with the function's address",
    });
  const runs = [...fentry, ...fexit];
  const bytes = new Uint8Array(Row.LISTS + Row.ENTRY * runs.length + 16);
  const view = new DataView(bytes.buffer);
  if (callsOriginal) view.setBigInt64(0, -1n - BigInt(sessions), true);
  const entryOf = ({ link, cookie, kind, session }: TrampolineRun, offset: number): EncodedRow["entries"][number] => {
    const { code, object } = programs[link]!;
    const place = session === undefined ? 0n : BigInt(FIRST_SESSION + session) << SESSION_BIT;
    const meta = BigInt(places.slots.length) | place | (sessions > 0 && kind === "fexit" ? AT_EXIT : 0n);
    const words = [BigInt(Row.LIVE), code, object, cookie, meta];
    for (const [i, word] of words.entries()) view.setBigUint64(offset + 8 * i, word, true);
    return { offset, link };
  };
  const behind = Row.LISTS + Row.ENTRY * fentry.length + 8;
  const entries = [
    ...fentry.map((run, i) => entryOf(run, Row.LISTS + Row.ENTRY * i)),
    ...fexit.map((run, i) => entryOf(run, behind + Row.ENTRY * i)),
  ];
  return { bytes, entries };
}
