// Generated programs against a real kernel: verdict, return value, and the size of the code where both compiled the same instructions.
import { generateProgram, isSelfContained, Random } from "@bpfkit/conformance";
import { INSNS, jit, trust } from "@bpfkit/core";
import { Kernel } from "@bpfkit/kernel";
import { x86_64 } from "@bpfkit/x86-64";
import { askKernel, caseOf, guestOf, hex, isUnchanged } from "./kernel.mjs";

const CONTEXT = 64;
/** What the verifier rewrites before the kernel's compiler sees it; half of the programs do without, so that sizes can be compared. */
const REWRITTEN = new Set(["div", "mayGoto", "callHelper"]);
const isPlain = (op) => isSelfContained(op) && !REWRITTEN.has(INSNS[op].kind);

/** Where the verifier inserts zero-extensions, programs do without results of 32 bits, too. */
const isPlainAnd64 = (op) => isPlain(op) && !hasNarrowResult(op);
const ALU_CLASS = 4;
const ARITHMETIC = new Set(["alu", "shift", "neg", "mov", "movsx"]);
const LOADS = new Set(["load", "loadAcquire"]);

function hasNarrowResult(op) {
  const { kind, code, imm } = INSNS[op];
  if (ARITHMETIC.has(kind)) return (code & 7) === ALU_CLASS;
  if (kind === "end") return imm !== 64;
  if (kind === "atomic") return op.endsWith("32") && (imm & 1) === 1;
  return LOADS.has(kind) && !op.endsWith("64");
}

/** A refusal that is the kernel's own mistake says so; such programs are counted apart. */
const KERNEL_BUG = "verifier bug";

/**
 * @returns {{ differences: string[], summary: string, sizes: { name: string, ours: number, theirs: number, unchanged: boolean }[] }}
 *   sizes in bytes; `unchanged` where the kernel compiled just what it was given
 */
export function comparePrograms(count, firstSeed, { backend = x86_64, insertsZext = false } = {}) {
  const programs = Array.from({ length: count }, (_, i) => {
    const plain = i % 2 === 0;
    const program = generateProgram(firstSeed + i, {
      size: 20 + (i % 5) * 30,
      digest: true,
      ...(plain ? { ops: insertsZext ? isPlainAnd64 : isPlain } : {}),
    });
    return { ...program, name: `seed ${firstSeed + i}${plain ? ", plain" : ""}` };
  });
  const contexts = programs.map((_, i) => {
    const random = new Random(firstSeed + i);
    return Uint8Array.from({ length: CONTEXT }, () => random.below(256));
  });
  const { kernel, results } = askKernel(
    guestOf(backend.arch),
    programs.map((program, i) => caseOf(program, { runs: [{ ctx: hex(contexts[i]), repeat: 0 }] })),
  );

  const differences = [];
  const sizes = [];
  const disputed = [];
  let bugs = 0;
  const ours = new Kernel({ engine: jit(backend) });
  for (const [i, program] of programs.entries()) {
    const { crash, verdict, log, runs, xlated, jited_len } = results[i];
    if (log?.includes(KERNEL_BUG)) {
      bugs++;
      continue;
    }
    if (verdict !== "accept") {
      differences.push(`${program.name}: ${crash ?? `refused: ${log.trim().split("\n").slice(-3).join(" | ")}`}`);
      continue;
    }
    const loaded = ours.load(trust(program));
    const { stop, returnValue } = loaded.run({ context: contexts[i] });
    loaded.release();
    if (runs[0].errno !== 0) differences.push(`${program.name}: the kernel does not run it, errno ${runs[0].errno}`);
    else if (returnValue !== runs[0].retval) {
      disputed.push({
        i,
        returnValue,
        text: `${program.name}: kernel ${runs[0].retval}, bpfkit ${returnValue ?? stop.kind}`,
      });
    }
    sizes.push({
      name: program.name,
      ours: loaded.executable.image.code.length,
      theirs: jited_len,
      unchanged: isUnchanged(program.insns, xlated),
    });
  }
  const mistakes = insertsZext ? mistakesOf(disputed, programs, contexts) : [];
  differences.push(...disputed.filter((dispute) => !mistakes.includes(dispute)).map(({ text }) => text));
  const alike = sizes.filter(({ unchanged }) => unchanged);
  const sum = (of) => alike.reduce((total, row) => total + of(row), 0);
  const ratio = sum(({ ours }) => ours) / sum(({ theirs }) => theirs);
  return {
    differences,
    sizes,
    summary:
      `generated programs on Linux ${kernel}, ${backend.arch}: ${programs.length - bugs} run, ${bugs} refused by a bug that the kernel reports; ` +
      (mistakes.length === 0
        ? ""
        : `${mistakes.length} where it stands alone against x86-64 (${mistakes.map(({ text }) => text).join("; ")}); `) +
      `${alike.length} reach both compilers unchanged, code there ${ratio.toFixed(4)} of the kernel's`,
  };
}

/**
 * Programs whose result the kernel of x86-64 gives as we do: there the hardware clears upper halves, here the verifier says where the
 * compiler has to, and in Linux 7.2 it forgets some (a register that is narrow on one of two paths that it merges).
 */
function mistakesOf(disputed, programs, contexts) {
  if (disputed.length === 0) return [];
  const cases = disputed.map(({ i }) => caseOf(programs[i], { runs: [{ ctx: hex(contexts[i]), repeat: 0 }] }));
  const { results } = askKernel("x86_64", cases);
  return disputed.filter(({ returnValue }, k) => results[k].runs?.[0]?.retval === returnValue);
}
