// What Linux 7.2 does with tail calls, from the file that `npm run oracle` keeps true, held against every engine.
import { arm64 } from "@bpfkit/arm64";
import { type Backend, type Engine, interpreter, jit } from "@bpfkit/core";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";

const { agree, expectedOf, readGolden, runSituation } = await import("../../oracle/tail-calls.mjs" as string);
const { SITUATIONS } = await import("../../oracle/tail-call-situations.mjs" as string);

/** Schemes that keep the limit, and let subprograms make tail calls. */
const MIXING = ["pointer", "write-back", "pass-through"];

function enginesOf(backend: Backend): [string, Engine][] {
  return backend.capabilities.tailCallSchemes
    .filter((scheme) => MIXING.includes(scheme))
    .flatMap((tailCalls) =>
      [true, false].map((directTailCalls): [string, Engine] => [
        `${backend.arch} ${tailCalls} ${directTailCalls ? "direct" : "indirect"}`,
        jit(backend, { layout: { tailCalls, directTailCalls } }),
      ]),
    );
}

const engines: [string, Engine][] = [["interpreter", interpreter], ...[x86_64, arm64, riscv64].flatMap(enginesOf)];

describe.each(engines)("%s", (_name, engine) => {
  test("does in every situation what Linux 7.2 does on x86-64, and refuses what it refuses", () => {
    const golden = readGolden();
    const differences = SITUATIONS.flatMap((situation: { readonly name: string }) => {
      const ours = runSituation(engine, situation);
      const theirs = expectedOf(golden, "x86-64", situation);
      return agree(ours, theirs) ? [] : [{ situation: situation.name, ours, theirs }];
    });
    expect(differences).toEqual([]);
  });
});
