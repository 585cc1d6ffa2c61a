// Backends that rewrite very many sites in a wrong way: the law of many sites has to catch each of them.
import type { Backend, PokeStages, SiteColumns } from "@bpfkit/core";
import type { Mutant } from "../mutants.ts";

/** Every mutant that changes anything of a backend's stages. */
export function manySitesMutantsOf(backend: Backend): readonly Mutant[] {
  const staged = (name: string, change: (stages: PokeStages, columns: SiteColumns) => PokeStages): Mutant => ({
    name,
    backend: {
      ...backend,
      pokeMany: (columns) => {
        const stages = backend.pokeMany(columns);
        return stages && change(stages, columns);
      },
    },
  });
  const { contents, clear, traps } = backend.pokeMany(SAMPLE(backend))!;
  return [
    staged("all sites lead where the first one does", ({ contents: all, ...rest }, { size }) => ({
      ...rest,
      contents: all.map((bytes) => bytes.map((_, i) => bytes[i % size]!)),
    })),
    staged("no site changes", ({ contents: all, ...rest }) => ({ ...rest, contents: all.map(() => all[0]!) })),
    staged("targets are one site further", ({ contents: all, ...rest }, { size }) => ({
      ...rest,
      contents: all.map((bytes) => bytes.map((_, i) => bytes[(i + size) % bytes.length]!)),
    })),
    ...(contents.length > 2
      ? [
          staged("all bytes change at once", ({ contents: all, ...rest }) => ({
            ...rest,
            contents: [all[0]!, all.at(-1)!],
          })),
          staged("the stages between are left out of order", ({ contents: all, ...rest }) => ({
            ...rest,
            contents: [all[0]!, ...all.slice(1, -1).toReversed(), all.at(-1)!],
          })),
        ]
      : []),
    ...(clear === undefined ? [] : [staged("nobody has to leave a site", ({ clear: _, ...rest }) => rest)]),
    ...(traps ? [staged("breakpoints go nowhere", (stages) => ({ ...stages, traps: false }))] : []),
  ];
}

/** One site that begins to call. */
const SAMPLE = (backend: Backend): SiteColumns => ({
  addresses: Float64Array.of(0x1000_0000),
  size: backend.emitFunction().patchSites.find(({ kind }) => kind === "entry")!.size,
  fromKinds: Uint8Array.of(0),
  fromTargets: Float64Array.of(0),
  toKinds: Uint8Array.of(1),
  toTargets: Float64Array.of(0x1000_1000),
});
