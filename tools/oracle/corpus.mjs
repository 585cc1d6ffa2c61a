// The conformance corpus against a real kernel: whatever its verifier accepts has to give what the corpus says.
import { corpus, GROUPS } from "@bpfkit/conformance";
import { assemble, Insns, MAP_TYPES } from "@bpfkit/core";
import { askKernel, caseOf, guestOf, hex } from "./kernel.mjs";

/** As many cases go to one guest: the progress line between two guests tells a slow kernel from a stuck one. */
const CHUNK = 500;
/** Longer programs take the guest's verifier more time than they tell. */
const LONGEST = 20_000;
const FACTOR = 0x100000001b3n;
const u64 = (value) => BigInt.asUintN(64, value);

/**
 * A test run of a syscall program gives back the low half of r0 and nothing else. So the case's program becomes a subprogram: its caller
 * copies the context into a map's value, where more is allowed than in a context, calls it with that, and then puts r0 and the memory
 * together in one number of 32 bits.
 */
function wrapped(program, size, { value, memory }) {
  const places = [];
  for (let at = 0; at + 8 <= size; at += 8) places.push([64, at]);
  for (let at = size - (size % 8); at < size; at++) places.push([8, at]);
  const outer = assemble(
    [
      "r6 = map[fd:0][0]+0",
      ...places.flatMap(([bits, at]) => [`r0 = *(u${bits} *)(r1 + ${at})`, `*(u${bits} *)(r6 + ${at}) = r0`]),
      "r1 = r6",
      "call body",
      ...(value === undefined ? ["r0 = 0"] : []),
      `r8 = ${FACTOR} ll`,
      ...(memory === undefined ? [] : places).flatMap(([bits, at]) => [
        `r1 = *(u${bits} *)(r6 + ${at})`,
        "r0 *= r8",
        "r0 += r1",
      ]),
      "r1 = r0",
      "r1 >>= 32",
      "r0 ^= r1",
      "exit",
      "body: exit",
    ].join("\n"),
  ).insns;
  const insns = Insns.fromBytes(Uint8Array.from([...outer.toBytes().subarray(0, -8), ...program.insns.toBytes()]));
  const map = {
    name: "memory",
    type: MAP_TYPES.array,
    keySize: 4,
    valueSize: Math.max(size, 8),
    maxEntries: 1,
    flags: 0,
  };
  return { ...program, insns, maps: [map] };
}

/** What the wrapped program has to return for a run of the case. */
function digest({ value, memory = new Uint8Array() }) {
  const view = new DataView(memory.buffer, memory.byteOffset, memory.length);
  const words = Math.floor(memory.length / 8);
  let sum = value ?? 0n;
  for (let i = 0; i < words; i++) sum = u64(sum * FACTOR + view.getBigUint64(8 * i, true));
  for (let at = 8 * words; at < memory.length; at++) sum = u64(sum * FACTOR + BigInt(memory[at]));
  return Number((sum ^ (sum >> 32n)) & 0xffff_ffffn);
}

/** The question a case is to the kernel; undefined for what cannot be asked: traps, refusals, given registers, our own kfunc. */
function questionOf({ program, runs }) {
  const isAskable = ({ args, expect, memory }) =>
    args === undefined &&
    expect.kind === "result" &&
    (expect.memory === undefined || expect.memory.length === memory?.length);
  if (program.insns.length > LONGEST || program.kfuncs.length > 0 || !runs.every(isAskable)) return undefined;
  if (program.type !== "syscall") {
    return {
      testCase: caseOf(program, { runs: runs.map(({ memory }) => ({ data: hex(memory) })) }),
      answers: runs.map(({ expect }) => Number(expect.value & 0xffff_ffffn)),
    };
  }
  const { memory, expect } = runs[0];
  const outer = wrapped(program, memory?.length ?? 0, expect);
  return {
    testCase: caseOf(outer, { runs: runs.map((run) => ({ ctx: hex(run.memory ?? new Uint8Array(8)), repeat: 0 })) }),
    answers: runs.map((run) => digest(run.expect)),
  };
}

/** Every `stride`-th case. @returns {{ differences: string[], summary: string }} */
export function compareCorpus(backend, stride = 1) {
  const asked = corpus().flatMap((each, i) => {
    const question = i % stride === 0 ? questionOf(each) : undefined;
    return question === undefined ? [] : [{ ...each, ...question }];
  });
  const ask = (cases) =>
    askKernel(
      guestOf(backend.arch),
      cases.map(({ testCase }) => testCase),
    );
  const results = [];
  let kernel = "";
  for (let from = 0; from < asked.length; from += CHUNK) {
    const answer = ask(asked.slice(from, from + CHUNK));
    kernel = answer.kernel;
    results.push(...answer.results);
    process.stderr.write(`corpus, ${backend.arch}: ${results.length} of ${asked.length} cases asked\n`);
  }
  // A guest on a busy machine can be too slow for the longest cases: those are asked once more, in a guest of their own.
  for (const [i, { crash }] of results.entries()) if (crash !== undefined) results[i] = ask([asked[i]]).results[0];
  const differences = [];
  const unanswered = [];
  const shares = new Map(GROUPS.map((group) => [group, { asked: 0, accepted: 0 }]));
  for (const [i, { name, group, answers }] of asked.entries()) {
    const { verdict, runs, crash } = results[i];
    const share = shares.get(group);
    share.asked++;
    // A slow guest can take longer for the million instructions that the verifier of a kernel walks than the harness waits.
    if (crash?.includes("timed out")) unanswered.push(name);
    else if (crash !== undefined) differences.push(`${name}: the guest crashed: ${crash.slice(-200)}`);
    if (verdict !== "accept") continue;
    share.accepted++;
    const wrong = runs.findIndex(({ errno, retval }, k) => errno !== 0 || retval !== answers[k]);
    if (wrong >= 0)
      differences.push(`${name}, run ${wrong}: kernel ${JSON.stringify(runs[wrong])}, corpus ${answers[wrong]}`);
  }
  const table = [...shares]
    .filter(([, share]) => share.asked > 0)
    .map(([group, share]) => `${group} ${share.accepted}/${share.asked}`);
  return {
    differences,
    summary: [
      `corpus on Linux ${kernel}, ${backend.arch}, accepted of those asked: ${table.join(", ")}`,
      ...unanswered.map((name) => `no answer within the time that the harness gives a case: ${name}`),
    ].join("\n"),
  };
}
