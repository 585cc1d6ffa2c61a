// Rewriting patch sites: one aligned word each, which a CPU sees as it was or as it will be; Arm ARM (DDI 0487) section B2.2.5.
import { BpfError, type PokePlan, type SiteState, type TextSite } from "@bpfkit/core";
import { B_WORD, BL_WORD, branch26, NOP_WORD, reach26, writeWord } from "./assembler.ts";

/** Bytes of a site: a `nop`, `bl` or `b`, which are instructions that may be written over each other while a CPU runs them. */
export const SITE = 4;

/**
 * One store puts the new instruction there. Until the cores are synchronized, a CPU may run the old one; the kernel does not wait for that
 * with the store itself, but before it gives back what the old instruction led to.
 *
 * @throws {BpfError} `argument` for a site that is not one aligned word and for a target that is no address of code; `out-of-range` for
 *   a target more than 128 MiB away
 */
export function poke(site: TextSite, from: SiteState, to: SiteState): PokePlan {
  checkSite(site);
  const expect = bytesOf(site, from);
  const bytes = bytesOf(site, to);
  if (expect.every((byte, i) => byte === bytes[i])) return { phases: [] };
  return { phases: [{ kind: "write", address: site.address, expect, bytes }, { kind: "sync-cores" }] };
}

function checkSite({ address, size }: TextSite): void {
  if (size === SITE && (address & 3n) === 0n) return;
  throw new BpfError("argument", `a patch site of ${size} bytes at ${hex(address)}`, {
    expected: `${SITE} bytes at a multiple of ${SITE}`,
  });
}

/** The instruction that does what a state says. */
function bytesOf({ address }: TextSite, state: SiteState): Uint8Array {
  const bytes = new Uint8Array(SITE);
  if (state.kind === "nop") {
    writeWord(bytes, 0, NOP_WORD);
    return bytes;
  }
  const { kind, target } = state;
  if ((target & 3n) !== 0n) {
    throw new BpfError("argument", `a ${kind} to ${hex(target)}`, { expected: "a multiple of 4" });
  }
  const distance = reach26(address, target);
  if (distance === undefined) {
    throw new BpfError("out-of-range", `a ${kind} to ${hex(target)} from ${hex(address)}`, {
      expected: "a target within 128 MiB",
    });
  }
  writeWord(bytes, 0, (kind === "call" ? BL_WORD : B_WORD) | branch26(distance));
  return bytes;
}

function hex(address: bigint): string {
  return `0x${BigInt.asUintN(64, address).toString(16)}`;
}
