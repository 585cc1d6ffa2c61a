// The program types that can run.
import type { ContextKind } from "./context.ts";
import { socketFilter } from "./socket-filter.ts";
import { syscall } from "./syscall.ts";
import { xdp } from "./xdp.ts";

/** Program types by name. */
export const CONTEXTS: { readonly [type: string]: ContextKind } = {
  xdp,
  syscall,
  socket_filter: socketFilter,
};
