// What a trampoline does, in order, from the programs that are linked to a function: all of it follows from the links and from where the original is.
import { BpfError } from "../errors.ts";
import type { ArgPlaces } from "./args.ts";
import { type FuncModel, formatFuncModel } from "./func-model.ts";

/** When a linked program runs: before the function, in place of it, behind it, or before and behind with a word of its own in between. */
export type LinkKind = "fentry" | "fmod_ret" | "fexit" | "fsession";

/** A program linked to a function. */
export interface TrampolineLink {
  readonly kind: LinkKind;
  /** What `bpf_get_attach_cookie` gives it; 0 unless told. */
  readonly cookie?: bigint;
  /** The cookie depends on the function: the trampoline has it looked up in a table of the link's, by the function's address. */
  readonly findsCookie?: boolean;
}

/** What a trampoline is made from. */
export interface TrampolineSpec {
  readonly model: FuncModel;
  /** In the order in which they were attached. */
  readonly links: readonly TrampolineLink[];
  /**
   * How the original is found where the trampoline has to call it: at an address that is filled in, or by the return address that the call of the
   * trampoline left, so that many functions can share it.
   */
  readonly original: "known" | "from-stack";
  /** A program asks for the function's address (`bpf_get_func_ip`). */
  readonly funcIp?: boolean;
  /** The function is a program, or a subprogram, from which a tail call can be reached. */
  readonly tailCalls?: boolean;
  /** Called through a pointer in a table (struct_ops) instead of at a function's entry: one `fentry` program, whose result is the function's. */
  readonly indirect?: boolean;
  /**
   * Its programs are not in the code: at each call it looks up the row of the function that it was called for and runs what stands there (`encodeRow`), so
   * that one trampoline serves all functions of a model. It has no `links` then, and the original is `from-stack`.
   */
  readonly fromRow?: boolean;
}

/** One run of a program within a trampoline. */
export interface TrampolineRun {
  /** Index in `links`. */
  readonly link: number;
  readonly kind: "fentry" | "fmod_ret" | "fexit";
  readonly cookie: bigint;
  readonly findsCookie: boolean;
  /** Of a session: which of the words between call and return is its own, from 0; undefined for others. */
  readonly session: number | undefined;
  /** Whether what it returns becomes the function's result. */
  readonly setsResult: boolean;
}

/** What a trampoline does. */
export interface TrampolinePlan {
  /** As given; what goes by rows always has the function's address. */
  readonly spec: TrampolineSpec;
  readonly places: ArgPlaces;
  /** In the order in which they run. */
  readonly fentry: readonly TrampolineRun[];
  readonly fmodRet: readonly TrampolineRun[];
  readonly fexit: readonly TrampolineRun[];
  /** Words that sessions keep; room for the most that there can be, where it goes by rows. */
  readonly sessions: number;
  /** It calls the original itself and returns to the function's caller; else it puts the arguments back and returns into the function. With rows, each says. */
  readonly callsOriginal: boolean;
  /** The result has a slot in the frame. */
  readonly keepsResult: boolean;
  /** How the function's entry leads here: a `jump` leaves no return address of its own. */
  readonly entered: "call" | "jump";
}

/** Most links of a function; a session counts as two (Linux' `BPF_MAX_TRAMP_LINKS`). */
export const MAX_LINKS: 38 = 38;
/** Most sessions among those. */
const MAX_SESSIONS = MAX_LINKS / 2;
/** Most bytes of a trampoline: a page. */
export const MAX_TRAMPOLINE: 4096 = 4096;

/**
 * Puts links in the order in which they run: of each kind the one attached last first, as in Linux.
 *
 * @param jumps - whether entries lead to trampolines that call a known original by a jump
 * @throws {BpfError} `limit` (E2BIG) for more than 38; `argument` for an indirect trampoline that is anything but one `fentry`, and for one that goes by
 * rows and has links, knows its original or is indirect
 */
export function planTrampoline(spec: TrampolineSpec, places: ArgPlaces, jumps: boolean): TrampolinePlan {
  const { links, original, indirect = false, fromRow = false } = spec;
  const count = links.reduce((sum, { kind }) => sum + (kind === "fsession" ? 2 : 1), 0);
  if (count > MAX_LINKS) {
    throw new BpfError("limit", `${count} links of a function ${formatFuncModel(spec.model)} (E2BIG)`, {
      expected: `at most ${MAX_LINKS}; a session counts as two`,
    });
  }
  if (fromRow && (links.length > 0 || original === "known" || indirect)) {
    throw new BpfError("argument", "a trampoline that goes by rows, and by something else", {
      expected: "no links, the original from the stack, at the entries of functions",
    });
  }
  if (indirect && (links.length !== 1 || links[0]!.kind !== "fentry")) {
    throw new BpfError(
      "argument",
      `an indirect trampoline with ${links.map(({ kind }) => kind).join(", ") || "no link"}`,
      {
        expected: "one fentry",
      },
    );
  }
  const sessionOf = new Map(
    links.flatMap(({ kind }, link) => (kind === "fsession" ? [link] : [])).map((link, i) => [link, i]),
  );
  const runs = (kind: TrampolineRun["kind"]): TrampolineRun[] =>
    links
      .flatMap(({ kind: linked, cookie = 0n, findsCookie = false }, link) => {
        const session = sessionOf.get(link);
        if (linked !== kind && (session === undefined || kind === "fmod_ret")) return [];
        return [{ link, kind, cookie, findsCookie, session, setsResult: kind === "fmod_ret" || indirect }];
      })
      .reverse();
  const [fentry, fmodRet, fexit] = [runs("fentry"), runs("fmod_ret"), runs("fexit")];
  const callsOriginal = fromRow || fmodRet.length > 0 || fexit.length > 0;
  return {
    spec: fromRow ? { ...spec, funcIp: true } : spec,
    places,
    fentry,
    fmodRet,
    fexit,
    sessions: fromRow ? MAX_SESSIONS : sessionOf.size,
    callsOriginal,
    keepsResult: callsOriginal || indirect,
    entered: callsOriginal && original === "known" && jumps && !indirect ? "jump" : "call",
  };
}
