// The last step of assembler and builder: instructions and names become a program.
import type { Insns } from "../isa/insns.ts";
import { subprogsOf } from "../isa/targets.ts";
import type { MapSpec, Program } from "../program.ts";

/** What a text does not say about a program. */
export interface AssembleOptions {
  /** The first subprogram's name, or `main`, unless told. */
  readonly name?: string;
  /** Program type in the kernel's words; unless told a `syscall` program that may sleep, as they all have to. */
  readonly type?: string;
  readonly attachType?: string;
  /** `GPL` unless told. */
  readonly license?: string;
  /** What `map[name]` can name. */
  readonly maps?: readonly MapSpec[];
  /** What `call name` can name besides labels and helpers. */
  readonly kfuncs?: readonly string[];
}

/**
 * A program of these instructions. `declared` are subprograms by start, `labels` other names of slots: those that a call reaches by
 * its distance take their names from there, and so does the entry.
 */
export function finishProgram(
  insns: Insns,
  declared: ReadonlyMap<number, string>,
  labels: ReadonlyMap<number, string>,
  { name, type, attachType, license, maps, kfuncs }: AssembleOptions,
): Program {
  const entry = declared.get(0) ?? labels.get(0) ?? name ?? "main";
  const subprogs = subprogsOf(
    insns,
    Array.from(declared, ([start, subprog]) => ({ name: subprog, start })),
    (start) => (start === 0 ? entry : (labels.get(start) ?? `sub_${start}`)),
  );
  return {
    name: name ?? entry,
    type: type ?? "syscall",
    ...(type === undefined ? { sleepable: true } : {}),
    ...(attachType === undefined ? {} : { attachType }),
    license: license ?? "GPL",
    insns,
    subprogs: subprogs.length > 0 ? subprogs : [{ name: entry, start: 0 }],
    maps: maps ?? [],
    kfuncs: kfuncs ?? [],
  };
}
