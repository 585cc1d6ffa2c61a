// What maps hold, for people and as JSON; decoded where BTF says how.
import type { KernelMap } from "@bpfkit/kernel";
import type { ObjectFile, ObjectMap } from "@bpfkit/object";
import { decodeValue, formatValue, type Value } from "./btf-value.ts";
import { grouped, hexBytes } from "./output.ts";

/** An element of a map. */
export interface DumpedEntry {
  readonly key: Uint8Array;
  /** One value, or in a per-CPU map one for each CPU. */
  readonly values: readonly Uint8Array[];
  readonly decodedKey?: Value;
  readonly decodedValues?: readonly Value[];
}

/** A map with everything in it. */
export interface DumpedMap {
  readonly name: string;
  readonly type: string;
  readonly maxEntries: number;
  readonly entries: readonly DumpedEntry[];
}

/** Reads out the maps that programs can change. */
export function dumpMaps({ maps: specs, btf }: ObjectFile, maps: readonly KernelMap[]): DumpedMap[] {
  return maps
    .filter(({ spec }) => spec.frozen !== true)
    .map((map) => {
      const { keyType, valueType }: Partial<ObjectMap> = specs.find((spec) => spec === map.spec) ?? {};
      const entries = [...map.entries()].map(({ key, values }) => ({
        key,
        values,
        ...(btf === undefined || keyType === undefined ? {} : { decodedKey: decodeValue(btf, keyType, key) }),
        ...(btf === undefined || valueType === undefined
          ? {}
          : { decodedValues: values.map((value) => decodeValue(btf, valueType, value)) }),
      }));
      return { name: map.name, type: map.type, maxEntries: map.spec.maxEntries, entries };
    });
}

/** Maps as JSON: bytes in hex, and the decoded form where there is one. */
export function mapsToJson(maps: readonly DumpedMap[]): unknown {
  return maps.map(({ entries, ...map }) => ({
    ...map,
    entries: entries.map(({ key, values, decodedKey, decodedValues }) => ({
      key: hexBytes(key, ""),
      values: values.map((value) => hexBytes(value, "")),
      ...(decodedKey === undefined && decodedValues === undefined
        ? {}
        : { decoded: { key: decodedKey, values: decodedValues } }),
    })),
  }));
}

/** The first elements of each map, one to a line. */
export function mapsToText(maps: readonly DumpedMap[], most: number): string {
  return maps
    .map(({ name, type, maxEntries, entries }) => {
      const more = entries.length - most;
      return [
        `  ${name} (${type}, ${grouped(entries.length)} of ${grouped(maxEntries)})\n`,
        ...entries.slice(0, most).map((entry) => `    ${entryText(entry)}\n`),
        more > 0 ? `    and ${grouped(more)} more\n` : "",
      ].join("");
    })
    .join("");
}

function entryText({ key, values, decodedKey, decodedValues }: DumpedEntry): string {
  const keyText = decodedKey === undefined ? hexBytes(key) : formatValue(decodedKey);
  const valueTexts = decodedValues?.map(formatValue) ?? values.map((value) => hexBytes(value));
  return `${keyText}: ${valueTexts.length === 1 ? valueTexts[0] : valueTexts.map((text, cpu) => `cpu ${cpu} ${text}`).join("; ")}`;
}
