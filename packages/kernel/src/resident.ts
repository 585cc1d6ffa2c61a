// A program in place from the side of the kernel: who holds it, where it is a member, what extends it.
import { Access, type Allocation, type Executable, type Memory, PROG, type VerifiedProgram } from "@bpfkit/core";
import type { ExtensionLink } from "./links.ts";
import type { ProgArrayMap } from "./maps/prog-array.ts";
import type { PokeTable } from "./text/poke-table.ts";

/** The stand-in for the kernel's `struct bpf_prog`, in bytes. */
const OBJECT_SIZE = PROG.entry + 8;

/** What a {@link Resident} is made of. */
export interface ResidentParts {
  readonly id: number;
  readonly memory: Memory;
  readonly verified: VerifiedProgram;
  readonly executable: Executable;
  /** The program that it extends, and the type that it has because of that. */
  readonly target: Resident | undefined;
  readonly type: string;
  readonly jited: boolean;
  readonly pokes: PokeTable | undefined;
  /** Called when nobody holds it any more. */
  readonly retire: (resident: Resident) => void;
}

/** A slot of a prog array. */
export type Place = readonly [map: ProgArrayMap, slot: number];

/** A loaded program. It stays until its last holder lets go: the user's handle, slots of prog arrays, links, and its extensions. */
export class Resident {
  readonly id: number;
  readonly verified: VerifiedProgram;
  readonly executable: Executable;
  readonly target: Resident | undefined;
  readonly type: string;
  readonly jited: boolean;
  readonly pokes: PokeTable | undefined;
  /** Slots of prog arrays that hold it. */
  readonly memberships: Map<ProgArrayMap, Set<number>> = new Map<ProgArrayMap, Set<number>>();
  /** Slots that it is being put into. */
  readonly entering: Set<Place> = new Set();
  /** What the user holds, or held. */
  handle: object | undefined;
  /** Programs that replace subprograms of it. */
  readonly extensions: Set<ExtensionLink> = new Set();
  readonly memory: Memory;
  readonly #retire: (resident: Resident) => void;
  #object: Allocation | undefined;
  #holders = 1;

  constructor({ id, memory, verified, executable, target, type, jited, pokes, retire }: ResidentParts) {
    this.id = id;
    this.verified = verified;
    this.executable = executable;
    this.target = target;
    this.type = type;
    this.jited = jited;
    this.pokes = pokes;
    this.memory = memory;
    this.#retire = retire;
    target?.hold();
  }

  get name(): string {
    return this.verified.program.name;
  }

  /** How many slots of prog arrays hold it, or are about to. */
  get memberCount(): number {
    let count = this.entering.size;
    for (const slots of this.memberships.values()) count += slots.size;
    return count;
  }

  /** One of those slots. */
  get place(): Place | undefined {
    for (const [map, [slot]] of this.memberships) return [map, slot!];
    const [entering] = this.entering;
    return entering;
  }

  /** Address of its object in guest memory, which is made when first asked for. @throws {BpfError} `limit` */
  get object(): bigint {
    if (this.#object === undefined) {
      this.#object = this.memory.allocate("data", OBJECT_SIZE, `program '${this.name}'`, Access.READ);
      const entry = new Uint8Array(8);
      new DataView(entry.buffer).setBigUint64(0, this.executable.subprogAddress(0), true);
      this.memory.write(this.#object.address + BigInt(PROG.entry), entry);
    }
    return this.#object.address;
  }

  /** Where tail calls whose target is written into code enter it; undefined without machine code. */
  get landing(): bigint | undefined {
    const { image, imageAddress } = this.executable;
    if (image === undefined || imageAddress === undefined) return undefined;
    return imageAddress + BigInt(image.subprogs[0]!.start + image.landing);
  }

  hold(): void {
    this.#holders++;
  }

  drop(): void {
    if (--this.#holders > 0) return;
    this.#retire(this);
    this.target?.drop();
  }

  /** Gives its memory back; nobody may run it any more. */
  free(): void {
    if (this.#object !== undefined) this.memory.free(this.#object);
    this.executable.release();
  }
}

const RESIDENTS = new WeakMap<object, Resident>();

/** Says which program a user's handle stands for. */
export function standFor(handle: object, resident: Resident): void {
  resident.handle = handle;
  RESIDENTS.set(handle, resident);
}

/** The program that a user's handle stands for. */
export function residentOf(handle: object): Resident | undefined {
  return RESIDENTS.get(handle);
}
