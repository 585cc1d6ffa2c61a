// Programs that replace subprograms of other programs, and why those may be in no prog array: the count of tail calls would begin anew.
import { BpfError } from "@bpfkit/core";
import type { ProgArrayMap } from "./maps/prog-array.ts";
import type { FunctionTrampolines } from "./multi/trampolines.ts";
import { drain, locked, type Operation, type Step } from "./operation.ts";
import type { Resident } from "./resident.ts";
import type { TextSites } from "./text/sites.ts";
import type { Target, Targets } from "./tracing/target.ts";

/** What leads entries elsewhere. */
interface ExtensionText {
  readonly targets: Targets;
  readonly sites: TextSites;
  readonly trampolines: FunctionTrampolines;
}

/** What links need of their kernel. */
export interface ExtensionSite {
  /** Undefined where the engine has no machine code: links are kept, and nothing is led anywhere. */
  readonly text: ExtensionText | undefined;
  blocks(step: Step): BpfError | undefined;
}

/** A subprogram that another program stands in for. */
export class ExtensionLink {
  /** Names of the program, of its subprogram, and of the program that stands in. */
  readonly program: string;
  readonly subprog: string;
  readonly extension: string;
  readonly #site: ExtensionSite;
  readonly #target: Resident;
  readonly #extension: Resident;
  readonly #index: number;
  #attached = true;

  /** For {@link extending}. */
  constructor(site: ExtensionSite, target: Resident, index: number, extension: Resident) {
    this.#site = site;
    this.#target = target;
    this.#extension = extension;
    this.#index = index;
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

  /** Puts the subprogram back; does nothing the second time. @throws {BpfError} `argument` (EBUSY) where runs in progress would have to move on first */
  detach(): void {
    drain(this.detaching(), (step) => this.#site.blocks(step));
  }

  /** {@link detach} step by step. Where a step fails, the extension stays. */
  *detaching(): Operation<void> {
    const { text } = this.#site;
    if (text !== undefined) {
      const target = text.targets.ofSubprog(this.#target, this.#index);
      yield* locked(text.trampolines, () => this.#leadBack(text.sites, target));
    }
    this.forget();
  }

  /** @hidden It is no link any more, or never became one. */
  forget(): void {
    if (!this.#attached) return;
    this.#attached = false;
    this.#target.extensions.delete(this);
    this.#extension.drop();
    this.#target.drop();
  }

  [Symbol.dispose](): void {
    this.detach();
  }

  *#leadBack(sites: TextSites, target: Target): Operation<void> {
    if (!this.#attached) return;
    yield* sites.poke(target.site, { kind: "nop" });
    target.extension = undefined;
  }
}

/**
 * Has `extension` replace a subprogram of the program it was loaded for: the subprogram's entry becomes a jump to it.
 *
 * @throws {BpfError} `argument`, with the kernel's errno
 */
export function* extending(
  site: ExtensionSite,
  extension: Resident,
  subprog: string | number,
): Operation<ExtensionLink> {
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
  checkFree(extension, target, index);
  const link = new ExtensionLink(site, target, index, extension);
  const { text } = site;
  if (text === undefined) return link;
  try {
    const entry = text.targets.ofSubprog(target, index);
    yield* locked(text.trampolines, () => lead(text, entry, extension));
  } catch (error) {
    link.forget();
    throw error;
  }
  return link;
}

function* lead({ sites, trampolines }: ExtensionText, target: Target, extension: Resident): Operation<void> {
  const [traced] = trampolines.linksOf(target.id);
  if (traced !== undefined) {
    throw new BpfError(
      "argument",
      `'${extension.name}' for ${target.name} (EBUSY): ${traced.link.kind} '${traced.program.name}' is attached to it`,
      { hint: "detach the other link first" },
    );
  }
  yield* sites.poke(target.site, { kind: "jump", target: extension.executable.subprogAddress(0) });
  target.extension = extension.name;
}

/** @throws {BpfError} `argument` (EBUSY) where another link, or a prog array, has the program */
function checkFree(extension: Resident, target: Resident, index: number): void {
  const { name } = target.verified.structure.subprogs[index]!;
  const taken = [...target.extensions].find((link) => link.concerns(index, extension));
  if (taken !== undefined) {
    throw new BpfError(
      "argument",
      `'${extension.name}' for ${name} of '${target.name}' (EBUSY): '${taken.extension}' replaces ${taken.subprog}`,
      { hint: "detach the other link first" },
    );
  }
  const { place } = target;
  if (place === undefined) return;
  const [map, slot] = place;
  const count = target.memberCount;
  throw new BpfError(
    "argument",
    `'${extension.name}' for ${name} of '${target.name}' (EBUSY): the program is in ${count} slot${count === 1 ? "" : "s"} of prog arrays`,
    { hint: cycle(target, name, extension.name, map, slot) },
  );
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
