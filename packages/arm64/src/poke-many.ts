// Rewriting very many patch sites together, where the word of each reaches its target: the steps of `poke`, in columns.
import { type PokeStages, type SiteColumns, SiteKind } from "@bpfkit/core";
import { B_WORD, BL_WORD, branch26, NOP_WORD, writeWord } from "./assembler.ts";
import { SITE } from "./poke.ts";

/** Bytes that a `b` reaches. */
const REACH = 2 ** 27;

/** As `poke` for near targets: one store of a word each. Undefined for sites that are no aligned words, and for a target further than 128 MiB. */
export function pokeMany(sites: SiteColumns): PokeStages | undefined {
  const { addresses, size, fromKinds, fromTargets, toKinds, toTargets } = sites;
  if (size !== SITE) return undefined;
  const old = statesOf(addresses, fromKinds, fromTargets);
  const bytes = statesOf(addresses, toKinds, toTargets);
  return old && bytes && { contents: [old, bytes], traps: false };
}

function statesOf(addresses: Float64Array, kinds: Uint8Array, targets: Float64Array): Uint8Array | undefined {
  const bytes = new Uint8Array(SITE * addresses.length);
  for (let i = 0; i < addresses.length; i++) {
    const address = addresses[i]!;
    if (address % SITE !== 0) return undefined;
    if (kinds[i] === SiteKind.NOP) {
      writeWord(bytes, SITE * i, NOP_WORD);
      continue;
    }
    const distance = targets[i]! - address;
    if (distance % SITE !== 0 || distance < -REACH || distance >= REACH) return undefined;
    writeWord(bytes, SITE * i, (kinds[i] === SiteKind.CALL ? BL_WORD : B_WORD) | branch26(distance));
  }
  return bytes;
}
