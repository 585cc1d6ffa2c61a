// A difference between two engines, for people: the instruction, its machine code, and the registers before and after it.
import { type Line, type Program, printInsn } from "@bpfkit/core";

/** What differs, in words. */
export interface Finding {
  readonly what: string;
  readonly reference: string;
  readonly subject: string;
}

/** Both engines at the place where they differ. */
export interface Moment {
  readonly program: Program;
  /** Names: reference, subject. */
  readonly engines: readonly [string, string];
  /** Slots that ran since the last place where they were equal. */
  readonly path: readonly number[];
  /** Registers there. */
  readonly before: readonly bigint[];
  /** Nothing was compared yet: there is no before. */
  readonly isFirst: boolean;
  reference(register: number): bigint;
  subject(register: number): bigint;
  definedMask(register: number): bigint;
  /** The machine code of an instruction, where there is any. */
  code(slot: number): readonly Line[];
}

const ALL = 0xffff_ffff_ffff_ffffn;

/** A report of several lines. */
export function findingText(finding: Finding, moment: Moment): string {
  const { program, engines, path } = moment;
  const [reference, subject] = engines;
  const where = path.length === 0 ? "before the first instruction" : `after instruction ${path.at(-1)}`;
  const width = Math.max(reference.length, subject.length, "reference".length);
  return [
    `${subject} differs from ${reference} ${where} of '${program.name}': ${finding.what}`,
    `  ${reference.padEnd(width)}  ${finding.reference}`,
    `  ${subject.padEnd(width)}  ${finding.subject}`,
    "",
    ...path.flatMap((slot) => instruction(moment, slot)),
    ...(path.length === 0 ? [] : [""]),
    ...registers(moment),
  ].join("\n");
}

function instruction({ program, code }: Moment, slot: number): string[] {
  const text = printInsn(program.insns, slot, { program });
  return [`  ${String(slot).padStart(4)}: ${text}`, ...code(slot).map(machineLine)];
}

function machineLine({ offset, bytes, text }: Line): string {
  const encoded = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return `        +${offset.toString(16).padStart(2, "0")}  ${encoded.padEnd(30)}  ${text}`;
}

/** One line for each register; `*` marks a difference, `-` what is undefined. */
function registers(moment: Moment): string[] {
  const { engines, before, isFirst } = moment;
  const cell = (value: bigint): string => value.toString(16).padStart(16, "0");
  const lines = [`        ${"before".padEnd(18)}${engines[0].padEnd(18)}${engines[1]}`];
  for (let reg = 0; reg <= 10; reg++) {
    const mask = moment.definedMask(reg);
    const [expected, found] = [moment.reference(reg), moment.subject(reg)];
    const mark = ((expected ^ found) & mask) === 0n ? " " : "*";
    const shown = mask === 0n ? "-".padEnd(16) : cell(expected);
    const partly = mask === 0n || mask === ALL ? "" : `  defined ${cell(mask)}`;
    lines.push(
      `${mark} ${`r${reg}`.padEnd(6)}${(isFirst ? "-" : cell(before[reg]!)).padEnd(18)}${shown}  ${cell(found)}${partly}`,
    );
  }
  return lines;
}
