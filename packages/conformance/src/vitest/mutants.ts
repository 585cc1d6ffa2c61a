// Backends that are wrong, as a vitest test: the corpus finds out each of them.
import { type BackendParts, type CodeBuffer, defineBackend } from "@bpfkit/core";
import { expect, test } from "vitest";
import type { ConformanceCase } from "../case.ts";
import { runConformance } from "../conformance.ts";
import { corpus } from "../corpus.ts";
import { mutantsOf } from "../mutants.ts";
import { checkManySites } from "../poke/many.ts";
import { manySitesMutantsOf } from "../poke/many-mutants.ts";
import { passed } from "../report.ts";
import { checkCookies } from "../trampoline/cookies.ts";
import { checkTrampolines } from "../trampoline/law.ts";
import { trampolineMutantsOf } from "../trampoline/mutants.ts";

/** Together, on a slow machine. */
const MUTANTS_TIMEOUT = 60_000;

/** What mutants of trampolines are tried on: words in registers and on the stack, with small numbers among them. */
const WIDE = "int (u64, u64, u64, u64, u64, u64, u64, u64, u8, s16, u32)";

/** Declares tests that the corpus alone, the law of trampolines alone and that of many sites catch every mutant of a backend's parts; see {@link mutantsOf}. */
export function describeMutants<R extends string, A extends CodeBuffer>(parts: BackendParts<R, A>): void {
  test(`the corpus catches every broken ${parts.arch}`, { timeout: MUTANTS_TIMEOUT }, () => {
    const mutants = mutantsOf(parts);
    expect(mutants.length).toBeGreaterThanOrEqual(40);
    const survivors = mutants.filter(({ backend, near }) =>
      passed(runConformance(backend, { cases: likelyFirst(near), programs: 0, stopAfter: 1, details: 0 })),
    );
    expect(survivors.map(({ name }) => name)).toEqual([]);
  });

  test(`the law of trampolines catches every broken ${parts.arch}`, { timeout: MUTANTS_TIMEOUT }, () => {
    const mutants = trampolineMutantsOf(parts);
    expect(mutants.length).toBeGreaterThanOrEqual(18);
    const survivors = mutants.filter(
      ({ backend }) => checkTrampolines(backend, { models: [WIDE] }).breach === undefined,
    );
    expect(survivors.map(({ name }) => name)).toEqual([]);
    const noCookies = mutants.find(({ name }) => name === "cookies are not looked up")!;
    expect(checkCookies(noCookies.backend).breach).toContain("found 0");
  });

  test(`the law of many sites catches every broken ${parts.arch}`, { timeout: MUTANTS_TIMEOUT }, () => {
    const mutants = manySitesMutantsOf(defineBackend(parts));
    expect(mutants.length).toBeGreaterThanOrEqual(3);
    const survivors = mutants.filter(({ backend }) => checkManySites(backend).breach === undefined);
    expect(survivors.map(({ name }) => name)).toEqual([]);
  });
}

/** The corpus, with the cases first that are likely to catch a mutant. */
function likelyFirst(near: readonly string[] | undefined): readonly ConformanceCase[] {
  if (near === undefined) return corpus();
  const isNear = ({ name }: ConformanceCase): boolean => near.some((start) => name.startsWith(start));
  return [...corpus().filter(isNear), ...corpus().filter((one) => !isNear(one))];
}
