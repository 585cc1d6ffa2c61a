// The laws of trampolines as vitest tests.
import type { Backend, CompileOptions } from "@bpfkit/core";
import { describe, expect, test } from "vitest";
import { checkBacktraces } from "../trampoline/backtrace.ts";
import { FUNCTION_MODELS } from "../trampoline/cases.ts";
import { checkCookies } from "../trampoline/cookies.ts";
import {
  checkTrampolines,
  formatTrampolineBreach,
  sharedImageBreach,
  type TrampolineBreach,
} from "../trampoline/law.ts";
import { checkSharing } from "../trampoline/sharing.ts";
import { booleans, flipped } from "./other-settings.ts";

/** Milliseconds on a slow machine, for a part and for all. */
const PART_TIMEOUT = 120_000;
const EVERY_TIMEOUT = 600_000;
/** One trampoline of so many, for calls and for backtraces; a prime, so that each list meets each way of finding the original. */
const PART = 11;
const BACKTRACE_PART = 5;
/** The same for each other choice of settings. */
const OTHERS_PART = 79;

/** Declares the tests of a backend's trampolines; `every` tries all of them, which takes seconds, in place of a part. */
export function describeTrampolines(backend: Backend, { every = false }: { readonly every?: boolean } = {}): void {
  const timeout = every ? EVERY_TIMEOUT : PART_TIMEOUT;
  describe("trampolines", () => {
    test("do around functions what a call of programs and function would", { timeout }, () => {
      const report = checkTrampolines(backend, { part: { index: 0, count: every ? 1 : PART } });
      expectNoBreach(report.breach);
      expect(report.calls).toBeGreaterThan(3 * report.trampolines);
    });

    const others = otherOptions(backend);
    test.runIf(others.length > 0)("do so with other layouts and features", { timeout }, () => {
      for (const compile of others) {
        expectNoBreach(
          checkTrampolines(backend, { compile, part: { index: 0, count: every ? PART : OTHERS_PART } }).breach,
        );
      }
    });

    test("A-26 one image, entered by three functions, calls each with its own arguments and knows which it is", () => {
      expectNoBreach(sharedImageBreach(backend));
    });

    test("A-22 cookies permuted: each hit finds its own, and each doubling of the functions costs one load more", () => {
      const { calls, breach } = checkCookies(backend);
      expect(breach).toBeUndefined();
      expect(calls).toBeGreaterThan(200);
    });

    test("can be followed by frame pointers, from every instruction", { timeout }, () => {
      const report = checkBacktraces(
        backend,
        every ? { models: FUNCTION_MODELS } : { part: { index: 0, count: BACKTRACE_PART } },
      );
      expectNoBreach(report.breach);
      expect(report.instructions).toBeGreaterThan(100 * report.trampolines);
    });

    test("are equal for functions with equal places, and different where these matter", () => {
      const { equal, breach } = checkSharing(backend);
      expectNoBreach(breach);
      expect(equal).toBeGreaterThan(0);
    });
  });
}

/** Each choice of layout turned round, all of them together, and all features. */
function otherOptions({ capabilities: { layout, features } }: Backend): readonly CompileOptions[] {
  const choices = booleans(layout).filter((key) => key !== "directTailCalls"); // which trampolines have none of
  return [
    ...choices.map((key) => ({ layout: flipped(layout, [key]) })),
    ...(choices.length > 1 ? [{ layout: flipped(layout, choices) }] : []),
    ...(booleans(features).length > 0 ? [{ features: flipped(features, booleans(features)) }] : []),
  ];
}

function expectNoBreach(breach: TrampolineBreach | undefined): void {
  if (breach !== undefined) expect.fail(formatTrampolineBreach(breach));
}
