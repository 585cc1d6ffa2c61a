// Very many patch sites at once: the stages of `pokeMany` are plans that the law of plans holds for, and lead where `poke` leads.
import { arm64 } from "@bpfkit/arm64";
import { checkPlans } from "@bpfkit/conformance";
import type { Backend, PokePhase, PokePlan, PokeStages, SiteColumns, SiteState, TextSite } from "@bpfkit/core";
import { SiteKind } from "@bpfkit/core";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { expect, test } from "vitest";

const KINDS: Readonly<Record<SiteState["kind"], number>> = {
  nop: SiteKind.NOP,
  call: SiteKind.CALL,
  jump: SiteKind.JUMP,
};
const target = (state: SiteState): number => (state.kind === "nop" ? 0 : Number(state.target));

function columnsOf(changes: readonly (readonly [TextSite, SiteState, SiteState])[]): SiteColumns {
  return {
    addresses: Float64Array.from(changes, ([{ address }]) => Number(address)),
    size: changes[0]![0].size,
    fromKinds: Uint8Array.from(changes, ([, from]) => KINDS[from.kind]),
    fromTargets: Float64Array.from(changes, ([, from]) => target(from)),
    toKinds: Uint8Array.from(changes, ([, , to]) => KINDS[to.kind]),
    toTargets: Float64Array.from(changes, ([, , to]) => target(to)),
  };
}

/** The stages of one site as a plan that writes all of the site each time. */
function planOf({ address, size }: TextSite, to: SiteState, { contents, clear, traps }: PokeStages): PokePlan {
  if (contents[0]!.every((byte, i) => byte === contents.at(-1)![i])) return { phases: [] };
  const phases = contents.slice(1).flatMap((bytes, i): PokePhase[] => {
    const start = bytes.findIndex((byte, at) => byte !== contents[i]![at]);
    if (start < 0) return [];
    // A store of a few bytes in the middle would show nothing else: the rest is the same.
    const write: PokePhase = { kind: "write", address, expect: contents[i]!, bytes };
    const wait: PokePhase[] =
      i === 0 && clear !== undefined
        ? [{ kind: "wait-clear", from: address + BigInt(clear.from), to: address + BigInt(clear.to) }]
        : [];
    return [write, { kind: "sync-cores" }, ...wait];
  });
  expect(contents[0]!.length).toBe(size);
  return traps ? { phases, trap: { address, resume: to } } : { phases };
}

test.each([x86_64, arm64, riscv64])(
  "stages of many sites on $arch run the old or the new instruction at every moment",
  (backend) => {
    let many = 0;
    const staged: Backend = {
      ...backend,
      poke: (site, from, to) => {
        const plan = backend.poke(site, from, to);
        const stages = backend.pokeMany(columnsOf([[site, from, to]]));
        if (stages === undefined) return plan;
        many++;
        return planOf(site, to, stages);
      },
    };
    const { failures, plans } = checkPlans(staged);
    expect(failures).toEqual([]);
    expect([plans >= 20, many > 10]).toEqual([true, true]);
  },
);

test.each([x86_64, arm64, riscv64])("many sites on $arch end up with the bytes that `poke` gives each", (backend) => {
  const size = { "x86-64": 5, arm64: 4, riscv64: 8 }[backend.arch]!;
  const states = (i: number): SiteState[] => [
    { kind: "nop" },
    { kind: "call", target: 0x1020_0000n + BigInt(64 * i) },
    { kind: "call", target: 0x0f00_0804n },
    { kind: "jump", target: 0x1000_1800n },
  ];
  const changes = Array.from({ length: 160 }, (_, i) => {
    const site: TextSite = { address: 0x1000_0000n + BigInt(16 * i), size };
    return [site, states(i)[i % 4]!, states(i)[(i >> 2) % 4]!] as const;
  });
  const { contents } = backend.pokeMany(columnsOf(changes))!;
  const bytesAt = (content: Uint8Array, i: number): number[] => [...content.subarray(size * i, size * (i + 1))];
  const after = (i: number, [site, from, to]: (typeof changes)[number]): number[] => {
    const bytes = bytesAt(contents[0]!, i);
    for (const phase of backend.poke(site, from, to).phases) {
      if (phase.kind !== "write") continue;
      const at = Number(phase.address - site.address);
      expect(bytes.slice(at, at + phase.expect.length)).toEqual([...phase.expect]);
      bytes.splice(at, phase.bytes.length, ...phase.bytes);
    }
    return bytes;
  };
  for (const [i, change] of changes.entries()) expect(bytesAt(contents.at(-1)!, i)).toEqual(after(i, change));
  const far: readonly (readonly [TextSite, SiteState, SiteState])[] = [
    [{ address: 0x1000_0000n, size }, { kind: "nop" }, { kind: "call", target: 0x2_0000_0000n }],
  ];
  expect(backend.pokeMany(columnsOf(far))).toBeUndefined();
  expect(backend.pokeMany({ ...columnsOf(far), size: size + 1 })).toBeUndefined();
});
