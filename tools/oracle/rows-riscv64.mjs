// Every row of the riscv64 table against qemu-user: random operands and states, on our CPU and on the one that qemu emulates.
import { fileURLToPath } from "node:url";
import { Access, Memory } from "@bpfkit/core";
import { createCpu, decode, encode, printInsn, REGS, ROWS } from "@bpfkit/riscv64";
import { BLOCK, isUnknown, longForm, makeCase, UNTOUCHED } from "./cases-riscv64.mjs";
import { randomOf } from "./random.mjs";
import { startRunner } from "./rawrun.mjs";

const PAGE = 4096;
/** What a run can end with: every landing is a breakpoint, too. */
const SIGNAL_CAUSES = { 4: ["illegal"], 5: ["breakpoint"], 7: ["load", "store"], 11: ["load", "store", "fetch"] };
/** A call of the operating system: nothing that a CPU does alone. */
const NOT_RUN = new Set(["ecall"]);

/**
 * The code around an instruction: breakpoints, of 16 bits, wherever a branch can lead. The runner enters with its own return address in
 * ra, so the case's value of it lies there as data.
 *
 *   0 breakpoints · 256 instruction, breakpoints · 512 ra from 528, jump to 256 · 528 value of ra
 */
const INSN = 256;
const SIZE = 512;
const ENTRY = SIZE;
const VALUE = ENTRY + 16;
const RA = 1;
const BREAKPOINT = [0x02, 0x90];

function codeOf({ before, regs }, insn) {
  const code = Uint8Array.from({ length: VALUE + 8 }, (_, i) => BREAKPOINT[i & 1]);
  code.set(encode("auipc", { rd: RA, imm: 0 }), ENTRY);
  code.set(encode("ld", { rd: RA, rs1: RA, imm: VALUE - ENTRY }), ENTRY + 4);
  code.set(encode("jal", { rd: 0, imm: INSN - before.length - ENTRY - 8 }), ENTRY + 8);
  new DataView(code.buffer).setBigUint64(VALUE, regs[RA], true);
  code.set(before, INSN - before.length);
  code.set(insn, INSN);
  return code;
}

/** What our CPU makes of a case. */
function runHere(memory, testCase, { code, data }) {
  memory.write(BigInt(code), codeOf(testCase, testCase.bytes));
  memory.write(BigInt(data), testCase.block);
  const cpu = createCpu(memory);
  REGS.forEach((reg, i) => {
    cpu.set(reg, testCase.regs[i]);
  });
  cpu.pc = BigInt(code + INSN - testCase.before.length);
  const stop = cpu.run(2 + testCase.before.length / 4); // with the breakpoint that it leads to
  return {
    cause: stop.kind === "trap" ? stop.cause : "nothing",
    at: Number(cpu.pc) - code,
    address: stop.address,
    regs: REGS.map((reg) => cpu.get(reg)),
    block: Buffer.from(memory.view(BigInt(data), BLOCK)).toString("hex"),
  };
}

/** Lines for the runner. */
function requestOf(testCase, { code, data }) {
  const hex = (array) => Buffer.from(array).toString("hex");
  const insn = isUnknown(testCase.row) ? longForm(testCase.row, testCase.values).code : testCase.bytes;
  const regs = testCase.regs
    .map((value, i) => (i < 2 || UNTOUCHED.includes(i) ? "" : `reg ${i} 0x${value.toString(16)}\n`))
    .join("");
  const place = `reset\nbase ${code}\nentry ${ENTRY}\ncode ${hex(codeOf(testCase, insn))}\npoke ${data} ${hex(testCase.block)}\n`;
  return `${place}${regs}dump ${data} ${BLOCK}\nrun\n`;
}

/** Differences between our result and the runner's, in words; empty where they agree. */
function compare(testCase, ours, answer, { code }) {
  const differences = [];
  const { row, values, bytes } = testCase;
  const long = isUnknown(row) ? longForm(row, values) : undefined;
  const pc = Number(BigInt(answer.pc ?? 0)) - code;
  if (!(SIGNAL_CAUSES[answer.signal] ?? []).includes(ours.cause))
    differences.push(`stopped by signal ${answer.signal} at ${pc}, ours ${ours.cause} at ${ours.at}`);
  else if (pc !== ours.at && (long === undefined || (answer.signal === 5 && pc !== INSN + long.code.length)))
    differences.push(`pc ${pc}, ours ${ours.at}`);
  const ignored = [0, ...UNTOUCHED, ...(long?.scratch ?? [])];
  answer.regs.forEach((word, i) => {
    const value = BigInt.asUintN(64, BigInt(word));
    if (!ignored.includes(i) && value !== ours.regs[i])
      differences.push(`${REGS[i]} ${value.toString(16)}, ours ${ours.regs[i].toString(16)}`);
  });
  if (ours.regs[0] !== 0n) differences.push("x0 is not 0");
  if (answer.dumps[0] !== ours.block) differences.push("memory");
  return differences.map((what) => `${row.op}: ${printInsn(decode(bytes), BigInt(code + INSN))}: ${what}`);
}

/**
 * Runs every row whose name has `only` in it `runsPerRow` times, here and under qemu-user, and compares registers, memory, and where and
 * why it stopped. Undefined where there is no runner.
 *
 * @returns {Promise<{ differences: string[], summary: string } | undefined>}
 */
export async function compareRows({ runsPerRow = 50, seed = 1, only = "" } = {}) {
  const runner = startRunner("riscv64");
  if (runner === undefined) return undefined;
  const memory = new Memory();
  const code = Number(memory.allocate("text", VALUE + 8, "code", Access.READ | Access.EXECUTE, PAGE).address);
  const page = Number(memory.allocate("data", PAGE, "data", Access.READ | Access.WRITE, PAGE).address);
  const place = { code, size: SIZE, at: INSN, data: page + PAGE - BLOCK };
  runner.tell(`map ${page} ${PAGE}\n`);

  const random = randomOf(seed);
  const rows = ROWS.filter(({ op }) => op.includes(only) && !NOT_RUN.has(op));
  const differences = [];
  let traps = 0;
  for (const row of rows) {
    const cases = Array.from({ length: runsPerRow }, () => makeCase(row, random, place));
    let i = 0;
    for await (const answer of runner.ask(cases.map((testCase) => requestOf(testCase, place)))) {
      const testCase = cases[i++];
      const ours = runHere(memory, testCase, place);
      if (ours.cause !== "breakpoint") traps++;
      differences.push(...compare(testCase, ours, answer, place));
    }
  }
  runner.close();
  const long = rows.filter(isUnknown).map(({ op }) => op);
  return {
    differences,
    summary:
      `riscv64: ${rows.length} rows, ${rows.length * runsPerRow} runs, ${traps} of them traps, ${differences.length} differences; ` +
      `against their long form: ${long.join(", ") || "none"}; not run: ${[...NOT_RUN].join(", ")}`,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [runsPerRow = "50", seed = "1", only = ""] = process.argv.slice(2);
  const { summary, differences } = (await compareRows({
    runsPerRow: Number(runsPerRow),
    seed: Number(seed),
    only,
  })) ?? {
    summary: "the runner is not set up: skipped",
    differences: [],
  };
  console.log([...differences, summary].join("\n"));
}
