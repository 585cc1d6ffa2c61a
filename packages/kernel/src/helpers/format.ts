// Format strings of trace_printk, trace_vprintk and snprintf: the conversions that the kernel takes from BPF programs (bpf-helpers(7)).
import { Access, Fault, type Memory } from "@bpfkit/core";
import { latin1, readBytes, readString } from "../guest.ts";

/** Longest string that one `%s` shows. */
const MAX_STRING = 512;

/** Flags and width, length, and conversion; a pointer's extension belongs to the conversion. */
const CONVERSION = /^([-+ 0]*)([1-9]\d*)?(?:(p(?:[iI][46]|[ku]s|[KxsSB])?|s|c)|(l{0,2})([diuxX]))/;

/** Conversions that letters and digits may not follow; other pointers swallow them. */
const ENDS: ReadonlySet<string> = new Set(["p", "s", "pks", "pus"]);

/**
 * The text of a format with its arguments; undefined for what the kernel refuses as `EINVAL`: a character that cannot be printed, an
 * unknown conversion, too few arguments. Strings that cannot be read are empty; pointers show as they
 * are, where the kernel hashes, and none is a symbol's.
 */
export function formatText(memory: Memory, format: Uint8Array, args: readonly bigint[]): string | undefined {
  if (format.some((byte) => byte > 0x7e || (byte < 0x20 && (byte < 9 || byte > 13)))) return undefined;
  const source = latin1(format);
  let text = "";
  let next = 0;
  for (let at = 0; at < source.length; ) {
    const percent = source.indexOf("%", at);
    if (percent < 0) return text + source.slice(at);
    text += source.slice(at, percent);
    if (source[percent + 1] === "%") {
      text += "%";
      at = percent + 2;
      continue;
    }
    const match = CONVERSION.exec(source.slice(percent + 1));
    const value = args[next++];
    if (match === null || value === undefined) return undefined;
    at = percent + 1 + match[0].length;
    const [, flags = "", width = "0", special, length, kind] = match;
    if (special !== undefined && special !== "c") {
      const [letters] = /^[0-9A-Za-z]*/.exec(source.slice(at))!;
      if (ENDS.has(special) && letters !== "") return undefined;
      at += letters.length; // they count as the pointer's format, and show nothing
    }
    const shown =
      special === undefined ? number(value, kind!, length === "", flags) : specialText(memory, special, value);
    text += pad(shown, flags, Number(width), special === undefined);
  }
  return text;
}

function number(value: bigint, kind: string, narrow: boolean, flags: string): string {
  const bits = narrow ? 32 : 64;
  switch (kind) {
    case "x":
      return BigInt.asUintN(bits, value).toString(16);
    case "X":
      return BigInt.asUintN(bits, value).toString(16).toUpperCase();
    case "u":
      return BigInt.asUintN(bits, value).toString();
    default: {
      const signed = BigInt.asIntN(bits, value);
      const sign = signed < 0n ? "" : flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
      return sign + signed.toString();
    }
  }
}

function specialText(memory: Memory, special: string, value: bigint): string {
  switch (special) {
    case "c":
      return String.fromCharCode(Number(value & 0xffn));
    case "s":
    case "pks":
    case "pus":
      return readable(() => latin1(readString(memory, value, MAX_STRING))) ?? "";
    case "pi4":
    case "pI4":
      return address(memory, value, 4, (bytes) =>
        Array.from(bytes, (byte) => (special === "pi4" ? String(byte).padStart(3, "0") : String(byte))).join("."),
      );
    case "pi6":
    case "pI6":
      return address(memory, value, 16, (bytes) =>
        Array.from({ length: 8 }, (_, i) =>
          ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16).padStart(4, "0"),
        ).join(special === "pI6" ? ":" : ""),
      );
    case "p":
      return value === 0n ? "(null)".padStart(16) : value.toString(16).padStart(16, "0");
    case "ps":
    case "pS":
    case "pB":
      return `0x${value.toString(16)}`;
    default:
      return value.toString(16).padStart(16, "0");
  }
}

function address(memory: Memory, at: bigint, size: number, show: (bytes: Uint8Array) => string): string {
  const bytes = readable(() => readBytes(memory, at, size)) ?? new Uint8Array(size);
  return show(bytes);
}

function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}

function pad(text: string, flags: string, width: number, numeric: boolean): string {
  if (flags.includes("-")) return text.padEnd(width);
  if (!flags.includes("0") || !numeric) return text.padStart(width);
  const sign = /^[-+ ]/.exec(text)?.[0] ?? "";
  return sign + text.slice(sign.length).padStart(width - sign.length, "0");
}

/** The format of a call: memory of a fixed size that has to hold a NUL. Undefined when it has none. @throws {Fault} */
export function formatIn(memory: Memory, address: bigint, size: number): Uint8Array | undefined {
  const bytes = readBytes(memory, address, size);
  const end = bytes.indexOf(0);
  return end < 0 ? undefined : bytes.subarray(0, end);
}

/** The format of a call that gives no size. @throws {Fault} */
export function constantFormat(memory: Memory, address: bigint): Uint8Array {
  memory.check(1, address, Access.READ, "load");
  return readString(memory, address, 4096);
}
