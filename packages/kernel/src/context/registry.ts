// The program types that can run.
import type { ContextLayouts } from "@bpfkit/core";
import type { ContextKind } from "./context.ts";
import { schedCls, socketFilter } from "./skb.ts";
import { syscall } from "./syscall.ts";
import { tracing } from "./tracing.ts";
import { xdp } from "./xdp.ts";

/** Program types by name. */
export const CONTEXTS: { readonly [type: string]: ContextKind } = {
  xdp,
  syscall,
  socket_filter: socketFilter,
  sched_cls: schedCls,
  tracing,
};

/** The structures that contexts have in this kernel, by program type: what the pass `convert-ctx-access` is given. */
export const CONTEXT_LAYOUTS: ContextLayouts = Object.fromEntries(
  Object.entries(CONTEXTS).map(([type, { layout }]) => [type, layout]),
);
