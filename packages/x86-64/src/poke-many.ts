// Rewriting very many patch sites of five bytes together: the steps of `poke`, in columns.
import { type PokeStages, type SiteColumns, SiteKind } from "@bpfkit/core";
import { writeInt } from "./assembler.ts";
import { BREAKPOINT, NOP, OPCODE, SIZE } from "./poke.ts";

/** As `poke`: the breakpoints, all other bytes, the first bytes. Undefined for a site that is not of five bytes, or a target further than 2 GiB. */
export function pokeMany(sites: SiteColumns): PokeStages | undefined {
  const { addresses, size, fromKinds, fromTargets, toKinds, toTargets } = sites;
  if (size !== SIZE) return undefined;
  const old = statesOf(addresses, fromKinds, fromTargets);
  const bytes = statesOf(addresses, toKinds, toTargets);
  if (old === undefined || bytes === undefined) return undefined;
  const [broken, behind] = [old.slice(), bytes.slice()];
  for (let at = 0; at < old.length; at += SIZE) {
    let changes = false;
    for (let i = at; i < at + SIZE; i++) if (old[i] !== bytes[i]) changes = true;
    if (changes) broken[at] = behind[at] = BREAKPOINT;
  }
  return { contents: [old, broken, behind, bytes], traps: true };
}

function statesOf(addresses: Float64Array, kinds: Uint8Array, targets: Float64Array): Uint8Array | undefined {
  const bytes = new Uint8Array(SIZE * addresses.length);
  for (let i = 0; i < addresses.length; i++) {
    const at = SIZE * i;
    if (kinds[i] === SiteKind.NOP) {
      for (let byte = 0; byte < SIZE; byte++) bytes[at + byte] = NOP[byte]!;
      continue;
    }
    const distance = targets[i]! - (addresses[i]! + SIZE);
    if (distance !== (distance | 0)) return undefined;
    bytes[at] = kinds[i] === SiteKind.CALL ? OPCODE.call : OPCODE.jump;
    writeInt(bytes, at + 1, distance);
  }
  return bytes;
}
