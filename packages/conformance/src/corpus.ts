// All cases of the corpus, in an order in which the first ones already see every instruction.
import type { ConformanceCase } from "./case.ts";
import { arithmeticCases } from "./corpus/arithmetic.ts";
import { callCases } from "./corpus/calls.ts";
import { distanceCases, longCases } from "./corpus/distance.ts";
import { fieldCases } from "./corpus/field.ts";
import { jumpCases } from "./corpus/jumps.ts";
import { memoryCases } from "./corpus/memory.ts";
import { packetCases } from "./corpus/packet.ts";
import { safetyCases } from "./corpus/safety.ts";

let made: readonly ConformanceCase[] | undefined;

/**
 * The corpus: cases over every instruction, operand form and edge value, with expected values from RFC 9669's text and not from an
 * engine. The families (one per instruction, or per subject) take turns, so that a prefix of it is a fair sample;
 * long programs are last.
 *
 * @example
 * ```ts
 * import { corpus, formatCase } from "@bpfkit/conformance";
 * console.log(corpus().length, formatCase(corpus()[0]!));
 * ```
 */
export function corpus(): readonly ConformanceCase[] {
  made ??= [...interleave(families()), ...interleave(longCases())];
  return made;
}

function families(): readonly (readonly ConformanceCase[])[] {
  return [
    ...fieldCases(),
    ...arithmeticCases(),
    ...jumpCases(),
    ...memoryCases(),
    ...callCases(),
    ...packetCases(),
    ...safetyCases(),
    ...distanceCases(),
  ];
}

function interleave(families: readonly (readonly ConformanceCase[])[]): readonly ConformanceCase[] {
  const longest = Math.max(...families.map(({ length }) => length));
  return Array.from({ length: longest }, (_, i) => i).flatMap((i) =>
    families.flatMap((family) => (i < family.length ? [family[i]!] : [])),
  );
}
