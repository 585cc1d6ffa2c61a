// A real kernel as judge: sends cases to a guest through the harness that BPFKIT_ORACLE names, and returns what the kernel said.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Boots one guest, runs all cases in it, and gives `{ kernel, results }`; a result has `name`, `verdict`, `log`, `jited`, `xlated`, `runs` …; `kernel` picks another than the newest */
export function askKernel(arch, cases, kernel) {
  const folder = mkdtempSync(join(tmpdir(), "bpfkit-oracle-"));
  try {
    const [input, output] = ["cases.json", "results.json"].map((file) => join(folder, file));
    // the harness wants one at least, and which kernel it is shall be known in any case
    writeFileSync(input, JSON.stringify(cases.length > 0 ? cases : [{ name: "nothing" }]));
    execFileSync(join(process.env.BPFKIT_ORACLE, "run.sh"), [arch, input, output, ...(kernel ? ["-k", kernel] : [])], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    const { meta, results } = JSON.parse(readFileSync(output, "utf8"));
    return { kernel: meta.kernel, results: results.slice(0, cases.length) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The harness' name of an architecture. */
export const guestOf = (arch) => (arch === "x86-64" ? "x86_64" : arch);

const BPF_F_SLEEPABLE = 1 << 4;

/** A case that loads `program`. Its maps are created in the guest, with what they hold at the start; `rest` adds to the case or replaces parts of it. */
export function caseOf(program, rest = {}) {
  return {
    name: program.name,
    type: program.type,
    flags: program.type === "syscall" ? BPF_F_SLEEPABLE : 0, // such programs have to be
    license: program.license,
    per_insn: hasCallback(program.insns) ? 1 : 0, // brings function information along, without which the kernel takes none
    insns: hex(program.insns.toBytes()),
    maps: program.maps.map((map) => ({
      type: map.type,
      key: map.keySize,
      value: map.valueSize,
      max: map.maxEntries,
      flags: map.flags,
    })),
    map_init: program.maps.flatMap((map, index) =>
      map.initial ? [{ map: index, key: "00000000", value: hex(map.initial) }] : [],
    ),
    ...rest,
  };
}

const LDDW = 0x18;
const PSEUDO_FUNC = 4;

function hasCallback(insns) {
  for (let i = 0; i < insns.length; i += insns.width(i)) {
    if (insns.code(i) === LDDW && insns.src(i) === PSEUDO_FUNC) return true;
  }
  return false;
}

/**
 * Whether the kernel compiled just what it was given: the verifier rewrote nothing. Addresses are left out of the comparison,
 * since the dump hides them.
 */
export function isUnchanged(insns, xlated) {
  const given = insns.toBytes();
  const made = Buffer.from(xlated, "hex");
  if (given.length !== made.length) return false;
  for (let i = 0; i < given.length; i += 8) {
    const isAddress = given[i] === 0x18 || given[i] === 0x85 || (i >= 8 && given[i - 8] === 0x18);
    for (let k = 0; k < (isAddress ? 1 : 8); k++) if (given[i + k] !== made[i + k]) return false;
  }
  return true;
}

export const hex = (bytes) => Buffer.from(bytes).toString("hex");
