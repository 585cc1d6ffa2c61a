// Programs of type tracing: they run in trampolines, with the words of the function's arguments as their context, and never by themselves.
import { BpfError } from "@bpfkit/core";
import type { ContextKind } from "./context.ts";

export const tracing: ContextKind = {
  type: "tracing",
  packetLoads: false,
  layout: [],
  create: () => () => {
    throw new BpfError("argument", "a run of a tracing program by itself (ENOTSUPP)", {
      expected: "a function that it is attached to: `Kernel.attach`",
    });
  },
};
