// The file that `--maps` names: contents of maps as JSON, `{ "MAP": [{ "key": "HEX", "value": "HEX" }, …], … }`.
import { BpfError } from "@bpfkit/core";

/** An element of a map. */
export interface MapElement {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Reads the contents of maps, by map name. @throws {BpfError} `malformed` */
export function readMapFile(bytes: Uint8Array): ReadonlyMap<string, readonly MapElement[]> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw malformed("text that is not JSON", '{ "MAP": [{ "key": "HEX", "value": "HEX" }] }', error);
  }
  if (!isRecord(json)) throw malformed("JSON that is not an object", '{ "MAP": [...] }');
  return new Map(
    Object.entries(json).map(([name, elements]) => {
      if (!Array.isArray(elements)) throw malformed(`map ${name}`, "an array of elements");
      return [name, elements.map((element: unknown, i) => readElement(element, `element ${i} of map ${name}`))];
    }),
  );
}

function readElement(element: unknown, what: string): MapElement {
  if (!isRecord(element)) throw malformed(what, "an object with key and value");
  return { key: readHex(element.key, `key of ${what}`), value: readHex(element.value, `value of ${what}`) };
}

function readHex(text: unknown, what: string): Uint8Array {
  if (typeof text !== "string" || !/^([0-9a-f]{2})*$/i.test(text)) throw malformed(what, "a string of hex bytes");
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformed(what: string, expected: string, cause?: unknown): BpfError {
  return new BpfError("malformed", what, { expected, ...(cause === undefined ? {} : { cause }) });
}
