import type { Case, Expected } from "./cases.mjs";

/** Of one subject: cases; with the same verdict; with the same message, too; with everything the same. */
export interface Agreement {
  readonly cases: number;
  readonly verdicts: number;
  readonly messages: number;
  readonly all: number;
}

export interface Answer extends Partial<Expected> {
  readonly trouble?: string;
}

export interface Difference {
  readonly kind: string;
  readonly subject: string;
  readonly name: string;
  readonly here: Answer;
  readonly there: Expected;
}

/** `verify`, as far as it is asked here. */
export type Verify = (program: Case["program"], options: object) => object;

export const KINDS: readonly string[];
export function answerHere(
  verify: Verify,
  entry: Case,
  kernel: string,
  options?: { readonly budget?: object; readonly brief?: boolean },
): Answer;
export function kindOfDifference(here: Answer, there: Expected): string | undefined;
export function agreementOf(
  verify: Verify,
  cases: readonly Case[],
  kernel: string,
  brief?: boolean,
): { readonly subjects: Readonly<Record<string, Agreement>>; readonly differences: readonly Difference[] };
export function isDisputed(entry: Case): boolean;
export function newDifferences(
  differences: readonly Difference[],
  known: Readonly<Record<string, string>>,
): readonly Difference[];
export function nameOf(of: { readonly subject: string; readonly name: string }): string;
export function differencesText(byKernel: Readonly<Record<string, readonly Difference[]>>): string;
