// Settings of a backend other than its defaults.
import type { Settings } from "@bpfkit/core";

/** The keys of what is on or off. */
export function booleans(settings: Settings): readonly string[] {
  return Object.keys(settings).filter((key) => typeof settings[key] === "boolean");
}

/** What is on turned off, and the other way round. */
export function flipped(settings: Settings, keys: readonly string[]): Settings {
  return Object.fromEntries(keys.map((key) => [key, settings[key] !== true]));
}
