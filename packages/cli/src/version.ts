// Which version this is.
import { readFileSync } from "node:fs";

/** The version in the manifest, which lies one folder above both the sources and the built files. */
export function version(): string {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
  return manifest.version;
}
