// Ranges of guest memory as helpers use them: checked like the program's own accesses, of any length.
import { Access, type Memory } from "@bpfkit/core";

/**
 * Offset in `memory.bytes` of a range that the program may read or write. Looking at every eighth byte is enough, because memory has
 * no hole smaller than 8 bytes.
 *
 * @throws {Fault} at the first eight bytes that do not allow it
 */
export function checkRange(memory: Memory, address: bigint, size: number, cause: "load" | "store"): number {
  const need = cause === "load" ? Access.READ : Access.WRITE;
  if (size <= 8) return size === 0 ? 0 : memory.check(size, address, need, cause);
  const at = memory.check(8, address, need, cause);
  for (let done = 8; done < size; done += 8) {
    memory.check(Math.min(8, size - done), address + BigInt(done), need, cause);
  }
  return at;
}

/** A copy of guest bytes that the program may read; @throws {Fault} */
export function readBytes(memory: Memory, address: bigint, size: number): Uint8Array {
  const at = checkRange(memory, address, size, "load");
  return memory.bytes.slice(at, at + size);
}

/** Writes guest bytes that the program may write, as one journalled write; @throws {Fault} */
export function writeBytes(memory: Memory, address: bigint, bytes: Uint8Array): void {
  if (bytes.length === 0) return;
  checkRange(memory, address, bytes.length, "store");
  memory.write(address, bytes);
}

/** Clears guest bytes that the program may write; @throws {Fault} before anything is taken for a size that nobody has room for */
export function clearBytes(memory: Memory, address: bigint, size: number): void {
  if (size === 0) return;
  checkRange(memory, address, size, "store");
  memory.write(address, new Uint8Array(size));
}

/** Moves guest bytes that the program may read to where it may write; undefined bits stay undefined. @throws {Fault} */
export function copyBytes(memory: Memory, to: bigint, from: bigint, size: number): void {
  if (size === 0) return;
  checkRange(memory, from, size, "load");
  checkRange(memory, to, size, "store");
  memory.copy(to, from, size);
}

/** Reads up to a NUL, at most `limit` bytes; the NUL is not part of the result. @throws {Fault} */
export function readString(memory: Memory, address: bigint, limit: number): Uint8Array {
  const at = limit === 0 ? 0 : memory.check(1, address, Access.READ, "load");
  for (let length = 0; length < limit; length++) {
    memory.check(1, address + BigInt(length), Access.READ, "load");
    if (memory.bytes[at + length] === 0) return memory.bytes.slice(at, at + length);
  }
  return memory.bytes.slice(at, at + limit);
}

/** Bytes as characters of the same numbers. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** Two hexadecimal digits a byte, in memory order. */
export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

/** The 32 bits at an offset, little-endian. */
export function u32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
