// From a list of built instructions and labels to a program.
import { BpfError } from "../errors.ts";
import { Insns, packWord } from "../isa/insns.ts";
import { INSNS, type InsnRow } from "../isa/opcodes.ts";
import type { Program } from "../program.ts";
import type { BuiltInsn, InsnLabel, Item } from "./dsl.ts";
import { type AssembleOptions, finishProgram } from "./finish.ts";

/**
 * Makes a program of instructions and labels. A label that is called or taken the address of begins a subprogram.
 *
 * @throws {BpfError} `argument` for a label that is missing or placed twice, `out-of-range` for a jump that is too far,
 * `unknown-symbol` for a map or kfunc that the options do not have
 * @example
 * ```ts
 * import { build, exit, jle, label, load, mov64, r0, r1, u32 } from "@bpfkit/core";
 * const out = label("out");
 * const program = build([load(u32, r0, r1, 0), jle(r0, 255, out), mov64(r0, 255), out, exit()]);
 * ```
 */
export function build(items: readonly Item[], options: AssembleOptions = {}): Program {
  const insns: BuiltInsn[] = [];
  const slots: number[] = [];
  const places: Places = { byLabel: new Map(), byName: new Map(), starts: new Map() };
  let slot = 0;
  for (const item of flatten(items)) {
    if (item.kind === "label") {
      place(places, item, slot);
    } else {
      insns.push(item);
      slots.push(slot);
      slot += INSNS[item.op].kind === "loadImm64" ? 2 : 1;
    }
  }
  const words = new Int32Array(2 * slot);
  for (const [index, insn] of insns.entries()) encode(words, slots[index]!, insn, places, options);
  const labels = new Map(Array.from(places.byName, ([name, start]) => [start, name]));
  return finishProgram(new Insns(words), places.starts, labels, options);
}

/** Slots of labels, by the label itself and by its name, and subprograms by start. */
interface Places {
  readonly byLabel: Map<InsnLabel, number>;
  readonly byName: Map<string, number>;
  readonly starts: Map<number, string>;
}

function* flatten(items: readonly Item[]): Generator<BuiltInsn | InsnLabel> {
  const pending: Iterator<Item>[] = [items[Symbol.iterator]()];
  while (pending.length > 0) {
    const next = pending.at(-1)!.next();
    if (next.done === true) pending.pop();
    else if ("kind" in next.value) yield next.value;
    else pending.push(next.value[Symbol.iterator]());
  }
}

function place({ byLabel, byName, starts }: Places, label: InsnLabel, slot: number): void {
  if (byLabel.has(label) || (label.name !== "" && byName.has(label.name))) {
    throw new BpfError("argument", `label ${label.name || "without a name"} is placed twice`, { insn: slot });
  }
  byLabel.set(label, slot);
  if (label.name !== "") byName.set(label.name, slot);
  if (label.subprog) starts.set(slot, label.name);
}

function encode(words: Int32Array, slot: number, insn: BuiltInsn, places: Places, options: AssembleOptions): void {
  const row: InsnRow = INSNS[insn.op];
  let { off, imm } = insn;
  const reference = insn.refersTo;
  if (reference?.kind === "map" || reference?.kind === "kfunc") {
    const names = reference.kind === "map" ? (options.maps ?? []).map(({ name }) => name) : (options.kfuncs ?? []);
    imm = names.indexOf(reference.name);
    if (imm < 0) {
      const expected = names.length === 0 ? `${reference.kind}s in the options` : names.slice(0, 8).join(", ");
      throw new BpfError("unknown-symbol", `${reference.kind} ${reference.name}`, { insn: slot, expected });
    }
  } else if (reference !== undefined) {
    const target = reference.kind === "label" ? places.byLabel.get(reference) : places.byName.get(reference.name);
    if (target === undefined)
      throw new BpfError("argument", `label ${reference.name || "without a name"} is not placed`, { insn: slot });
    const distance = target - slot - 1;
    if (insn.op === "gotol" || row.kind === "callSubprog" || row.kind === "loadImm64") imm = distance;
    else if (distance >= -0x8000 && distance <= 0x7fff) off = distance;
    else {
      throw new BpfError("out-of-range", `label ${reference.name} is ${distance} slots away`, {
        insn: slot,
        expected: "-32768..32767",
        hint: "`gotol` reaches farther",
      });
    }
  }
  words[2 * slot] = packWord(row.code, insn.dst, insn.src, off);
  words[2 * slot + 1] = imm;
  if (row.kind === "loadImm64") words[2 * slot + 3] = insn.high;
}
