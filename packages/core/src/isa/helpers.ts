// Helper functions by number and by name.

import type { HelperSpec } from "../spec/helper-words.ts";
import { HELPERS } from "../spec/helpers.ts";

const BY_NAME: ReadonlyMap<string, number> = new Map(HELPERS.map(({ name, id }) => [name, id]));

/** A helper by number; undefined when the UAPI has no such number. */
export function helperById(id: number): HelperSpec | undefined {
  return id > 0 ? HELPERS[id] : undefined;
}

/** A helper by name, with or without `bpf_`; undefined when there is none. */
export function helperByName(name: string): HelperSpec | undefined {
  const id = BY_NAME.get(name.startsWith("bpf_") ? name.slice(4) : name) ?? 0;
  return helperById(id);
}
