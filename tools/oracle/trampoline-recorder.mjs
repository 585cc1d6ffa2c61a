// Programs that write down what they see at a function, and what they wrote: the same text for a real kernel and for bpfkit.
import { assemble } from "@bpfkit/core";

/** Words of a record, and how many records a log holds behind its first one, which has their count in its first word. */
const WORDS = 32;
const RECORDS = 8;
/** Bytes of a log. */
export const LOG_SIZE = 8 * WORDS * (RECORDS + 1);
/** An array of one log. */
export const LOG = { name: "log", type: 2, keySize: 4, valueSize: 4096, maxEntries: 1, flags: 0 };

/** Helpers: numbers of the kernel. */
const HELPER = { funcIp: 173, cookie: 174, arg: 183, result: 184, argCount: 185 };
export const KFUNCS = ["bpf_session_cookie", "bpf_session_is_return"];
/** Words of a record by what is in them. */
const AT = { id: 0, count: 1, args: 2, result: 14, funcIp: 15, cookie: 16, word: 17, atExit: 18 };
/** What a session adds to its word at entry. */
const SESSION_STEP = 1000;

/**
 * A program of a link. `words` are the arguments it reads, `returns` is the r0 of one that decides where it writes something down; it does so only where the lower half of
 * the argument of `guard` is as told (`value`), or not less (`atLeast`), and else returns 0.
 */
export function recorder({ id, kind, words, funcIp = false, returns = 0, guard }) {
  const keep = (word, from = "r0") => `*(u64 *)(r7 + ${8 * word}) = ${from}`;
  const arg = (index) => `r1 = r6\nr2 = ${index}\nr3 = r10\nr3 += -8\n*(u64 *)(r10 - 8) = 0\ncall ${HELPER.arg}`;
  const lines = ["r6 = r1", "r7 = map[log][0]+0"];
  if (guard !== undefined)
    lines.push(
      arg(guard.word),
      "r1 = *(u64 *)(r10 - 8)",
      guard.value === undefined ? `if w1 < ${guard.atLeast} goto out` : `if w1 != ${guard.value} goto out`,
    );
  lines.push(
    `r8 = *(u64 *)(r7 + 0)\nif r8 > ${RECORDS - 1} goto out`,
    "r1 = r8\nr1 += 1\n*(u64 *)(r7 + 0) = r1\nr8 <<= 8\nr7 += r8\nr7 += 256",
    `r1 = ${id}\n${keep(AT.id, "r1")}`,
    `r1 = r6\ncall ${HELPER.argCount}\n${keep(AT.count)}`,
  );
  for (let i = 0; i < words; i++) lines.push(arg(i), `r1 = *(u64 *)(r10 - 8)\n${keep(AT.args + i, "r1")}`);
  if (kind !== "fentry") {
    lines.push(`r1 = r6\nr2 = r10\nr2 += -8\n*(u64 *)(r10 - 8) = 0\ncall ${HELPER.result}`);
    lines.push(`r1 = *(u64 *)(r10 - 8)\n${keep(AT.result, "r1")}`);
  }
  if (funcIp) lines.push(`r1 = r6\ncall ${HELPER.funcIp}\n${keep(AT.funcIp)}`);
  lines.push(`r1 = r6\ncall ${HELPER.cookie}\n${keep(AT.cookie)}`);
  if (kind === "fsession") {
    lines.push(`r1 = r6\ncall bpf_session_cookie\nr1 = *(u64 *)(r0 + 0)\n${keep(AT.word, "r1")}`);
    lines.push(`r1 += ${SESSION_STEP + id}\n*(u64 *)(r0 + 0) = r1`);
    lines.push(`r1 = r6\ncall bpf_session_is_return\nr0 &= 1\n${keep(AT.atExit)}`);
  }
  lines.push(`r0 = ${kind === "fmod_ret" ? returns : 0}\nexit\nout:\nr0 = 0\nexit`);
  return {
    ...assemble(lines.join("\n"), { maps: [LOG], kfuncs: kind === "fsession" ? KFUNCS : [] }),
    name: `link ${id}`,
  };
}

/** What a run of a target gave, and what its programs counted in the second word of the log. */
export const describeRun = (returnValue, log) =>
  `${returnValue | 0}, counted ${new BigUint64Array(Uint8Array.from(log.subarray(0, 16)).buffer)[1]}`;

/** The records of a log, in order. */
export function recordsOf(bytes) {
  const log = new BigUint64Array(Uint8Array.from(bytes).buffer);
  const count = Math.min(Number(log[0]), RECORDS);
  return Array.from({ length: count }, (_, i) => {
    const record = log.subarray(WORDS * (i + 1), WORDS * (i + 2));
    return {
      id: Number(record[AT.id]),
      count: Number(record[AT.count]),
      args: [...record.subarray(AT.args, AT.result)],
      result: record[AT.result],
      funcIp: record[AT.funcIp],
      cookie: record[AT.cookie],
      word: record[AT.word],
      atExit: record[AT.atExit] === 1n,
    };
  });
}

/**
 * Records as lines. Of arguments and results only their own bits count; those that nobody knows (`undefined` in `args`) are letters, the
 * same ones where they were the same number, and those that say nothing (`null`) dashes.
 *
 * @param functionOf - of a link: `{ model, bits, args, result, address }`
 */
export function describeRecords(records, links, functionOf) {
  const names = new Map();
  const show = (raw, bits, known) => {
    const value = BigInt.asUintN(bits, raw);
    if (known || value === 0n) return (bits < 8 ? value : BigInt.asIntN(bits, value)).toString();
    if (!names.has(value)) names.set(value, String.fromCharCode(65 + names.size));
    return names.get(value);
  };
  return records.map((record) => {
    const { kind, funcIp } = links[record.id];
    const { model, bits, args: values, result, address } = functionOf(links[record.id]);
    const args = bits.map((count, i) =>
      values[i] === null ? "-" : show(record.args[i], count, values[i] !== undefined),
    );
    const isKnown = result !== undefined || kind === "fmod_ret";
    const after =
      kind === "fentry" || (kind === "fsession" && !record.atExit) ? "" : kind === "fmod_ret" ? " so far " : " = ";
    return [
      `${record.id} ${kind}`,
      record.count === bits.length ? "" : ` of ${record.count}`,
      `(${args.join(", ")})`,
      after === "" ? "" : `${after}${show(record.result, 8 * model.result.size, isKnown)}`,
      funcIp ? ` at +${record.funcIp - address}` : "",
      record.cookie === 0n ? "" : ` cookie ${record.cookie.toString(16)}`,
      kind === "fsession" ? ` word ${record.word}` : "",
    ].join("");
  });
}
