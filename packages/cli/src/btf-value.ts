// Bytes of a map as values, after their BTF types: what bpftool calls formatted dump. Bounded on any types.
import type { Btf } from "@bpfkit/object";
import { hexBytes } from "./output.ts";

/** A decoded value: integers of up to 32 bits are numbers, larger ones bigints; bytes whose type says nothing are a string of hex. */
export type Value = number | bigint | boolean | string | readonly Value[] | { readonly [member: string]: Value };

/** Deeper nesting stays bytes. */
const MAX_DEPTH = 8;

/** Decodes little-endian bytes; what the kernel's headers call `__be16`, `__be32` and `__be64` is big-endian. */
export function decodeValue(btf: Btf, type: number, bytes: Uint8Array): Value {
  return decode(btf, type, bytes, 0);
}

function decode(btf: Btf, id: number, bytes: Uint8Array, depth: number): Value {
  const raw = hexBytes(bytes, "");
  if (depth > MAX_DEPTH) return raw;
  const type = btf.type(btf.resolve(id));
  switch (type.kind) {
    case "int": {
      if (type.size > bytes.length || type.bits > 8 * type.size || type.size > 8) return raw;
      const field = bytes.subarray(0, type.size);
      const value = integer(isBigEndian(btf, id) ? reversed(field) : field, 0, type.bits, type.encoding === "signed");
      return type.encoding === "bool" ? value !== 0n : type.bits <= 32 ? Number(value) : value;
    }
    case "enum":
    case "enum64": {
      const value = integer(bytes.subarray(0, type.size), 0, 8 * type.size, type.signed);
      return (
        type.values.find((candidate) => candidate.value === value)?.name ?? (type.size <= 4 ? Number(value) : value)
      );
    }
    case "array": {
      const size = btf.size(type.element);
      const length = size === 0 ? 0 : Math.min(type.length, Math.floor(bytes.length / size));
      return Array.from({ length }, (_, i) =>
        decode(btf, type.element, bytes.subarray(i * size, (i + 1) * size), depth + 1),
      );
    }
    case "struct":
    case "union": {
      const members: [string, Value][] = [];
      for (const { name, type: member, bitOffset, bitSize } of type.members) {
        const start = bitOffset >>> 3;
        if (name !== "" && bitSize > 0)
          members.push([name, bitField(integer(bytes, bitOffset, bitSize, false), bitSize)]);
        else if (name !== "")
          members.push([name, decode(btf, member, bytes.subarray(start, start + btf.size(member)), depth + 1)]);
      }
      return Object.fromEntries(members);
    }
    case "datasec":
      return Object.fromEntries(
        type.variables.map(({ type: variable, offset, size }) => [
          btf.name(variable),
          decode(btf, variable, bytes.subarray(offset, offset + size), depth + 1),
        ]),
      );
    case "var":
      return decode(btf, type.type, bytes, depth + 1);
    case "ptr":
      return `0x${integer(bytes, 0, 64, false).toString(16)}`;
    default:
      return raw;
  }
}

function reversed(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes).reverse();
}

function bitField(value: bigint, bits: number): Value {
  return bits <= 32 ? Number(value) : value;
}

function isBigEndian(btf: Btf, id: number): boolean {
  let at = id;
  for (let step = 0; step < MAX_DEPTH; step++) {
    const type = btf.type(at);
    if (type.kind === "typedef" && /^__be(16|32|64)$/.test(type.name)) return true;
    if (type.kind !== "typedef" && type.kind !== "const" && type.kind !== "volatile") return false;
    at = type.type;
  }
  return false;
}

function integer(bytes: Uint8Array, bit: number, bits: number, signed: boolean): bigint {
  let value = 0n;
  for (let i = Math.min(bytes.length, (bit + bits + 7) >>> 3) - 1; i >= bit >>> 3; i--)
    value = (value << 8n) | BigInt(bytes[i]!);
  value >>= BigInt(bit & 7);
  return signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
}

/** A value on one line: `{packets: 3, bytes: 180}`. */
export function formatValue(value: Value): string {
  if (Array.isArray(value)) return `[${value.map(formatValue).join(", ")}]`;
  if (typeof value !== "object") return String(value);
  return `{${Object.entries(value)
    .map(([name, member]) => `${name}: ${formatValue(member)}`)
    .join(", ")}}`;
}
