// Every row of the arm64 table against qemu-user: random operands and states, on our CPU and on the one that qemu emulates.
import { fileURLToPath } from "node:url";
import { createCpu, decode, encode, printInsn, REGS } from "@bpfkit/arm64";
import { Access, Memory } from "@bpfkit/core";
import { BLOCK, FLAG_BITS, ignoredRegisters, makeCase, rowsNamed } from "./cases-arm64.mjs";
import { randomOf } from "./random.mjs";
import { startRunner } from "./rawrun.mjs";

const PAGE = 4096;
const SIGNAL_CAUSES = { 4: ["illegal"], 5: ["breakpoint"], 7: ["load", "store"], 11: ["load", "store", "fetch"] };

/**
 * The code around an instruction: a landing that a backward branch reaches, the state that needs a register, up to two words before the
 * instruction, a landing behind it and one that a forward branch reaches. A landing stops at one of 16 breakpoints, which tells the flags.
 *
 *   0 landing · 128 flags, x30, instruction, landing · 320 landing · 448 flags, x30, random bytes
 */
const BACK = 0;
const ENTRY = 128;
const INSN = ENTRY + 20;
const FORTH = 320;
const LITERALS = 448;
const CODE_SIZE = LITERALS + 16 + 64;
const LINK = 30;
const MSR_NZCV_X30 = 0xd51b421e;
const CONDITIONS = { N: 4, Z: 0, C: 2, V: 6 };

/** Words of a landing, and the flags by the word at which it stops. */
const LANDING = landing();

function landing() {
  const words = [];
  const stops = new Map();
  const put = (known) => {
    const flag = Object.keys(CONDITIONS)[known.length];
    if (flag === undefined) {
      const set = Object.keys(CONDITIONS).filter((_, i) => known[i]);
      stops.set(
        words.length,
        set.reduce((flags, name) => flags | (1n << BigInt(FLAG_BITS[name])), 0n),
      );
      words.push(encode("brk", { imm16: words.length }));
      return;
    }
    const branch = words.push(0) - 1;
    put([...known, false]);
    words[branch] = encode("b_cond", { cond: CONDITIONS[flag], simm19: words.length - branch });
    put([...known, true]);
  };
  put([]);
  return { words, stops };
}

function codeOf({ before, word, regs, flags }) {
  const words = new Uint32Array(CODE_SIZE / 4).fill(encode("udf", { imm16: 0 }));
  for (const at of [BACK, INSN + 4, FORTH]) words.set(LANDING.words, at / 4);
  const literal = (at, from) => encode("ldr_lit", { sf: 1, rt: LINK, simm19: (at - from) / 4 });
  const start = INSN - 4 * before.length - 12;
  words.set([literal(LITERALS, start), MSR_NZCV_X30, literal(LITERALS + 8, start + 8), ...before, word], start / 4);
  const view = new DataView(words.buffer);
  view.setBigUint64(LITERALS, flags, true);
  view.setBigUint64(LITERALS + 8, regs[LINK], true);
  for (let i = 0; i < 64; i++) view.setUint8(LITERALS + 16 + i, (i * 89 + 131) & 255);
  return { code: new Uint8Array(words.buffer), start };
}

/** Where a landing begins that stops at `pc`, and its flags. */
function landedAt(pc) {
  for (const at of [BACK, INSN + 4, FORTH]) {
    const flags = LANDING.stops.get((pc - at) / 4);
    if (flags !== undefined) return { at, flags };
  }
  return undefined;
}

/** What our CPU makes of a case. */
function runHere(memory, testCase, { code, data }) {
  memory.write(BigInt(code), codeOf(testCase).code);
  memory.write(BigInt(data), testCase.block);
  const cpu = createCpu(memory);
  REGS.forEach((reg, i) => {
    cpu.set(reg, testCase.regs[i]);
  });
  cpu.flags = testCase.flags;
  cpu.pc = BigInt(code + INSN - 4 * testCase.before.length);
  const stop = cpu.run(1 + testCase.before.length);
  const at = Number(cpu.pc) - code;
  const landed = [BACK, INSN + 4, FORTH].includes(at);
  return {
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
  const regs = testCase.regs.map((value, i) => (i === LINK ? "" : `reg ${i} 0x${value.toString(16)}\n`)).join("");
  const { code: bytes, start } = codeOf(testCase);
  const place = `reset\nbase ${code}\nentry ${start}\ncode ${hex(bytes)}\npoke ${data} ${hex(testCase.block)}\n`;
  return `${place}${regs}dump ${data} ${BLOCK}\nrun\n`;
}

/** Differences between our result and the runner's, in words; empty where they agree. */
function compare(testCase, ours, answer, { code }) {
  const differences = [];
  const { row, word } = testCase;
  const pc = answer.pc === undefined ? -1 : Number(BigInt(answer.pc)) - code;
  const landed = answer.signal === 5 ? landedAt(pc) : undefined;
  if (landed === undefined) {
    if (!(SIGNAL_CAUSES[answer.signal] ?? []).includes(ours.cause))
      differences.push(`stopped by signal ${answer.signal}, ours ${ours.cause}`);
    if (pc !== ours.at) differences.push(`pc ${pc}, ours ${ours.at}`);
  } else {
    if (ours.cause !== "none") differences.push(`completed, ours ${ours.cause}`);
    if (landed.at !== ours.at) differences.push(`went on at ${landed.at}, ours ${ours.at}`);
    if (landed.flags !== ours.flags)
      differences.push(`flags ${landed.flags.toString(16)}, ours ${ours.flags.toString(16)}`);
  }
  const ignored = ignoredRegisters(row);
  answer.regs.forEach((text, i) => {
    const value = BigInt.asUintN(64, BigInt(text));
    if (value !== ours.regs[i] && !ignored.includes(i))
      differences.push(`${REGS[i]} ${value.toString(16)}, ours ${ours.regs[i].toString(16)}`);
  });
  if (answer.dumps[0] !== ours.block) differences.push("memory");
  const insn = decode(Uint8Array.of(word, word >>> 8, word >>> 16, word >>> 24));
  return differences.map((what) => `${row.op}: ${printInsn(insn, BigInt(code + INSN))}: ${what}`);
}

/**
 * Runs every row whose name has `only` in it `runsPerRow` times, here and under qemu-user, and compares registers, flags, memory, and
 * where and why it stopped. Undefined where there is no runner.
 *
 * @returns {Promise<{ differences: string[], summary: string } | undefined>}
 */
export async function compareRows({ runsPerRow = 50, seed = 1, only = "" } = {}) {
  const runner = startRunner("arm64");
  if (runner === undefined) return undefined;
  const memory = new Memory();
  const code = Number(memory.allocate("text", PAGE, "code", Access.READ | Access.EXECUTE, PAGE).address);
  const page = Number(memory.allocate("data", PAGE, "data", Access.READ | Access.WRITE, PAGE).address);
  const place = {
    code,
    data: page + PAGE - BLOCK,
    insn: code + INSN,
    landings: [code + BACK, code + FORTH],
    literals: code + LITERALS + 16,
  };
  runner.tell(`map ${page} ${PAGE}\n`);

  const random = randomOf(seed);
  const rows = rowsNamed(only);
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
    summary: `arm64: ${rows.length} rows, ${runs} runs, ${traps} of them traps, ${differences.length} differences`,
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
