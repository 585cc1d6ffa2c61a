// What programs can be attached to: a function of the host, or a subprogram of a loaded program, with its entry site and what is attached.
import { type ArgPlaces, BpfError, type FuncModel, invariant, parseFuncModel, type TextEngine } from "@bpfkit/core";
import type { FunctionTable } from "../multi/functions.ts";
import type { LoadedProgram } from "../program.ts";
import { type Resident, residentOf } from "../resident.ts";
import type { LiveSite, TextSites } from "../text/sites.ts";
import { TracedFunction } from "./function.ts";

/** A subprogram of a loaded program. */
export interface SubprogTarget {
  readonly program: LoadedProgram;
  /** By name or index; the program itself unless told. */
  readonly subprog?: string | number;
  /** What is known of its arguments; unless told, what others have said who are attached, or five words, as in the kernel for programs without BTF of their arguments. */
  readonly model?: string | FuncModel;
}

/** What programs can be attached to. */
export type AttachTarget = TracedFunction | SubprogTarget;

/** All that a BPF program can have. */
const FIVE_WORDS = "u64 (u64, u64, u64, u64, u64)";

/** What the arguments of a function are, and where they lie. */
export interface Shape {
  readonly model: FuncModel;
  readonly places: ArgPlaces;
}

/** A shape, and whether somebody has told it or it is what is assumed. */
export interface ToldShape extends Shape {
  readonly isTold: boolean;
}

/** A function as trampolines see it. There is one for each function or subprogram. */
export class Target {
  readonly name: string;
  /** Of a subprogram: what those say who have attached to it. Changed by `FunctionTable.take` only. */
  shape: Shape;
  readonly address: bigint;
  readonly site: LiveSite;
  /** Undefined for a program's. */
  readonly function: TracedFunction | undefined;
  /** The program that it is a part of, and of which part. */
  readonly program: Resident | undefined;
  readonly subprog: number;
  /** Its number in the table of functions. */
  id = -1;
  /** Name of the program that stands in for it. */
  extension: string | undefined;

  constructor(
    name: string,
    shape: Shape,
    address: bigint,
    site: LiveSite,
    part: TracedFunction | { readonly program: Resident; readonly subprog: number },
  ) {
    this.name = name;
    this.shape = shape;
    this.address = address;
    this.site = site;
    const isFunction = part instanceof TracedFunction;
    this.function = isFunction ? part : undefined;
    this.program = isFunction ? undefined : part.program;
    this.subprog = isFunction ? 0 : part.subprog;
  }

  get model(): FuncModel {
    return this.shape.model;
  }

  get places(): ArgPlaces {
    return this.shape.places;
  }

  /** Where it goes on behind its entry site. */
  get original(): bigint {
    return this.site.address + BigInt(this.site.size);
  }

  /** Whether a tail call can be reached from it. */
  get tailCalls(): boolean {
    return this.program !== undefined && this.program.verified.structure.subprogs[this.subprog]!.tailCallReachable;
  }
}

/** Every target that somebody has asked for. */
export class Targets {
  readonly #text: TextEngine;
  readonly #sites: TextSites;
  readonly #functions: FunctionTable;
  readonly #bySubprog = new Map<Resident, Map<number, Target>>();

  constructor(text: TextEngine, sites: TextSites, functions: FunctionTable) {
    this.#text = text;
    this.#sites = sites;
    this.#functions = functions;
  }

  /**
   * @param isOurs - whether a program's handle is one of the kernel's, and live
   * @throws {BpfError} `argument` for a program or subprogram that is not there, and a function of another kernel
   */
  of(what: AttachTarget, isOurs: (resident: Resident) => boolean): Target {
    if (what instanceof TracedFunction) {
      const id = this.#functions.idOf(what);
      if (id < 0) throw new BpfError("argument", `function ${what.name} of another kernel (EINVAL)`);
      return this.#functions.target(id);
    }
    const resident = residentOf(what.program);
    if (resident === undefined || what.program.isReleased || !isOurs(resident)) {
      throw new BpfError("argument", `program '${what.program.name}' to attach to (EINVAL)`, {
        expected: "a live program of this kernel",
      });
    }
    const { subprogs } = resident.verified.structure;
    const { subprog = 0 } = what;
    const index = typeof subprog === "number" ? subprog : subprogs.findIndex(({ name }) => name === subprog);
    if (subprogs[index] === undefined) {
      throw new BpfError("argument", `subprogram '${subprog}' of '${resident.name}' (EINVAL)`, {
        expected: subprogs.map(({ name }) => name).join(", "),
      });
    }
    return this.ofSubprog(resident, index);
  }

  /** What somebody who attaches says of a subprogram; undefined where that is for the function to say. @throws {BpfError} `argument` for more than five words */
  shapeOf(what: AttachTarget): ToldShape | undefined {
    if (what instanceof TracedFunction) return undefined;
    return { ...this.#shapeOf(what.model ?? FIVE_WORDS), isTold: what.model !== undefined };
  }

  #shapeOf(given: string | FuncModel): Shape {
    const model = typeof given === "string" ? parseFuncModel(given) : given;
    const places = this.#text.classifyArgs(model);
    if (places.slots.length > 5) {
      throw new BpfError("argument", `${places.slots.length} words of arguments of a subprogram (EINVAL)`, {
        expected: "at most 5",
      });
    }
    return { model, places };
  }

  /** The one target that a subprogram is. */
  ofSubprog(resident: Resident, index: number): Target {
    let targets = this.#bySubprog.get(resident);
    if (targets === undefined) {
      targets = new Map();
      this.#bySubprog.set(resident, targets);
    }
    let target = targets.get(index);
    if (target === undefined) {
      target = this.#subprog(resident, index);
      targets.set(index, target);
      this.#functions.add(target);
    }
    return target;
  }

  /** A program goes: nothing is attached to it any more. */
  forget(resident: Resident): void {
    for (const target of this.#bySubprog.get(resident)?.values() ?? []) this.#functions.remove(target);
    this.#bySubprog.delete(resident);
  }

  /** Takes in a function of the host. */
  add(traced: TracedFunction, shape: Shape): void {
    const { name, code } = traced;
    this.#sites.add(name, code.image, code.address);
    const entry = code.image.patchSites.find(({ kind }) => kind === "entry");
    invariant(entry !== undefined, `an entry site of ${name}`);
    const site = this.#sites.at(code.address + BigInt(entry.offset))!;
    this.#functions.add(new Target(name, shape, code.address, site, traced));
  }

  #subprog(resident: Resident, index: number): Target {
    const { image, imageAddress } = resident.executable;
    invariant(image !== undefined && imageAddress !== undefined, "machine code");
    const entry = image.patchSites.find(({ kind, subprog }) => kind === "entry" && subprog === index);
    invariant(entry !== undefined, `an entry site of subprogram ${index}`);
    const { name } = resident.verified.structure.subprogs[index]!;
    const site = this.#sites.at(imageAddress + BigInt(entry.offset))!;
    const owner = index === 0 ? `'${resident.name}'` : `${name} of '${resident.name}'`;
    const address = imageAddress + BigInt(image.subprogs[index]!.start);
    return new Target(owner, this.#shapeOf(FIVE_WORDS), address, site, { program: resident, subprog: index });
  }
}
