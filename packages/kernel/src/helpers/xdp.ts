// Helpers of XDP programs: they move the ends of the packet, copy parts of it, or say where it goes.
import { Fault } from "@bpfkit/core";
import { XDP_ACTIONS, XdpBuffer } from "../context/xdp.ts";
import { type ErrnoName, failure } from "../errno.ts";
import { copyBytes } from "../guest.ts";
import { type Helper, type HelperRow, type HelperSite, s32, u32 } from "./helper.ts";

const types = ["xdp"];
/** A packet is never longer than 16 bits can say. */
const MAX_OFFSET = 0xffff;

function bufferIn(site: HelperSite, address: bigint, cpu: number): XdpBuffer {
  const context = site.contextOf(cpu);
  if (context instanceof XdpBuffer && context.address === address) return context;
  throw new Fault("load", `not the context of this run: ${site.memory.describe(address)}`, address, 8);
}

function adjust(move: (buffer: XdpBuffer, delta: number) => ErrnoName | undefined): HelperRow {
  return {
    types,
    run: (site, { args: [context, delta], cpu }) => {
      const error = move(bufferIn(site, context, cpu), s32(delta));
      return error === undefined ? 0n : failure(error);
    },
  };
}

/** Where `size` bytes at an offset of the packet lie, or the error that both copying helpers give. */
function within(buffer: XdpBuffer, offset: bigint, size: bigint): bigint | ErrnoName {
  const [start, length] = [u32(offset), u32(size)];
  if (start > MAX_OFFSET || length > MAX_OFFSET) return "EFAULT";
  return buffer.slice(start, length) ?? "EINVAL";
}

const loadBytes: Helper = (site, { args: [context, offset, destination, size], cpu }) => {
  const place = within(bufferIn(site, context, cpu), offset, size);
  if (typeof place === "string") return failure(place);
  copyBytes(site.memory, destination, place, u32(size));
  return 0n;
};

const storeBytes: Helper = (site, { args: [context, offset, source, size], cpu }) => {
  const place = within(bufferIn(site, context, cpu), offset, size);
  if (typeof place === "string") return failure(place);
  copyBytes(site.memory, place, source, u32(size));
  return 0n;
};

/** Remembers the device; the program then returns what this gives, XDP_REDIRECT. */
const redirect: Helper = (site, { args: [ifindex, flags], cpu }) => {
  const context = site.contextOf(cpu);
  if (!(context instanceof XdpBuffer) || flags !== 0n) return BigInt(XDP_ACTIONS.indexOf("XDP_ABORTED"));
  context.redirect = { ifindex: u32(ifindex) };
  return BigInt(XDP_ACTIONS.indexOf("XDP_REDIRECT"));
};

export const XDP_HELPERS: { readonly [name: string]: HelperRow } = {
  xdp_adjust_head: adjust((buffer, delta) => buffer.adjustHead(delta)),
  xdp_adjust_tail: adjust((buffer, delta) => buffer.adjustTail(delta)),
  xdp_adjust_meta: adjust((buffer, delta) => buffer.adjustMeta(delta)),
  xdp_get_buff_len: { types, run: (site, { args: [context], cpu }) => BigInt(bufferIn(site, context, cpu).length) },
  xdp_load_bytes: { types, run: loadBytes },
  xdp_store_bytes: { types, run: storeBytes },
  redirect: { types, run: redirect },
};
