// Helpers that need nothing but the machine: time, random numbers, CPUs, loops, memory, checksums.
import { Access, Fault, type GuestCall, type HostCall, type Memory } from "@bpfkit/core";
import { type ErrnoName, failure } from "../errno.ts";
import { clearBytes, copyBytes, readBytes, readString, writeBytes } from "../guest.ts";
import { type Helper, type HelperRow, type HelperSite, u32, u64 } from "./helper.ts";

/** Most iterations of one `bpf_loop`. All 64 bits of the count matter, since the kernel compares them in line, without the call. */
const MAX_LOOPS = 8n * 1024n * 1024n;

function* loop(
  _site: HelperSite,
  { args: [count, callback, context, flags] }: HostCall,
): Generator<GuestCall, bigint, bigint> {
  if (flags !== 0n) return failure("EINVAL");
  if (count > MAX_LOOPS) return failure("E2BIG");
  const loops = Number(count);
  for (let i = 0; i < loops; i++) {
    const result = yield { address: callback, args: [BigInt(i), context] };
    if (result !== 0n) return BigInt(i + 1);
  }
  return BigInt(loops);
}

/** A bad source is no trap: the destination is filled with zeroes. */
const probeRead: Helper = ({ memory }, { args: [destination, size, source] }) => {
  const length = u32(size);
  if (isUserAddress(memory, source)) return unread(memory, destination, length, "ERANGE");
  try {
    copyBytes(memory, destination, source, length);
    return 0n;
  } catch (error) {
    if (!(error instanceof Fault) || error.trapCause === "store") throw error;
    return unread(memory, destination, length, "EFAULT");
  }
};

/** Gives the length with the closing NUL. */
const probeReadString: Helper = ({ memory }, { args: [destination, size, source] }) => {
  const length = u32(size);
  if (length === 0) return 0n;
  if (isUserAddress(memory, source)) return unread(memory, destination, length, "ERANGE");
  try {
    const text = readString(memory, source, length);
    const bytes = new Uint8Array(Math.min(text.length + 1, length));
    bytes.set(text.subarray(0, bytes.length - 1));
    writeBytes(memory, destination, bytes);
    return BigInt(bytes.length);
  } catch (error) {
    if (!(error instanceof Fault) || error.trapCause === "store") throw error;
    return unread(memory, destination, length, "EFAULT");
  }
};

/** The half of the address space that the kernel does not even try to read as its own; guest memory lies there, too, and is spared. */
function isUserAddress({ base, size }: Memory, address: bigint): boolean {
  return address >> 63n === 0n && (address < base || address >= base + BigInt(size));
}

function unread(memory: Memory, destination: bigint, length: number, error: ErrnoName): bigint {
  clearBytes(memory, destination, length);
  return failure(error);
}

/** Compares at most `size` bytes up to a NUL: −1, 0 or 1. */
const strncmp: Helper = ({ memory }, { args: [first, size, second] }) => {
  for (let i = 0n; i < BigInt(u32(size)); i++) {
    const a = memory.bytes[memory.check(1, first + i, Access.READ, "load")]!;
    const b = memory.bytes[memory.check(1, second + i, Access.READ, "load")]!;
    if (a !== b) return u64(a < b ? -1 : 1);
    if (a === 0) break;
  }
  return 0n;
};

/** The checksum difference between `from` and `to`, added to a seed and folded to 16 bits. */
const csumDiff: Helper = ({ memory }, { args: [from, fromSize, to, toSize, seed] }) => {
  const [removed, added] = [u32(fromSize), u32(toSize)];
  const old = readBytes(memory, from, removed);
  const fresh = readBytes(memory, to, added);
  const start = u32(seed);
  if (removed === 0) return BigInt(fold16(sum32(fresh, start)));
  if (added === 0) return BigInt(fold16(~sum32(old, ~start >>> 0) >>> 0));
  return BigInt(fold16(addCarry(sum32(fresh, start), ~sum32(old, 0) >>> 0)));
};

/** Ones' complement sum of little-endian 32-bit words; zeroes fill up the last one. */
function sum32(bytes: Uint8Array, seed: number): number {
  let sum = seed;
  for (let i = 0; i < bytes.length; i += 4) {
    const word = bytes[i]! | ((bytes[i + 1] ?? 0) << 8) | ((bytes[i + 2] ?? 0) << 16) | ((bytes[i + 3] ?? 0) << 24);
    sum = addCarry(sum, word >>> 0);
  }
  return sum;
}

function addCarry(a: number, b: number): number {
  const sum = a + b;
  return sum > 0xffff_ffff ? sum - 0xffff_ffff : sum;
}

function fold16(sum: number): number {
  const folded = (sum & 0xffff) + (sum >>> 16);
  return (folded & 0xffff) + (folded >>> 16);
}

const time: HelperRow = { run: ({ clock }) => clock.read() };

export const BASIC_HELPERS: { readonly [name: string]: HelperRow } = {
  ktime_get_ns: time,
  ktime_get_boot_ns: time,
  ktime_get_tai_ns: time,
  ktime_get_coarse_ns: { run: ({ clock }) => clock.readCoarse() },
  get_prandom_u32: { run: (site, { cpu }) => BigInt(site.random(cpu)) },
  get_smp_processor_id: { run: (_site, { cpu }) => BigInt(cpu) },
  get_numa_node_id: { run: () => 0n },
  loop: { run: loop },
  probe_read_kernel: { run: probeRead },
  probe_read_kernel_str: { run: probeReadString },
  strncmp: { run: strncmp },
  csum_diff: { run: csumDiff },
};
