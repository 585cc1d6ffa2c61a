// Helpers that print: to the kernel's trace, or into memory.
import { failure } from "../errno.ts";
import { readBytes, writeBytes } from "../guest.ts";
import { constantFormat, formatIn, formatText } from "./format.ts";
import { type Helper, type HelperRow, type HelperSite, u32 } from "./helper.ts";

/** Most 64-bit arguments that come in memory. */
const MAX_ARGS = 12;
/** Bytes of a line, as long as the kernel's buffer. */
const MAX_LINE = 1024;

function print(site: HelperSite, format: Uint8Array | undefined, args: readonly bigint[]): bigint {
  const text = format === undefined ? undefined : formatText(site.memory, format, args);
  if (text === undefined) return failure("EINVAL");
  site.print(text.slice(0, MAX_LINE - 1).replace(/\n$/, ""));
  return BigInt(text.length);
}

const tracePrintk: Helper = (site, { args: [format, size, ...rest] }) => {
  if (u32(size) === 0) return failure("EINVAL");
  return print(site, formatIn(site.memory, format, u32(size)), rest);
};

const traceVprintk: Helper = (site, { args: [format, size, data, dataSize] }) => {
  const args = argsIn(site, data, dataSize);
  if (args === undefined || u32(size) === 0) return failure("EINVAL");
  return print(site, formatIn(site.memory, format, u32(size)), args);
};

/** Gives the length that the whole text needs, with its NUL. */
const snprintf: Helper = (site, { args: [destination, size, format, data, dataSize] }) => {
  const { memory } = site;
  const args = argsIn(site, data, dataSize);
  const text = args === undefined ? undefined : formatText(memory, constantFormat(memory, format), args);
  if (text === undefined) return failure("EINVAL");
  const room = u32(size);
  const bytes = new Uint8Array(Math.min(room, text.length + 1));
  for (let i = 0; i < bytes.length - 1; i++) bytes[i] = text.charCodeAt(i);
  writeBytes(memory, destination, bytes);
  return BigInt(text.length + 1);
};

function argsIn({ memory }: HelperSite, data: bigint, dataSize: bigint): bigint[] | undefined {
  const size = u32(dataSize);
  if (size % 8 !== 0 || size > 8 * MAX_ARGS || (size > 0 && data === 0n)) return undefined;
  const bytes = readBytes(memory, data, size);
  const view = new DataView(bytes.buffer);
  return Array.from({ length: size / 8 }, (_, i) => view.getBigUint64(8 * i, true));
}

export const TRACE_HELPERS: { readonly [name: string]: HelperRow } = {
  trace_printk: { run: tracePrintk },
  trace_vprintk: { run: traceVprintk },
  snprintf: { run: snprintf },
};
