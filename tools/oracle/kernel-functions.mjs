// The functions of a real kernel: a reduced set that is committed, and what makes it and judges it.
//
//   node tools/oracle/kernel-functions.mjs [--arch A,B] [--btf FILE] [--save FOLDER] [--write]
//
// Prints how many functions and classes there are, for the guest of each architecture or for a BTF file. --save keeps the guests' BTF, --write writes the
// set, from the first. BPFKIT_ORACLE is the folder that holds the guests, ORACLE_KERNEL picks another kernel.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { arm64 } from "@bpfkit/arm64";
import { BpfError, formatFuncModel, MAX_ARG_SLOTS, parseFuncModel, placesKey } from "@bpfkit/core";
import { functionModels, loadBtf } from "@bpfkit/object";
import { riscv64 } from "@bpfkit/riscv64";
import { x86_64 } from "@bpfkit/x86-64";
import { askKernel, guestOf } from "./kernel.mjs";

const BACKENDS = [x86_64, arm64, riscv64];
const SET = new URL("kernel-functions-linux-7.2-x86-64.txt", import.meta.url);

/**
 * The committed set: all functions that can be traced of Linux 7.2 for x86-64, without their names, in the order of the kernel's BTF.
 *
 * @returns {{ kernel: string, models: import("@bpfkit/core").FuncModel[], modelOf: Uint16Array }} models that differ, the most common first, and the
 * index of its model for each function
 */
export function readKernelFunctions() {
  return unpack(readFileSync(SET, "utf8"));
}

/**
 * The set as text: the kernel; models without spaces between their parts, one a line; an empty line; their indices, in one byte below 128 and in two above, in base64.
 */
export function pack({ kernel, models, modelOf }) {
  const counts = new Uint32Array(models.length);
  for (const model of modelOf) counts[model]++;
  const order = [...models.keys()].sort((a, b) => counts[b] - counts[a] || a - b);
  const places = new Uint32Array(models.length);
  for (const [place, model] of order.entries()) places[model] = place;
  const bytes = [];
  for (const model of modelOf) {
    const index = places[model];
    if (index < 128) bytes.push(index);
    else bytes.push(128 | (index & 127), index >> 7);
  }
  const texts = order.map((model) => formatFuncModel(models[model]).replace(" (", "(").replaceAll(", ", ","));
  const packed = Buffer.from(bytes)
    .toString("base64")
    .match(/.{1,120}/g);
  return `${[kernel, ...texts, "", ...packed].join("\n")}\n`;
}

export function unpack(text) {
  const [head, tail] = text.split("\n\n");
  const [kernel, ...texts] = head.split("\n");
  const bytes = Buffer.from(tail, "base64");
  const modelOf = [];
  for (let at = 0; at < bytes.length; ) {
    const low = bytes[at++];
    modelOf.push(low < 128 ? low : (low & 127) | (bytes[at++] << 7));
  }
  return { kernel, models: texts.map(parseFuncModel), modelOf: Uint16Array.from(modelOf) };
}

/** `{ kernel, bytes }`: a guest's BTF. */
export function btfOfKernel(arch) {
  const { kernel, results } = askKernel(guestOf(arch), [{ name: "btf", readfile: "/sys/kernel/btf/vmlinux" }]);
  return { kernel, bytes: new Uint8Array(Buffer.from(results[0].file, "hex")) };
}

/**
 * How many classes there would be of functions that share trampolines: `{ words, [arch]: …, models, prototypes }`, and how many functions have none
 * because their arguments take too many words.
 */
export function countClasses({ models, modelOf, prototypeOf }) {
  const used = [...new Set(modelOf)];
  const different = (of) => new Set(used.map((model) => of(models[model])).filter((key) => key !== undefined)).size;
  const wordsOf = ({ args }) => args.reduce((sum, { size }) => sum + Math.ceil(size / 8), 0);
  return {
    words: different(wordsOf),
    ...Object.fromEntries(BACKENDS.map((backend) => [backend.arch, different((model) => keyOf(backend, model))])),
    models: used.length,
    ...(prototypeOf && { prototypes: new Set(prototypeOf).size }),
    none: modelOf.reduce((sum, model) => sum + (wordsOf(models[model]) > MAX_ARG_SLOTS ? 1 : 0), 0),
  };
}

/** Equal just for functions that can share trampolines; undefined where none can be made. */
function keyOf(backend, model) {
  try {
    return placesKey(backend.classifyArgs(model));
  } catch (error) {
    if (error instanceof BpfError && error.code === "unsupported") return undefined;
    throw error;
  }
}

function report(kernel, functions) {
  const { names, refused } = functions;
  const causes = {};
  for (const { cause } of refused) causes[cause] = (causes[cause] ?? 0) + 1;
  const listed = (counts) =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count.toLocaleString("en")}`)
      .join(", ");
  const { none, ...classes } = countClasses(functions);
  console.log(`${kernel}: ${(names.length + refused.length).toLocaleString("en")} functions`);
  console.log(`  refused ${refused.length} (${listed(causes)}), ${none} of more than ${MAX_ARG_SLOTS} words`);
  console.log(`  classes by ${listed(classes)}`);
}

/** What the kernel says of a function whose arguments or result it cannot hand on. */
const REFUSALS = {
  arguments: /has \d+ arguments\. Too many/,
  variadic: /with variable args is unsupported/,
  argument: /arg\d+ type .* is unsupported|has malformed void argument/,
  result: /return type .* is unsupported/,
};
/** The kernel takes such numbers, though its trampolines keep one half of a result. */
const WIDE = /\bint .* of 16 bytes$/;
/** Accepted functions that the kernel is asked about. */
const SAMPLE = 300;
const RETURN_0 = [
  [0xb7, 0, 0, 0, 0],
  [0x95, 0, 0, 0, 0],
];
const FENTRY = 24;

/**
 * Whether the kernel of an architecture refuses the functions that `functionModels` refuses, for the same cause, and takes the arguments of others; and whether the
 * committed set is still what it gives.
 *
 * @returns {{ differences: string[], summary: string }}
 */
export function compareFunctions({ arch }) {
  const { kernel, bytes } = btfOfKernel(arch);
  const functions = functionModels(loadBtf(bytes));
  report(kernel, functions);
  const { names, refused } = functions;
  const step = Math.ceil(names.length / SAMPLE);
  const asked = [...refused, ...names.filter((_, i) => i % step === 0).map((name) => ({ name }))];
  const { results } = askKernel(
    guestOf(arch),
    asked.map(({ name }) => ({
      name,
      type: "tracing",
      license: "GPL",
      expected_attach_type: FENTRY,
      attach_btf: name,
      insns: RETURN_0,
    })),
  );
  const differences = asked.flatMap(({ name, cause, reason = "" }, i) => {
    const log = results[i].log ?? results[i].crash ?? "";
    const theirs = Object.keys(REFUSALS).find((key) => REFUSALS[key].test(log));
    return theirs === (WIDE.test(reason) ? undefined : cause)
      ? []
      : [`${name}: ${cause ?? "taken"} here, ${theirs ?? "taken"} there: ${log.trim()}`];
  });
  if (arch === "x86-64" && kernel.startsWith("7.2.") && pack({ kernel, ...functions }) !== readFileSync(SET, "utf8"))
    differences.push(`${fileURLToPath(SET)} is out of date`);
  return { differences, summary: `${asked.length} functions of Linux ${kernel}, ${refused.length} of them refused` };
}

function main() {
  const { values } = parseArgs({
    options: {
      arch: { type: "string", default: "x86-64" },
      btf: { type: "string" },
      save: { type: "string" },
      write: { type: "boolean" },
    },
  });
  const files = values.btf
    ? [{ kernel: basename(values.btf, ".btf"), bytes: new Uint8Array(readFileSync(values.btf)) }]
    : values.arch.split(",").map((arch) => btfOfKernel(arch));
  for (const [i, { kernel, bytes }] of files.entries()) {
    if (values.save) {
      mkdirSync(values.save, { recursive: true });
      writeFileSync(join(values.save, `${kernel}.btf`), bytes);
    }
    const functions = functionModels(loadBtf(bytes));
    report(kernel, functions);
    if (values.write && i === 0) writeFileSync(SET, pack({ kernel, ...functions }));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
