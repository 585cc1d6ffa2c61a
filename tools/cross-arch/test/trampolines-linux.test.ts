// What programs see at functions of Linux 7.2 and 6.12, from the file that `npm run oracle` keeps true, held against every architecture.
import { arm64 } from "@bpfkit/arm64";
import { jit } from "@bpfkit/core";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { describe, expect, test } from "vitest";

const { agree, isOwn, outcomeOf, readGolden } = await import("../../oracle/trampoline-behaviour.mjs" as string);
const { runSituation } = await import("../../oracle/trampoline-runs.mjs" as string);
const { SITUATIONS } = await import("../../oracle/trampoline-situations.mjs" as string);

const BACKENDS = [x86_64, arm64, riscv64];
/** All of them on every architecture; else each has its turn on one. */
const ALL = process.env.BPFKIT_TRAMPOLINES !== undefined;
const golden = readGolden();

describe.each(BACKENDS.map((backend, i) => [backend.arch, backend, i] as const))("%s", (arch, backend, turn) => {
  test.each(["7.2", "6.12"])("programs see what they see at functions of Linux %s", (version) => {
    // where an older kernel does as the first one, that is seen there already
    const wanted = (SITUATIONS as { readonly name: string }[]).filter(
      ({ name }, i) =>
        (ALL || i % BACKENDS.length === turn) && (version === "7.2" || isOwn(golden, version, arch, name)),
    );
    const differences = wanted.flatMap((situation) => {
      const theirs = outcomeOf(golden, version, arch, situation.name);
      if (theirs === undefined) return [];
      const ours = runSituation(jit(backend), version, situation);
      return agree(golden, version, situation, ours, theirs) ? [] : [{ situation: situation.name, ours, theirs }];
    });
    expect(differences).toEqual([]);
  });
});
