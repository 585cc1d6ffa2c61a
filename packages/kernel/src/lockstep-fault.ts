// What a program does wrong where only the reference of lockstep can see it: machine code has one stack for all frames, and no count
// of them. It says nothing about the engine under test, so it is no difference.
import { type LiveFrame, MAX_CALL_FRAMES, type StackSpace, type Trap } from "@bpfkit/core";

/** Something that no verified program does; engines need not agree from there on. */
export interface ProgramFault {
  /** Slot index. */
  readonly at: number;
  /** Too many frames, an access to stack that is in no live frame, or a callback to what is no subprogram. */
  readonly what: "frames" | "stack" | "callback";
  /** What was there, in words. */
  readonly detail: string;
}

/**
 * The fault of the program that a trap of the reference is; undefined where another engine has to trap, too, and where a trap could
 * come from the frame addresses that the reference takes over: frames that leave the stack, or an access inside a live frame, which
 * another frame has taken away.
 */
export function programFaultOf(trap: Trap, frames: readonly LiveFrame[], stack: StackSpace): ProgramFault | undefined {
  const { cause, address, size = 0, detail = "" } = trap;
  const at = Number(trap.pc);
  if (cause === "stack" && frames.at(-1)?.level === MAX_CALL_FRAMES) return { at, what: "frames", detail };
  if (cause === "call") return { at, what: "callback", detail };
  if ((cause !== "load" && cause !== "store") || address === undefined) return undefined;
  const end = address + BigInt(size);
  const isLive = frames.some(({ base, depth }) => address >= base - BigInt(depth) && end <= base);
  if (isLive || address < stack.low || end > stack.high) return undefined;
  const r10 = frames.at(-1)!.base;
  const distance = address < r10 ? `- ${r10 - address}` : `+ ${address - r10}`;
  return { at, what: "stack", detail: `${cause} of ${size} bytes at r10 ${distance}, which is in no live frame` };
}
