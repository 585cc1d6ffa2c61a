// Passes against the kernel's own: what a real kernel made of a program before it compiled it, next to what bpfkit makes of it.
import {
  assemble,
  blindConstants,
  expandMayGoto,
  formatProgram,
  guardDivision,
  Insns,
  patch,
  removeDeadCode,
  trust,
} from "@bpfkit/core";
import { askKernel, caseOf, guestOf } from "./kernel.mjs";

const LOAD = "r2 = *(u32 *)(r1 + 0)\nr0 = *(u32 *)(r1 + 4)\nr3 = *(u32 *)(r1 + 8)";
const HARDENED = ["/proc/sys/net/core/bpf_jit_harden 2"];
const AX = 11;

const divisions = ["/=", "%=", "s/=", "s%="].flatMap((operator) =>
  ["r", "w"].flatMap((r) => [
    [`${r} ${operator}`, `${LOAD}\n${r}0 ${operator} ${r}2\nexit`, [guardDivision]],
    [`${r} ${operator} -1`, `${LOAD}\n${r}0 ${operator} -1\nexit`, [guardDivision]],
    [`${r} ${operator} 7`, `${LOAD}\n${r}0 ${operator} 7\nexit`, [guardDivision]],
  ]),
);

/** Name, text, passes; `only` names the machines whose kernel does just that. */
const CASES = [
  ...divisions,
  ["dead branch", `${LOAD}\nr4 = 5\nif r4 > 3 goto +2\nr0 = 1\nr0 += 7\nr0 ^= r2\nexit`, [removeDeadCode]],
  ["branch never taken", `${LOAD}\nr4 = 5\nif r4 > 9 goto +1\nr0 = 1\nr0 ^= r2\nexit`, [removeDeadCode]],
  ["jumps over nothing", `${LOAD}\nmay_goto +1\nmay_goto +0\ngoto +0\nr0 ^= r2\nexit`, [removeDeadCode]],
  ["may_goto", "r0 = 0\nmay_goto +2\nr0 += 1\ngoto -3\nexit", [expandMayGoto], { only: ["riscv64"] }],
  ["may_goto below a stack", "r1 = 5\n*(u64 *)(r10 - 24) = r1\nr0 = 0\nmay_goto +2\nr0 += 1\ngoto -3\nexit", [expandMayGoto], { only: ["riscv64"] }],
  ["numbers", `${LOAD}\nr0 += 77\nw2 -= 78\nr3 = -5\nw3 = 6\nr3 = 0\nw3 = 0\nr2 /= 9\nw2 s%= 11\nr0 <<= 3\nr0 = be32 r0\nexit`, [guardDivision, blindConstants(() => 0x1234_5678)], { sysctl: HARDENED, only: ["x86-64"] }],
  ["compared numbers", `${LOAD}\nif r0 > 77 goto +1\nr0 = r2\nif w2 s< -5 goto +1\nr0 ^= r3\nif r2 & 4 goto +1\nr0 ^= r3\nexit`, [guardDivision, blindConstants(() => 0x1234_5678)], { sysctl: HARDENED, only: ["x86-64"] }],
  ["stored numbers", "*(u8 *)(r10 - 1) = 7\n*(u32 *)(r10 - 8) = 9\n*(u64 *)(r10 - 16) = -2\nr0 = 0x1122334455667788 ll\nexit", [guardDivision, blindConstants(() => 0x1234_5678)], { sysctl: HARDENED, only: ["x86-64"] }],
  ["a jump back", `${LOAD}\nr4 = 0\nr4 += 1\nif r4 < 5 goto -2\nr0 ^= r4\nexit`, [guardDivision, blindConstants(() => 0x1234_5678)], { sysctl: HARDENED, only: ["x86-64"] }],
]; // biome-ignore format: a table

/** `w1 = w1`: what the kernel of a machine without zero extension puts behind results. */
function isExtension(insns, at) {
  return insns.code(at) === 0xbc && insns.dst(at) === insns.src(at) && insns.off(at) === 0 && insns.imm(at) === 1;
}

/** The hidden register's number moved when programs got more registers. */
const KERNEL_AX = 12;
const registers = (word) => {
  const [dst, src] = [(word >>> 8) & 15, (word >>> 12) & 15].map((number) => (number === KERNEL_AX ? AX : number));
  return (word & ~0xff00) | (dst << 8) | (src << 12);
};

/**
 * The instructions as text, without what the kernel of a machine that does not extend adds; distances are left out there.
 */
function textOf(insns, insertsZext) {
  const words = [];
  for (let at = 0; at < insns.length; at++) {
    if (insertsZext && isExtension(insns, at)) continue;
    const isJump = (insns.code(at) & 7) === 5 || (insns.code(at) & 7) === 6;
    words.push(registers(insns.words[2 * at]) & (insertsZext && isJump ? 0xffff : -1), insns.imm(at));
  }
  const insnsOnly = new Insns(Int32Array.from(words));
  return formatProgram(
    { insns: insnsOnly, subprogs: [{ name: "main", start: 0 }], maps: [], kfuncs: [] },
    { slots: false },
  );
}

/** Machine code as text, without numbers: those of blinding are random, and with them whether one needs the sign of 64 bits. */
function codeOf(backend, bytes) {
  return Array.from(backend.disassemble(bytes), ({ text }) =>
    text.replace(/#?-?(0x[0-9a-f]+|\b\d+\b)/g, "N").replace(/^mov r10d, N$/, "mov r10, N"),
  ).join("\n");
}

/** Compares every case on the kernel of an architecture. What blinding did shows only in machine code. */
export function comparePasses(backend, { insertsZext = false } = {}) {
  const { arch } = backend;
  const wanted = CASES.filter(([, , , { only } = {}]) => only === undefined || only.includes(arch));
  const programs = wanted.map(([name, text]) => ({ ...assemble(text, { type: "syscall" }), name }));
  const cases = wanted.map(([, , , { sysctl } = {}], i) => caseOf(programs[i], sysctl === undefined ? {} : { sysctl }));
  const { kernel, results } = askKernel(guestOf(arch), cases);
  const differences = [];
  for (const [i, [name, , passes, { sysctl } = {}]] of wanted.entries()) {
    const { verdict, log, xlated, jited } = results[i];
    if (verdict !== "accept") {
      differences.push(`${name}: refused: ${log}`);
      continue;
    }
    const ours = patch(trust(programs[i]), passes);
    const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));
    const [theirText, ourText] =
      sysctl === undefined
        ? [textOf(Insns.fromBytes(bytes(xlated)), insertsZext), textOf(ours.program.insns, insertsZext)]
        : [codeOf(backend, bytes(jited)), codeOf(backend, backend.compile(ours).code)];
    if (ourText !== theirText) differences.push(`${name}\nkernel ${theirText}\nbpfkit ${ourText}`);
  }
  return {
    differences,
    summary: `passes on Linux ${kernel}, ${arch}: ${wanted.length} programs, ${differences.length} differ`,
  };
}
