// Every row of the x86-64 table against qemu-user: random operands and states, run on our CPU and by the raw-code runner of the oracle.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Access, Memory } from "@bpfkit/core";
import { createCpu, decode, encode, printInsn, REGS, ROWS, undefinedFlags } from "@bpfkit/x86-64";

const RUNNER = join(process.env.ORACLE_DIR ?? join(homedir(), ".cache", "bpf-oracle"), "rawrun-amd64");
const PAGE = 4096;
/** Bytes that instructions access: the end of a page with nothing behind it. */
const BLOCK = 256;
const FLAG_BITS = { CF: 0, PF: 2, AF: 4, ZF: 6, SF: 7, OF: 11 };
const SIGNAL_CAUSES = {
  4: ["illegal"],
  5: ["breakpoint"],
  7: ["load", "store"],
  8: ["divide"],
  11: ["load", "store", "fetch"],
};
const RSP = 4;

/** mulberry32: numbers below 2³², the same for the same seed. */
function randomOf(seed) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  const below = (n) => next() % n;
  return { next, below, pick: (list) => list[below(list.length)], chance: (percent) => below(100) < percent };
}

const INTERESTING = [
  0n,
  1n,
  2n,
  7n,
  31n,
  32n,
  33n,
  63n,
  64n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
];
INTERESTING.push(
  0x100000000n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
  (1n << 64n) - 2n,
  (1n << 64n) - (1n << 31n),
  (1n << 64n) - 128n,
);

const anyWord = ({ next, pick, chance }) => (chance(50) ? pick(INTERESTING) : (BigInt(next()) << 32n) | BigInt(next()));

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

function u32(value) {
  return [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24];
}

function codeOf(insn, state, scratch) {
  const code = new Uint8Array(CODE_SIZE).fill(0x90);
  // mov [scratch], rsp; mov rsp, scratch + 128; pushfq; int3
  const landing = [0x48, 0x89, 0x24, 0x25, ...u32(scratch), 0x48, 0xc7, 0xc4, ...u32(scratch + 128), 0x9c, 0xcc];
  const rsp = BigInt.asUintN(64, state.regs[RSP]);
  code.set(landing, BACK);
  code.set([0x68, ...u32(Number(state.flags)), 0x9d], ENTRY);
  code.set([0x48, 0xbc, ...u32(Number(rsp & 0xffffffffn)), ...u32(Number(rsp >> 32n))], ENTRY + 6);
  code.set(insn, INSN);
  code.set(landing, INSN + insn.length);
  code.set(landing, FORTH);
  return { code, stops: new Map([BACK, INSN + insn.length, FORTH].map((at) => [at + landing.length, at])) };
}

/** Registers, operands and bytes of one run, most of them such that the access succeeds. */
function makeCase(row, random, { code, data }) {
  const regs = REGS.map(() => anyWord(random));
  const fails = random.chance(4);
  const inData = () => BigInt(data + random.below(random.chance(10) ? BLOCK : BLOCK - 16));
  const target = fails ? random.pick([0x3000_0000n, BigInt(data + BLOCK - 1)]) : inData();
  const jumpTo = code + random.pick([BACK, FORTH]);
  const usesStack = /^(push|pop|call|ret)/.test(row.op);
  if (usesStack) regs[RSP] = BigInt(data + 64 + 8 * random.below(22));
  if (row.op === "leave") regs[5] = BigInt(data + 64 + 8 * random.below(22));
  const values = {};
  let memory;
  for (const { name, place, size } of row.operands) {
    if (place === "fixed") continue;
    if (place === "m" || (place === "rm" && random.chance(50))) {
      memory = makeMem(random, regs, target, code + INSN, usesStack);
      values[name] = memory.mem;
    } else if (place === "imm") {
      const top = 2 ** (8 * size - 1);
      if (size === 8) values[name] = BigInt.asIntN(64, anyWord(random));
      else if (row.immIsCount) values[name] = random.pick([0, 1, random.below(32), random.below(256)]);
      else values[name] = random.chance(30) ? random.pick([0, 1, -1, top - 1, -top]) : random.below(2 * top) - top;
    } else if (place === "rel") values[name] = 0;
    else values[name] = random.pick(row.op === "call_rm64" ? REGS.filter((reg) => reg !== "rsp") : REGS);
  }
  let bytes = encode(row.op, values);
  for (const { name, place } of row.operands) {
    if (place === "rel") values[name] = jumpTo - (code + INSN + bytes.length);
  }
  if (memory?.mem.base === "rip") memory.mem.disp = Number(target) - (code + INSN + bytes.length);
  bytes = encode(row.op, values);
  if (/^div|^idiv/.test(row.op) && random.chance(70)) tameDividend(random, row, regs, values);
  if ((row.op === "call_rm64" || row.op === "jmp_rm64") && typeof values.rm64 === "string")
    regs[REGS.indexOf(values.rm64)] = BigInt(jumpTo);
  const block = Uint8Array.from({ length: BLOCK }, (_, i) =>
    i & 7 ? random.below(256) : random.pick([0, 1, 255, 128, random.below(256)]),
  );
  const view = new DataView(block.buffer);
  if (row.op === "ret") view.setBigUint64(Number(regs[RSP]) - data, BigInt(jumpTo), true);
  if (
    (row.op === "call_rm64" || row.op === "jmp_rm64") &&
    memory &&
    Number(target) + 8 <= data + BLOCK &&
    Number(target) >= data
  ) {
    view.setBigUint64(Number(target) - data, BigInt(jumpTo), true);
  }
  if (
    row.op.startsWith("lock_cmpxchg") &&
    Number(target) + 8 <= data + BLOCK &&
    Number(target) >= data &&
    random.chance(50)
  ) {
    regs[0] = view.getBigUint64(Number(target) - data, true);
    if (row.op.includes("m32") && random.chance(50)) regs[0] ^= 0xff_0000_0000n;
  }
  const flags = Object.values(FLAG_BITS).reduce((word, bit) => word | (BigInt(random.below(2)) << BigInt(bit)), 2n);
  return { row, values, bytes, regs, flags, block };
}

/** A divisor that is not 0 and a high half that keeps the quotient small enough, as far as other operands allow it. */
function tameDividend(random, row, regs, values) {
  const operand = Object.values(values)[0];
  if (typeof operand !== "string" || operand === "rax" || operand === "rdx") return;
  const divisor = regs[REGS.indexOf(operand)] || 1n;
  regs[REGS.indexOf(operand)] = divisor;
  regs[2] = random.chance(50)
    ? anyWord(random) % divisor
    : random.pick([0n, BigInt.asUintN(64, BigInt.asIntN(64, regs[0]) >> 63n)]);
}

/** A memory operand that means `target`, and the registers it needs for that. */
function makeMem(random, regs, target, _at, keepsRsp) {
  const disp8 = random.below(256) - 128;
  const usable = REGS.filter((reg) => !(keepsRsp && reg === "rsp"));
  const base = random.pick(usable);
  const index = random.pick(usable.filter((reg) => reg !== "rsp"));
  const scale = random.pick([1, 2, 4, 8]);
  const number = (reg) => REGS.indexOf(reg);
  switch (random.below(6)) {
    case 0:
      regs[number(base)] = BigInt.asUintN(64, target - BigInt(disp8));
      return { mem: { base, disp: disp8 } };
    case 1: {
      const disp = random.next() | 0;
      regs[number(base)] = BigInt.asUintN(64, target - BigInt(disp));
      return { mem: { base, disp, dispSize: 4 } };
    }
    case 2: {
      if (base === index) {
        const value = BigInt(random.below(0x10000));
        regs[number(base)] = value;
        return { mem: { base, index, scale, disp: Number(target - value * BigInt(1 + scale)) } };
      }
      regs[number(base)] = BigInt.asUintN(64, target - BigInt(disp8) - regs[number(index)] * BigInt(scale));
      return { mem: { base, index, scale, disp: disp8 } };
    }
    case 3: {
      const value = BigInt(random.below(0x100000));
      regs[number(index)] = value;
      return { mem: { index, scale, disp: Number(target - value * BigInt(scale)) } };
    }
    case 4:
      return { mem: { disp: Number(target) } };
    default:
      return { mem: { base: "rip", disp: 0 } };
  }
}

/** What our CPU makes of a case. */
function runHere(memory, testCase, { code, data, scratch }) {
  const { code: bytes, stops } = codeOf(testCase.bytes, testCase, Number(scratch));
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

/** Lines for the runner; its protocol stands at the top of the oracle's user/rawrun.c. */
function requestOf(testCase, { code, data, scratch }) {
  const { code: bytes } = codeOf(testCase.bytes, testCase, Number(scratch));
  const hex = (array) => Buffer.from(array).toString("hex");
  const regs = testCase.regs.map((value, i) => (i === RSP ? "" : `reg ${i} 0x${value.toString(16)}\n`)).join("");
  return `reset\nbase ${code}\nentry ${ENTRY}\ncode ${hex(bytes)}\n${regs}poke ${data} ${hex(testCase.block)}\ndump ${data} ${BLOCK}\ndump ${scratch} 128\nrun\n`;
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
    flags = kept.readBigUInt64LE(120);
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
 * Runs every row `runsPerRow` times here and under qemu-user.
 *
 * @returns {Promise<{ rows: number, runs: number, traps: number, differences: string[] } | undefined>} undefined where the runner is missing
 */
export async function compareRows({ runsPerRow = 50, seed = 1, only = "" } = {}) {
  if (!existsSync(RUNNER)) return undefined;
  const memory = new Memory();
  const place = {
    code: Number(memory.allocate("text", PAGE, "code", Access.READ | Access.EXECUTE, PAGE).address),
    data: Number(memory.allocate("data", PAGE, "data", undefined, PAGE).address) + PAGE - BLOCK,
    scratch: 0x2100_0000n,
  };
  const random = randomOf(seed);
  const rows = ROWS.filter(({ op }) => op.includes(only));
  const runner = spawn("qemu-x86_64-static", ["-cpu", "max", RUNNER], { stdio: ["pipe", "pipe", "inherit"] });
  const answers = createInterface({ input: runner.stdout })[Symbol.asyncIterator]();
  runner.stdin.write(`map ${place.data + BLOCK - PAGE} ${PAGE}\nmap ${place.scratch} ${PAGE}\n`);
  const result = { rows: rows.length, runs: 0, traps: 0, differences: [] };
  for (const row of rows) {
    const cases = Array.from({ length: runsPerRow }, () => makeCase(row, random, place));
    runner.stdin.write(cases.map((testCase) => requestOf(testCase, place)).join(""));
    for (const testCase of cases) {
      const ours = runHere(memory, testCase, place);
      const { value: line } = await answers.next();
      if (line === undefined) throw new Error("the runner ended early");
      result.runs++;
      if (ours.cause !== "none") result.traps++;
      result.differences.push(...compare(testCase, ours, JSON.parse(line), place));
    }
  }
  runner.stdin.end();
  return result;
}

if (process.argv[1] === import.meta.filename) {
  const [runsPerRow = "50", seed = "1", only = ""] = process.argv.slice(2);
  const result = await compareRows({ runsPerRow: Number(runsPerRow), seed: Number(seed), only });
  console.log(result === undefined ? `no runner at ${RUNNER}: skipped` : result);
}
