// Laws of explanations, held on the cases that are rejected: steps lie on the path that was walked, in its order; a register that the message
// names is defined by one of them; a definition reaches its use; and instructions that are left out do not matter.
// BPFKIT_EXPLAIN_CASES sets how many cases there are to a part that is looked at; 1 looks at all.
import { expect, test } from "vitest";
import { opAt } from "../../src/isa/decode.ts";
import { Insns } from "../../src/isa/insns.ts";
import type { Program } from "../../src/program.ts";
import { usesOf } from "../../src/verifier/control-flow.ts";
import type { CausalStep, Explanation } from "../../src/verifier/explanation.ts";
import type { Rejected, Verified } from "../../src/verifier/result.ts";
import { ROWS } from "../../src/verifier/rows.ts";
import { type VerifyOptions, verify } from "../../src/verifier/verify.ts";
import { answerHere } from "./agreement.mjs";
import { CASES } from "./all-cases.ts";

declare const process: { readonly env: { readonly BPFKIT_EXPLAIN_CASES?: string } };
const PART = Number(process.env.BPFKIT_EXPLAIN_CASES ?? 25);

interface Rejection {
  readonly name: string;
  readonly program: Program;
  readonly options: VerifyOptions;
  readonly result: Rejected;
  readonly explanation: Explanation;
  /** Slots of the instructions on the path, as the log of level 1 has them. */
  readonly path: readonly number[];
}

const REJECTIONS = CASES.filter((_, index) => index % PART === 0).flatMap((given): Rejection[] => {
  let found: Rejection[] = [];
  const seen = (program: Program, options: VerifyOptions): Verified | Rejected => {
    const result = verify(program, options);
    if (!result.ok) {
      const path = result.log.flatMap((line) => /^(\d+): \(/.exec(line)?.slice(1).map(Number) ?? []);
      const name = `${given.subject}: ${given.name}`;
      found = [{ name, program, options, result, explanation: result.explanation, path }];
    }
    return result;
  };
  answerHere(seen, given, "7.2");
  return found;
});

const DEFINES: ReadonlySet<string> = new Set(["entry", "origin", "copy", "compute", "lost"]);
const namesOf = (broken: readonly Rejection[]): string[] => broken.map(({ name }) => name);

test("there are cases enough", () => {
  expect(REJECTIONS.length).toBeGreaterThan(1500 / PART);
});

test("every step lies on the path, in the order in which it was walked", () => {
  const off = REJECTIONS.filter(({ explanation, path }) => {
    // A path that begins in the middle of the program is logged from there on.
    let at = 0;
    return explanation.path.some(({ insn }, index) => {
      const before = explanation.path[index - 1];
      if (before !== undefined && explanation.path[index]!.step < before.step) return true;
      if (before?.step === explanation.path[index]!.step) return before.insn !== insn;
      const next = path.indexOf(insn, at);
      at = next + 1;
      return next < 0;
    });
  });
  expect(namesOf(off)).toEqual([]);
});

test("a register that the message names is defined by a step", () => {
  const lacking = REJECTIONS.filter(({ result, explanation }) => {
    const reg = /\bR(\d+)\b/.exec(result.reason)?.[1];
    if (reg === undefined || reg === "10" || explanation.path.length === 0) return false;
    return !explanation.path.some(({ role, value }) => DEFINES.has(role) && value.split(" ")[0] === `R${reg}`);
  });
  expect(namesOf(lacking)).toEqual([]);
});

/** Each instruction at most once: places on the path are known by their slots. */
const isStraight = ({ path }: Rejection): boolean => new Set(path).size === path.length;

/** Whether something between a step that gives a register its value and the step that uses it writes that register. */
function isOverwritten({ program, explanation, path }: Rejection, step: CausalStep, index: number): boolean {
  const reg = /^R(\d+)$/.exec(step.value)?.[1];
  if (reg === undefined || !DEFINES.has(step.role)) return false;
  const later = explanation.path.slice(index + 1);
  const use = later.find(
    ({ from, value, frame }) => from.includes(step.value) || (value === step.value && frame === 0),
  );
  const ops = Int16Array.from({ length: program.insns.length }, (_, i) => opAt(program.insns, i));
  const end = use === undefined ? path.length - 1 : path.indexOf(use.insn);
  let frames = 0;
  for (const insn of path.slice(path.indexOf(step.insn) + (step.role === "entry" ? 0 : 1), end)) {
    const { kind } = ROWS[ops[insn]!]!;
    // What calls do between is theirs.
    if (kind === "callSubprog") frames++;
    else if (kind === "exit") frames--;
    else if (frames === 0 && ((usesOf(program.insns, ops, insn) >>> (16 + Number(reg))) & 1) === 1) return true;
  }
  return false;
}

test("what a step writes is what a later step, or the instruction that was rejected, reads", () => {
  const broken = REJECTIONS.filter(
    (rejection) =>
      isStraight(rejection) &&
      rejection.explanation.path.every(({ frame }) => frame === 0) &&
      rejection.explanation.path.some((step, index) => isOverwritten(rejection, step, index)),
  );
  expect(namesOf(broken)).toEqual([]);
});

/** The same program with another constant in one instruction; undefined where that would be another kind of instruction. */
function withOtherConstant({ program }: Rejection, insn: number): Program | undefined {
  const { kind, immediate, operation } = ROWS[opAt(program.insns, insn)]!;
  const isNumber = kind === "mov" || (kind === "alu" && operation !== "mul");
  if (!isNumber || !immediate) return undefined;
  const words = program.insns.words.slice();
  words[2 * insn + 1] = words[2 * insn + 1]! ^ 1;
  return { ...program, insns: new Insns(words) };
}

test("constants of instructions that are left out do not matter: the program is rejected at the same place, for the same reason", () => {
  let tried = 0;
  const changed: string[] = [];
  for (const rejection of REJECTIONS) {
    const { explanation, path, options, result, name } = rejection;
    const kept = new Set(explanation.path.map(({ insn }) => insn));
    if (explanation.path.length === 0 || explanation.path.some(({ omitted }) => omitted !== undefined)) continue;
    for (const insn of new Set(path)) {
      if (kept.has(insn) || insn === result.insn) continue;
      const other = withOtherConstant(rejection, insn);
      if (other === undefined) continue;
      const again = verify(other, { ...options, logLevel: 0 });
      // Rejected on the way for something else: that tells nothing.
      if (!again.ok && again.reason !== result.reason && path.includes(again.insn ?? -1)) continue;
      tried++;
      if (again.ok || again.reason !== result.reason) changed.push(`${name} at ${insn}`);
    }
  }
  expect(tried).toBeGreaterThan(500 / PART);
  expect(changed.length / tried, changed.join("\n")).toBeLessThan(PART === 1 ? 0.004 : 0.02);
});
