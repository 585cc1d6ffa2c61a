// The one door to the table of helpers.
import type { HelperSpec } from "../spec/helper-words.ts";
import { HELPERS } from "../spec/helpers.ts";

/** A helper by number; undefined where the table has none. */
export function helperSpec(id: number): HelperSpec | undefined {
  return id > 0 ? HELPERS[id] : undefined;
}
