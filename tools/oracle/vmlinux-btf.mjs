// The type information of a guest's kernel: numbers of types by kind and name, and members of structures.
import { askKernel } from "./kernel.mjs";

/** Words behind a type's three, for each kind: a fixed number, and so many per entry. */
const REST = [0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0];
const PER_ENTRY = { 4: 3, 5: 3, 6: 2, 13: 2, 15: 3, 19: 3 };
export const [STRUCT, ENUM, TYPEDEF, FUNC] = [4, 6, 8, 12];

/** Asks a kernel for it. */
export function vmlinuxBtf(arch, kernel) {
  const { results } = askKernel(arch, [{ name: "btf", readfile: "/sys/kernel/btf/vmlinux" }], kernel);
  return readBtf(Buffer.from(results[0].file, "hex"));
}

/** `id(kind, name)`, and `names(kind, name)`: what a structure's members or an enumeration's values are called, in order. */
function readBtf(bytes) {
  const word = (at) => bytes.readUInt32LE(at);
  const [header, types, typeBytes, strings] = [word(4), word(8), word(12), word(16)];
  const text = (offset) => {
    const start = header + strings + offset;
    return bytes.toString("latin1", start, bytes.indexOf(0, start));
  };
  const ids = new Map();
  const places = new Map();
  const first = header + types;
  for (let at = first, id = 1; at < first + typeBytes; id++) {
    const kind = (word(at + 4) >>> 24) & 31;
    const entries = word(at + 4) & 0xffff;
    const key = `${kind} ${text(word(at))}`;
    if (!ids.has(key)) {
      ids.set(key, id);
      places.set(key, { at: at + 12, entries, stride: 4 * (PER_ENTRY[kind] ?? 0) });
    }
    at += 12 + 4 * (REST[kind] + entries * (PER_ENTRY[kind] ?? 0));
  }
  return {
    id: (kind, name) => ids.get(`${kind} ${name}`),
    names(kind, name) {
      const { at, entries, stride } = places.get(`${kind} ${name}`);
      return Array.from({ length: entries }, (_, i) => text(word(at + i * stride)));
    },
  };
}
