// Programs that replace subprograms of other programs, and why those may be in no prog array: the count of tail calls would begin anew.
import { BpfError } from "@bpfkit/core";
import type { ProgArrayMap } from "./maps/prog-array.ts";
import type { Resident } from "./resident.ts";

/** A subprogram that another program stands in for. */
export class ExtensionLink {
  /** Names of the program, of its subprogram, and of the program that stands in. */
  readonly program: string;
  readonly subprog: string;
  readonly extension: string;
  readonly #target: Resident;
  readonly #extension: Resident;
  readonly #index: number;
  #attached = true;

  /** For {@link extend}. */
  constructor(target: Resident, index: number, extension: Resident) {
    this.#target = target;
    this.#index = index;
    this.#extension = extension;
    this.program = target.name;
    this.subprog = target.verified.structure.subprogs[index]!.name;
    this.extension = extension.name;
    target.hold();
    extension.hold();
    target.extensions.add(this);
  }

  get isAttached(): boolean {
    return this.#attached;
  }

  /** @hidden Whether it replaces that subprogram, or is of that extension. */
  concerns(index: number, extension: Resident): boolean {
    return index === this.#index || extension === this.#extension;
  }

  /** Puts the subprogram back; does nothing the second time. */
  detach(): void {
    if (!this.#attached) return;
    this.#attached = false;
    this.#target.extensions.delete(this);
    this.#extension.drop();
    this.#target.drop();
  }

  [Symbol.dispose](): void {
    this.detach();
  }
}

/** Records that `extension` replaces a subprogram of the program it was loaded for. @throws {BpfError} `argument`, with the kernel's errno */
export function extend(extension: Resident, subprog: string | number): ExtensionLink {
  const { target } = extension;
  if (target === undefined) {
    throw new BpfError("argument", `program '${extension.name}' of type ${extension.verified.program.type} (EINVAL)`, {
      expected: "a program of type ext, loaded with a target",
    });
  }
  const { subprogs } = target.verified.structure;
  const index = typeof subprog === "number" ? subprog : subprogs.findIndex(({ name }) => name === subprog);
  if (subprogs[index] === undefined) {
    throw new BpfError("argument", `subprogram '${subprog}' of '${target.name}' (EINVAL)`, {
      expected: subprogs.map(({ name }) => name).join(", "),
    });
  }
  const taken = [...target.extensions].find((link) => link.concerns(index, extension));
  if (taken !== undefined) {
    throw new BpfError(
      "argument",
      `'${extension.name}' for ${subprogs[index].name} of '${target.name}' (EBUSY): '${taken.extension}' replaces ${taken.subprog}`,
      { hint: "detach the other link first" },
    );
  }
  const { place } = target;
  if (place !== undefined) {
    const [map, slot] = place;
    const count = target.memberCount;
    throw new BpfError(
      "argument",
      `'${extension.name}' for ${subprogs[index].name} of '${target.name}' (EBUSY): the program is in ${count} slot${count === 1 ? "" : "s"} of prog arrays`,
      { hint: cycle(target, subprogs[index].name, extension.name, map, slot) },
    );
  }
  return new ExtensionLink(target, index, extension);
}

/** @throws {BpfError} `argument` (EBUSY) where a program that is extended is to go into a prog array */
export function checkExtended(program: Resident, map: ProgArrayMap, slot: number): void {
  const [link] = program.extensions;
  if (link === undefined) return;
  throw new BpfError(
    "argument",
    `program '${program.name}' for ${map.name}[${slot}] (EBUSY): '${link.extension}' replaces its subprogram ${link.subprog}`,
    { hint: cycle(program, link.subprog, link.extension, map, slot) },
  );
}

function cycle({ name }: Resident, subprog: string, extension: string, map: ProgArrayMap, slot: number): string {
  const path = [name, subprog, `(freplace ${extension})`, `tail call ${map.name}[${slot}]`, name].join(" → ");
  return `the two exclude each other, because the count of tail calls would begin anew in each round of\n  ${path}`;
}
