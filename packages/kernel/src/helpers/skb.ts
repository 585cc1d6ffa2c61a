// Packets of socket buffers: the host's side of legacy packet loads, and the helper that copies from a packet.
import { Fault, type HostFunction } from "@bpfkit/core";
import { SkBuff } from "../context/skb.ts";
import { failure } from "../errno.ts";
import { clearBytes, writeBytes } from "../guest.ts";
import { type Helper, type HelperRow, type HelperSite, s32, u32 } from "./helper.ts";

const types = ["socket_filter", "sched_cls"];
/** A packet is never longer than 16 bits can say. */
const MAX_OFFSET = 0xffff;

function bufferIn(site: HelperSite, address: bigint, cpu: number): SkBuff {
  const context = site.contextOf(cpu);
  if (context instanceof SkBuff && context.address === address) return context;
  throw new Fault("load", `not the context of this run: ${site.memory.describe(address)}`, address, 8);
}

/** Loads `size` bytes of the packet for a legacy packet load. */
export function packetLoad(site: HelperSite, size: number): HostFunction {
  return ({ args: [context, offset], cpu }) => bufferIn(site, context, cpu).load(s32(offset), size) ?? -1n;
}

/** Clears the destination where the packet does not hold all bytes, as the kernel does. */
const loadBytes: Helper = (site, { args: [context, offset, destination, size], cpu }) => {
  const [start, length] = [u32(offset), u32(size)];
  const bytes = start > MAX_OFFSET ? undefined : bufferIn(site, context, cpu).bytes(start, length);
  if (bytes === undefined) {
    clearBytes(site.memory, destination, length);
    return failure("EFAULT");
  }
  writeBytes(site.memory, destination, bytes);
  return 0n;
};

export const SKB_HELPERS: { readonly [name: string]: HelperRow } = {
  skb_load_bytes: { types, run: loadBytes },
};
