// Helpers of programs in trampolines: what lies around their context, and which of its programs is asking.
import { Fault, type HostCall } from "@bpfkit/core";
import { failure } from "../errno.ts";
import type { HelperRow, HelperSite } from "./helper.ts";
import { u32 } from "./helper.ts";

const TRACING: readonly string[] = ["tracing"];

/** The word in front of the context: how many words of arguments there are, and where a session's word is. */
function metaOf({ memory }: HelperSite, context: bigint): { readonly words: number; readonly session: bigint } {
  const meta = memory.load(8, context - 8n);
  return { words: Number(meta & 0xffn), session: context - 8n * ((meta >> 8n) & 0xffn) };
}

/** Address of the function, which lies there when a program of the trampoline asks for it. */
const getFuncIp: HelperRow = {
  types: TRACING,
  run: ({ memory }, { args: [context] }) => memory.load(8, context - 16n),
};

const getAttachCookie: HelperRow = {
  types: TRACING,
  run: (site, { cpu }) => {
    const context = site.runContextOf(cpu);
    if (context === undefined) throw new Fault("load", "no run context: the program was not entered by a trampoline");
    return site.memory.load(8, context);
  },
};

const getFuncArgCnt: HelperRow = {
  types: TRACING,
  run: (site, { args: [context] }) => BigInt(metaOf(site, context).words),
};

const getFuncArg: HelperRow = {
  types: TRACING,
  run: (site, { args: [context, index, value] }) => {
    if (u32(index) >= metaOf(site, context).words) return failure("EINVAL");
    site.memory.store(8, value, site.memory.load(8, context + BigInt(8 * u32(index))));
    return 0n;
  },
};

/** What the function returned lies behind the arguments, where it is kept. */
const getFuncRet: HelperRow = {
  types: TRACING,
  run: (site, { args: [context, value], cpu }) => {
    if (!site.seesResult(cpu)) return failure("EOPNOTSUPP");
    site.memory.store(8, value, site.memory.load(8, context + BigInt(8 * metaOf(site, context).words)));
    return 0n;
  },
};

export const TRACING_HELPERS: { readonly [name: string]: HelperRow } = {
  get_func_ip: getFuncIp,
  get_attach_cookie: getAttachCookie,
  get_func_arg: getFuncArg,
  get_func_ret: getFuncRet,
  get_func_arg_cnt: getFuncArgCnt,
};

/** A kfunc of this package. */
export type OwnKfunc = (site: HelperSite, call: HostCall) => bigint;

/** Kernel functions for sessions, by name (Linux 7.0). */
export const TRACING_KFUNCS: { readonly [name: string]: OwnKfunc } = {
  /** Address of the word that a session's program has for itself between entry and exit. */
  bpf_session_cookie: (site, { args: [context] }) => metaOf(site, context).session,
  bpf_session_is_return: ({ memory }, { args: [context] }) => memory.load(8, context - 8n) >> 63n,
};
