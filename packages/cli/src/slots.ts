// What prog arrays hold at first: what the object's definitions say, and what `--set MAP[SLOT]=PROG,…` adds.
import { MAP_TYPES } from "@bpfkit/core";
import type { ObjectFile, ObjectProgram } from "@bpfkit/object";
import { type Arguments, type OptionSpec, UsageError } from "./arguments.ts";

/** A slot of a prog array and the program in it. */
export interface Slot {
  readonly map: string;
  readonly slot: number;
  readonly program: ObjectProgram;
}

/** The option, for commands that have it. */
export const SET_OPTION: OptionSpec = {
  value: "M[K]=PROG,...",
  help: "programs of the object to put into slots of prog arrays, beside those that it puts there itself",
};

/** All slots that are filled, the object's own first. @throws {UsageError} for words of `--set` that mean nothing here */
export function slotsOf(object: ObjectFile, args: Arguments): readonly Slot[] {
  const own = object.maps.flatMap(({ name, programs = [] }) =>
    programs.map(({ slot, program }) => ({ map: name, slot, program: programNamed(object, program) })),
  );
  const given = args.text("set")?.split(",") ?? [];
  const all = new Map(own.map((slot) => [keyOf(slot), slot]));
  for (const slot of given.map((word) => slotOf(object, word))) all.set(keyOf(slot), slot);
  return [...all.values()];
}

function slotOf(object: ObjectFile, word: string): Slot {
  const parts = /^(\w[\w.]*)\[(\d+)\]=(\w+)$/.exec(word);
  if (parts === null) throw new UsageError(`--set ${word}; write MAP[SLOT]=PROG`);
  const [, name, number, program] = parts;
  const arrays = object.maps.filter(({ type }) => type === MAP_TYPES.prog_array);
  const map = arrays.find((candidate) => candidate.name === name);
  if (map === undefined) {
    const known = arrays.map((array) => array.name).join(", ") || "no prog array";
    throw new UsageError(`--set ${word}: there is ${known}`);
  }
  const slot = Number(number);
  if (slot >= map.maxEntries) throw new UsageError(`--set ${word}: ${name} has ${map.maxEntries} slots`);
  return { map: map.name, slot, program: programNamed(object, program!) };
}

function programNamed({ programs }: ObjectFile, wanted: string): ObjectProgram {
  const found = programs.find(({ name }) => name === wanted);
  if (found === undefined)
    throw new UsageError(`no program ${wanted}; there are ${programs.map(({ name }) => name).join(", ")}`);
  return found;
}

function keyOf({ map, slot }: Slot): string {
  return `${map}[${slot}]`;
}
