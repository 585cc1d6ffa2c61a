// Prog arrays as users see them: programs by slot.
import { BpfError, type MapSpec } from "@bpfkit/core";
import type { ProgArrayMap } from "./maps/prog-array.ts";
import type { ProgArrayOwner } from "./maps/prog-array-owner.ts";
import type { Operation } from "./operation.ts";
import type { LoadedProgram } from "./program.ts";
import { type Resident, residentOf } from "./resident.ts";

/**
 * A prog array by slots: what tail calls through it enter. A slot holds its program: releasing the program's handle leaves it there until
 * the slot changes. The first program that uses the array, or is put into it, decides which others fit.
 *
 * @example
 * ```ts
 * const table = kernel.progArray("jmp_table");
 * table.set(0, kernel.load(parseIpv4));
 * table.set(1, kernel.load(parseIpv6));
 * table.delete(1);
 * ```
 */
export class ProgArray {
  readonly #map: ProgArrayMap;

  /** For `Kernel`. */
  constructor(map: ProgArrayMap) {
    this.#map = map;
  }

  get name(): string {
    return this.#map.name;
  }

  get spec(): MapSpec {
    return this.#map.spec;
  }

  /** Slots with a program in them. */
  get size(): number {
    return this.#map.size;
  }

  /** What all programs that use it, or are in it, have in common; undefined before the first. */
  get owner(): ProgArrayOwner | undefined {
    return this.#map.owner;
  }

  /** The program in a slot; undefined where it is empty. @throws {BpfError} `limit` for a slot that is not there */
  get(index: number): LoadedProgram | undefined {
    this.#map.checkIndex(index);
    return handleOf(this.#map.member(index));
  }

  /**
   * Puts a program into a slot, in place of the one that is there. Programs that jump straight to what the slot holds are rewritten.
   *
   * @throws {BpfError} `argument` (EINVAL) for a program that does not fit the others, or an extension; (EBUSY) for one that is extended,
   * and where a run in progress forbids it; `limit` (E2BIG) for a slot that is not there
   */
  set(index: number, program: LoadedProgram): void {
    this.#map.drained(index, this.#resident(program));
  }

  /**
   * Empties a slot and tells whether there was a program.
   *
   * @throws {BpfError} `limit` (E2BIG) for a slot that is not there; `argument` (EBUSY) while runs are in progress that direct tail calls
   * through the slot would have to wait for
   */
  delete(index: number): boolean {
    return this.#map.drained(index, undefined);
  }

  /** {@link set}, or, without a program, {@link delete}, step by step: for whoever runs something in between. */
  *changing(index: number, program?: LoadedProgram): Operation<boolean> {
    return yield* this.#map.replace(index, program && this.#resident(program));
  }

  /** Slots with programs, lowest first. */
  *entries(): IterableIterator<readonly [number, LoadedProgram]> {
    for (const [index, member] of this.#map.members) yield [index, handleOf(member)!];
  }

  [Symbol.iterator](): IterableIterator<readonly [number, LoadedProgram]> {
    return this.entries();
  }

  #resident(program: LoadedProgram): Resident {
    const resident = residentOf(program);
    if (program.isReleased || resident?.memory !== this.#map.memory) {
      throw new BpfError("argument", `program '${program.name}' for prog array '${this.name}'`, {
        expected: program.isReleased ? "one that was not released" : "a program of the same kernel",
      });
    }
    return resident;
  }
}

function handleOf(member: Resident | undefined): LoadedProgram | undefined {
  return member?.handle as LoadedProgram | undefined;
}
