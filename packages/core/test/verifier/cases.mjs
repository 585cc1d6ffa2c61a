// Reads the verifier's cases: YAML files of small programs, each with what real kernels said about it. The form stands in cases/README.md.
import { assemble, MAP_FLAGS, MAP_TYPES } from "@bpfkit/core";
import { parse } from "yaml";

/** The kernels that were asked, as the cases name them behind `linux-`. */
export const KERNELS = ["6.12", "7.2"];

const CASE_KEYS = new Set([
  ...["name", "type", "attach", "target", "license", "sleepable", "frags", "alignment", "functions", "kfuncs", "asm"],
  ...KERNELS.map((kernel) => `linux-${kernel}`),
]);

/** The cases of one file. @throws {Error} for what the form does not know */
export function readCases(text) {
  const { subject, maps = {}, defaults = {}, cases } = parse(text, { prettyErrors: false });
  const specs = Object.entries(maps).map(([name, map]) => mapOf(name, map));
  const names = new Set();
  return cases.map((given) => {
    const entry = { type: "socket_filter", license: "GPL", functions: {}, kfuncs: [], ...defaults, ...given };
    for (const key of Object.keys(entry)) {
      if (!CASE_KEYS.has(key)) throw new Error(`${subject}: ${entry.name}: what is ${key}?`);
    }
    if (names.has(entry.name)) throw new Error(`${subject}: two cases are named ${entry.name}`);
    names.add(entry.name);
    try {
      return { ...entry, subject, program: programOf(entry, specs), expected: expectedOf(entry) };
    } catch (error) {
      throw new Error(`${subject}: ${entry.name}: ${error.message}`, { cause: error });
    }
  });
}

function mapOf(name, { type, key = 4, value = 8, max = 1, flags = [], inner, fields, frozen, initial }) {
  if (!(type in MAP_TYPES)) throw new Error(`map ${name}: no type ${type}`);
  return {
    name,
    type: MAP_TYPES[type],
    keySize: key,
    valueSize: value,
    maxEntries: max,
    flags: flags.reduce((bits, flag) => bits | MAP_FLAGS[flag], 0),
    ...(inner === undefined ? {} : { inner }),
    ...(fields === undefined ? {} : { fields }),
    ...(frozen === undefined ? {} : { frozen }),
    ...(initial === undefined ? {} : { initial: bytesOf(initial, value) }),
  };
}

/** A text, with zeros behind it. */
function bytesOf(text, size) {
  const bytes = new Uint8Array(size);
  bytes.set(new TextEncoder().encode(text));
  return bytes;
}

/** Maps of the file that the text does not name are left out, but for those that lie inside others. */
function programOf({ name, type, attach, license, sleepable, frags, kfuncs, asm }, specs) {
  const named = new Set(Array.from(asm.matchAll(/\bmap\[(\w+)\]/g), ([, map]) => map));
  for (const { name: map, inner } of specs) if (named.has(map) && inner !== undefined) named.add(inner);
  const program = assemble(asm, {
    name: name.replaceAll(/\W+/g, "_"),
    type,
    license,
    maps: specs.filter((spec) => named.has(spec.name)),
    kfuncs,
    ...(attach === undefined ? {} : { attachType: attach }),
  });
  return { ...program, ...(sleepable ? { sleepable } : {}), ...(frags ? { frags } : {}) };
}

function expectedOf(entry) {
  return Object.fromEntries(
    KERNELS.flatMap((kernel) => (entry[`linux-${kernel}`] ? [[kernel, entry[`linux-${kernel}`]]] : [])),
  );
}
