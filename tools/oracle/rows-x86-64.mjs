// Every row of the x86-64 table against qemu-user: random operands and states, on our CPU and on the one that qemu emulates.
import { fileURLToPath } from "node:url";
import { Access, Memory } from "@bpfkit/core";
import { createCpu, decode, printInsn, REGS, ROWS, undefinedFlags } from "@bpfkit/x86-64";
import { BLOCK, FLAG_BITS, makeCase, RSP } from "./cases-x86-64.mjs";
import { randomOf } from "./random.mjs";
import { startRunner } from "./rawrun.mjs";

const PAGE = 4096;
const SIGNAL_CAUSES = {
  4: ["illegal"],
  5: ["breakpoint"],
  7: ["load", "store"],
  8: ["divide"],
  11: ["load", "store", "fetch"],
};

/**
 * The code around an instruction: a landing that a backward branch reaches, the state, the instruction, a landing behind it and one
 * that a forward branch reaches. A landing keeps rsp and the flags in memory and stops.
 *
 *   0 landing · 64 flags, rsp, instruction, landing · 160 landing
 */
const BACK = 0;
const ENTRY = 64;
const INSN = ENTRY + 6 + 10;
const FORTH = 160;
const CODE_SIZE = 192;
/** Where landings keep rsp, and 8 bytes below its end the flags. */
const SCRATCH = 0x2100_0000;
const SCRATCH_SIZE = 128;

function u32(value) {
  return [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24];
}

/** The code of a case, and where it goes on by the pc at which a landing stops. */
function codeOf({ bytes, regs, flags }) {
  const code = new Uint8Array(CODE_SIZE).fill(0x90);
  // mov [scratch], rsp; mov rsp, end of scratch; pushfq; int3
  const landing = [
    0x48,
    0x89,
    0x24,
    0x25,
    ...u32(SCRATCH),
    0x48,
    0xc7,
    0xc4,
    ...u32(SCRATCH + SCRATCH_SIZE),
    0x9c,
    0xcc,
  ];
  // push flags; popfq; movabs rsp
  code.set([0x68, ...u32(Number(flags)), 0x9d], ENTRY);
  code.set([0x48, 0xbc, ...u32(Number(regs[RSP] & 0xffffffffn)), ...u32(Number(regs[RSP] >> 32n))], ENTRY + 6);
  code.set(bytes, INSN);
  const landings = [BACK, INSN + bytes.length, FORTH];
  for (const at of landings) code.set(landing, at);
  return { code, stops: new Map(landings.map((at) => [at + landing.length, at])) };
}

/** What our CPU makes of a case. */
function runHere(memory, testCase, { code, data }) {
  const { code: bytes, stops } = codeOf(testCase);
  memory.write(BigInt(code), bytes);
  memory.write(BigInt(data), testCase.block);
  const cpu = createCpu(memory);
  REGS.forEach((reg, i) => {
    cpu.set(reg, testCase.regs[i]);
  });
  cpu.flags = testCase.flags;
  cpu.pc = BigInt(code + INSN);
  const stop = cpu.run(1);
  const at = Number(cpu.pc) - code;
  const landed = [...stops.values()].includes(at);
  return {
    stops,
    cause: stop.kind === "trap" ? stop.cause : landed ? "none" : `stray pc ${at}`,
    at,
    regs: REGS.map((reg) => cpu.get(reg)),
    flags: cpu.flags,
    block: Buffer.from(memory.view(BigInt(data), BLOCK)).toString("hex"),
  };
}

/** Lines for the runner. */
function requestOf(testCase, { code, data }) {
  const hex = (array) => Buffer.from(array).toString("hex");
  const regs = testCase.regs.map((value, i) => (i === RSP ? "" : `reg ${i} 0x${value.toString(16)}\n`)).join("");
  const place = `reset\nbase ${code}\nentry ${ENTRY}\ncode ${hex(codeOf(testCase).code)}\npoke ${data} ${hex(testCase.block)}\n`;
  return `${place}${regs}dump ${data} ${BLOCK}\ndump ${SCRATCH} ${SCRATCH_SIZE}\nrun\n`;
}

/** Differences between our result and the runner's, in words; empty where they agree. */
function compare(testCase, ours, answer, { code }) {
  const differences = [];
  const { row } = testCase;
  const pc = answer.pc === undefined ? -1 : Number(BigInt(answer.pc)) - code;
  const landed = answer.signal === 5 ? ours.stops.get(pc) : undefined;
  const regs = answer.regs.map((value) => BigInt.asUintN(64, BigInt(value)));
  let flags = ours.flags;
  if (landed === undefined) {
    if (!(SIGNAL_CAUSES[answer.signal] ?? []).includes(ours.cause))
      differences.push(`stopped by signal ${answer.signal}, ours ${ours.cause}`);
    const expected = ours.at + (ours.cause === "breakpoint" ? 1 : 0);
    if (pc !== expected) differences.push(`pc ${pc}, ours ${expected}`);
  } else {
    if (ours.cause !== "none") differences.push(`completed, ours ${ours.cause}`);
    if (landed !== ours.at) differences.push(`went on at ${landed}, ours ${ours.at}`);
    const kept = Buffer.from(answer.dumps[1], "hex");
    regs[RSP] = kept.readBigUInt64LE(0);
    flags = kept.readBigUInt64LE(SCRATCH_SIZE - 8);
  }
  regs.forEach((value, i) => {
    if (value !== ours.regs[i]) differences.push(`${REGS[i]} ${value.toString(16)}, ours ${ours.regs[i].toString(16)}`);
  });
  const ignored = ignoredFlags(testCase);
  for (const [flag, bit] of Object.entries(FLAG_BITS)) {
    if (!ignored.includes(flag) && ((flags ^ ours.flags) >> BigInt(bit)) & 1n)
      differences.push(`${flag} ${(flags >> BigInt(bit)) & 1n}`);
  }
  if (answer.dumps[0] !== ours.block) differences.push("memory");
  return differences.map((what) => `${row.op}: ${printInsn(decode(testCase.bytes), BigInt(code + INSN))}: ${what}`);
}

/** Flags the manual leaves undefined, told more exactly where a count decides. */
function ignoredFlags({ row, values, regs }) {
  const flags = undefinedFlags(row.op);
  const by = row.operands[1]?.name;
  if (!/^(shl|shr|sar|rol|ror)$/.test(row.mnemonic) || by === "1") return flags;
  const count = (by === "cl" ? Number(regs[1] & 255n) : values.imm8) & (row.operands[0].size === 8 ? 63 : 31);
  return count === 0 ? [] : count === 1 ? flags.filter((flag) => flag !== "OF") : flags;
}

/**
 * Runs every row whose name has `only` in it `runsPerRow` times, here and under qemu-user, and compares registers, defined flags,
 * memory, and where and why it stopped. Undefined where there is no runner.
 *
 * @returns {Promise<{ differences: string[], summary: string } | undefined>}
 */
export async function compareRows({ runsPerRow = 50, seed = 1, only = "" } = {}) {
  const runner = startRunner("x86-64");
  if (runner === undefined) return undefined;
  const memory = new Memory();
  const code = Number(memory.allocate("text", PAGE, "code", Access.READ | Access.EXECUTE, PAGE).address);
  const page = Number(memory.allocate("data", PAGE, "data", Access.READ | Access.WRITE, PAGE).address);
  const place = { code, data: page + PAGE - BLOCK, insn: code + INSN, landings: [code + BACK, code + FORTH] };
  runner.tell(`map ${page} ${PAGE}\nmap ${SCRATCH} ${PAGE}\n`);

  const random = randomOf(seed);
  const rows = ROWS.filter(({ op }) => op.includes(only));
  const differences = [];
  let traps = 0;
  for (const row of rows) {
    const cases = Array.from({ length: runsPerRow }, () => makeCase(row, random, place));
    let i = 0;
    for await (const answer of runner.ask(cases.map((testCase) => requestOf(testCase, place)))) {
      const testCase = cases[i++];
      const ours = runHere(memory, testCase, place);
      if (ours.cause !== "none") traps++;
      differences.push(...compare(testCase, ours, answer, place));
    }
  }
  runner.close();
  const runs = rows.length * runsPerRow;
  return {
    differences,
    summary: `x86-64: ${rows.length} rows, ${runs} runs, ${traps} of them traps, ${differences.length} differences`,
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
