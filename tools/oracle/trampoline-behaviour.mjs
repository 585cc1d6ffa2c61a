// What programs see at functions of real kernels beside what they see here, situation by situation.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { jit } from "@bpfkit/core";
import { askAboutTrampolines } from "./trampoline-guest.mjs";
import { runSituation } from "./trampoline-runs.mjs";
import { SITUATIONS } from "./trampoline-situations.mjs";

const GOLDEN = new URL("trampolines-linux.json", import.meta.url);
/** The one whose outcomes are written down in full; of others, what differs. */
const [FIRST_KERNEL, FIRST_ARCH] = ["7.2", "x86-64"];
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** What kernels did: by version, architecture and situation. */
export const readGolden = () => JSON.parse(readFileSync(GOLDEN, "utf8"));

/** What the kernel of a version and an architecture did, `{ refused }` or `{ seen, events }`; undefined where nobody has asked it. */
export function outcomeOf(golden, version, arch, name) {
  const own = golden[version]?.[arch];
  return own && (own[name] ?? golden[FIRST_KERNEL][FIRST_ARCH][name]);
}

/** Whether the outcome of a version and an architecture is written down for itself. */
export const isOwn = (golden, version, arch, name) =>
  (version === FIRST_KERNEL && arch === FIRST_ARCH) || golden[version]?.[arch]?.[name] !== undefined;

/**
 * Compares all situations on the kernel of a version, which has to be the one that the harness boots.
 *
 * @returns {{ differences: string[], summary: string }}
 */
export function compareBehaviour(backend, version) {
  const { arch } = backend;
  const { kernel, outcomes } = askAboutTrampolines(arch, version, SITUATIONS);
  const golden = readGolden();
  const differences = [];
  const refusals = new Map();
  let [equal, both] = [0, 0];
  for (const situation of SITUATIONS) {
    const { name } = situation;
    const theirs = outcomes[name];
    if (!same(theirs, outcomeOf(golden, version, arch, name)))
      differences.push(`${name}: ${GOLDEN.pathname} is out of date: ${JSON.stringify(theirs)}`);
    const ours = runSituation(jit(backend), version, situation);
    if (same(ours, theirs)) equal++;
    else if (theirs.refused !== undefined) {
      const reason = `${theirs.refused}${ours.refused === undefined ? "" : `; by bpfkit: ${ours.refused}`}`;
      refusals.set(reason, (refusals.get(reason) ?? 0) + 1);
      if (ours.refused !== undefined) both++;
    }
    // what an older kernel refuses, a newer one may take
    if (!agree(golden, version, situation, ours, theirs))
      differences.push(`${name}: kernel ${JSON.stringify(theirs)}, bpfkit ${JSON.stringify(ours)}`);
  }
  for (const [reason, count] of refusals)
    console.log(`    ${String(count).padStart(4)} × refused by the kernel: ${reason}`);
  const refused = [...refusals.values()].reduce((sum, count) => sum + count, 0);
  const different = SITUATIONS.length - equal - refused;
  return {
    differences,
    summary: `programs at functions of Linux ${kernel}, ${arch}: ${equal} situations equal, ${different} different, ${refused} refused by the kernel, ${both} of them by both`,
  };
}

/** What Linux 7.2 on riscv64 says to tail calls in subprograms, which later kernels take. */
const MIXING = /^mixing of tail_calls/;

/**
 * Whether bpfkit does in a situation what a kernel does: refuses what the newest refuses, and is like any that takes something. Where that one cannot
 * mix tail calls with subprograms, the first architecture decides.
 */
export function agree(golden, version, { name }, ours, theirs) {
  if (theirs.refused === undefined) return same(ours, theirs);
  if (version !== FIRST_KERNEL) return true;
  if (MIXING.test(theirs.refused)) return agree(golden, version, { name }, ours, golden[version][FIRST_ARCH][name]);
  return ours.refused !== undefined;
}

/** `node tools/oracle/trampoline-behaviour.mjs ARCH [VERSION]` writes down what a kernel does; the first one goes first. */
function writeGolden(arch, version = FIRST_KERNEL) {
  const { outcomes } = askAboutTrampolines(arch, version, SITUATIONS);
  let golden = {};
  try {
    golden = readGolden();
  } catch {
    console.log("a new file");
  }
  const isFirst = version === FIRST_KERNEL && arch === FIRST_ARCH;
  const first = golden[FIRST_KERNEL]?.[FIRST_ARCH] ?? {};
  const own = Object.entries(outcomes).filter(([name, outcome]) => isFirst || !same(outcome, first[name]));
  golden[version] = { ...golden[version], [arch]: Object.fromEntries(own) };
  const parts = Object.entries(golden).map(([each, arches]) => {
    const inner = Object.entries(arches).map(([name, all]) => {
      const lines = Object.entries(all).map(
        ([what, outcome]) => `      ${JSON.stringify(what)}: ${JSON.stringify(outcome)}`,
      );
      return `    ${JSON.stringify(name)}: {\n${lines.join(",\n")}\n    }`;
    });
    return `  ${JSON.stringify(each)}: {\n${inner.join(",\n")}\n  }`;
  });
  writeFileSync(GOLDEN, `{\n${parts.join(",\n")}\n}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeGolden(process.argv[2], process.argv[3]);
