// All helpers that are built, by the names of the kernel's UAPI; numbers and arguments are core's specification.
import { BASIC_HELPERS } from "./basic.ts";
import type { HelperRow } from "./helper.ts";
import { MAP_HELPERS } from "./map.ts";
import { SKB_HELPERS } from "./skb.ts";
import { TRACE_HELPERS } from "./trace.ts";
import { TRACING_HELPERS } from "./tracing.ts";
import { XDP_HELPERS } from "./xdp.ts";

const TABLE: ReadonlyMap<string, HelperRow> = new Map(
  [MAP_HELPERS, BASIC_HELPERS, TRACE_HELPERS, TRACING_HELPERS, XDP_HELPERS, SKB_HELPERS].flatMap((rows) =>
    Object.entries(rows),
  ),
);

/** The implementation of a helper; undefined when there is none yet. */
export function helperRow(name: string): HelperRow | undefined {
  return TABLE.get(name);
}
