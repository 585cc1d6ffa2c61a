// Prog arrays: slots with programs that tail calls enter, as machine code reads them and as hosts change them (kernel/bpf/arraymap.c states the rules).
import { Access, type Allocation, BpfError, type MapSpec, type Memory, PROG_ARRAY } from "@bpfkit/core";
import type { ErrnoName } from "../errno.ts";
import { u32 } from "../guest.ts";
import { checkExtended } from "../links.ts";
import { drain, Mutex, type Operation, one, surely } from "../operation.ts";
import type { Place, Resident } from "../resident.ts";
import { checkMove, type LivePoke, moveOrUndo, type PokeTable, readersOf } from "../text/poke-table.ts";
import { LiveMap, type MapEntry, type MapSite, type Visit } from "./map.ts";
import { checkFits, ownerBy, type ProgArrayOwner } from "./prog-array-owner.ts";

const SLOT = 8;

/** `prog_array`. In guest memory it is what machine code reads: the number of slots and the address of each program. */
export class ProgArrayMap extends LiveMap {
  /** Held while a slot, and the direct tail calls that follow it, change. */
  readonly mutex: Mutex;
  owner: ProgArrayOwner | undefined;
  /** How many programs came to use it, or to be in it. */
  #joined = 0;
  readonly #members = new Map<number, Resident>();
  readonly #tables = new Set<PokeTable>();

  constructor(site: MapSite, spec: MapSpec, type: string) {
    // Up to a power of two, so that a masked index stays inside even where the CPU guesses that it is in range.
    const room = 2 ** (32 - Math.clz32(spec.maxEntries - 1));
    super(site, spec, type, false, { size: PROG_ARRAY.programs + SLOT * room, access: Access.READ });
    this.mutex = new Mutex(`mutex of prog array '${spec.name}'`);
    site.memory.write(this.address + BigInt(PROG_ARRAY.maxEntries), le(spec.maxEntries, 4));
  }

  get size(): number {
    return this.#members.size;
  }

  /** Programs by slot, lowest first. */
  get members(): readonly (readonly [number, Resident])[] {
    return [...this.#members].sort(([a], [b]) => a - b);
  }

  member(index: number): Resident | undefined {
    return this.#members.get(index);
  }

  /** Tables of the programs whose direct tail calls go through it. */
  get tables(): ReadonlySet<PokeTable> {
    return this.#tables;
  }

  /**
   * Lets a program use the array or be put into it: the first one becomes the owner. Gives what takes that back, for when it comes to nothing.
   *
   * @throws {BpfError} `argument` (EINVAL) where it does not fit
   */
  join(program: Resident): () => void {
    if (this.owner === undefined) this.owner = ownerBy(program);
    else checkFits(this.name, this.owner, program);
    this.#joined++;
    return () => {
      if (--this.#joined === 0) this.owner = undefined;
    };
  }

  /** From now on, changes change the direct tail calls in a table, as far as they are stable. */
  track(table: PokeTable): void {
    this.#tables.add(table);
  }

  untrack(table: PokeTable): void {
    this.#tables.delete(table);
  }

  /**
   * Puts a program into a slot, or none; gives whether there was one. Direct tail calls follow: all that can refuse is asked first, and
   * a step that fails is taken back with all before it.
   *
   * @throws {BpfError} `argument` for a program that does not fit; `limit` for a slot that is not there
   */
  *replace(index: number, next: Resident | undefined): Operation<boolean> {
    this.checkIndex(index);
    if (next !== undefined && next.verified.program.type === "ext") {
      throw new BpfError("argument", `extension '${next.name}' for ${this.name}[${index}] (EINVAL)`, {
        hint: "a program that replaces a subprogram of another one cannot be tail-called",
      });
    }
    const leave = next && this.join(next);
    const place: Place = [this, index];
    try {
      if (next !== undefined) checkExtended(next, this, index);
      // From here on it cannot be extended, nor go.
      next?.entering.add(place);
      next?.hold();
      try {
        return yield* this.#locked(() => this.#change(index, next));
      } finally {
        next?.entering.delete(place);
        next?.drop();
      }
    } catch (error) {
      leave?.();
      throw error;
    }
  }

  /** Ends a load: brings the direct tail calls of a tracked table to what the slots hold by now, and makes them follow. */
  *settle(table: PokeTable): Operation<void> {
    yield* this.#locked(() => this.#settle(table));
  }

  /** Whether putting `next` into a slot may have to wait for runs in progress or for CPUs. */
  mayWait(index: number, next: Resident | undefined): boolean {
    const previous = this.#members.get(index);
    return previous !== next && next === undefined && this.#following(index).length > 0;
  }

  checkIndex(index: number): void {
    if (Number.isInteger(index) && index >= 0 && index < this.spec.maxEntries) return;
    throw new BpfError("limit", `slot ${index} of prog array '${this.name}' (E2BIG)`, {
      expected: `0 to ${this.spec.maxEntries - 1}`,
    });
  }

  override lookup(key: Uint8Array): Uint8Array | undefined {
    this.checkAccess(key, "read");
    const member = this.#members.get(u32(key, 0));
    return member && le(member.id, 4);
  }

  override update(key: Uint8Array): never {
    this.checkAccess(key, "write");
    throw new BpfError("argument", `update of prog array '${this.name}' with bytes`, {
      hint: "they would have to be a file descriptor: Kernel.progArray gives the map with a `set` that takes programs",
    });
  }

  override delete(key: Uint8Array): boolean {
    this.checkAccess(key, "write");
    const index = u32(key, 0);
    this.checkIndex(index);
    return this.drained(index, undefined);
  }

  override *entries(): IterableIterator<MapEntry> {
    for (const [index, { id }] of this.members) {
      const value = le(id, 4);
      yield { key: le(index, 4), value, values: [value] };
    }
  }

  find(): bigint {
    return 0n;
  }

  peek(): bigint {
    return 0n;
  }

  put(): ErrnoName {
    return "EINVAL";
  }

  remove(): ErrnoName {
    return "EINVAL";
  }

  get memory(): Memory {
    return this.site.memory;
  }

  /** {@link replace}, all at once. @throws {BpfError} `argument` (EBUSY) also where it would have to wait for runs in progress */
  drained(index: number, next: Resident | undefined): boolean {
    this.checkAccess(le(index, 4), "write");
    const { rcu } = this.site;
    if (this.mayWait(index, next) && rcu.holders(readersOf(this.#following(index))).length > 0) {
      throw new BpfError("argument", `removal from slot ${index} of prog array '${this.name}' (EBUSY)`, {
        expected: "no run in progress: it has to wait for those that may have passed the bypass",
      });
    }
    return drain(this.replace(index, next), (step) => rcu.blocks(step));
  }

  *visit(): Iterable<Visit> {}

  protected *keys(): Iterable<Uint8Array> {
    for (const [index] of this.members) yield le(index, 4);
  }

  protected allocations(): Iterable<Allocation> {
    return [];
  }

  *#locked<T>(body: () => Operation<T>): Operation<T> {
    yield { kind: "lock", mutex: this.mutex };
    this.mutex.take();
    try {
      return yield* body();
    } finally {
      yield* surely(one({ kind: "unlock", mutex: this.mutex }));
      this.mutex.give();
    }
  }

  *#change(index: number, next: Resident | undefined): Operation<boolean> {
    const previous = this.#members.get(index);
    if (previous === next) return previous !== undefined;
    const pokes = this.#following(index);
    checkMove(pokes, next?.landing);
    // Code that is rewritten stays until that is done, even if its program goes meanwhile.
    const tables = new Set(pokes.map(({ table }) => table));
    for (const table of tables) table.hold();
    try {
      return yield* this.#move(index, pokes, previous, next);
    } finally {
      for (const table of tables) table.drop();
    }
  }

  *#move(
    index: number,
    pokes: readonly LivePoke[],
    previous: Resident | undefined,
    next: Resident | undefined,
  ): Operation<boolean> {
    yield* this.#store(index, next?.object ?? 0n);
    try {
      yield* moveOrUndo(pokes, previous?.landing, next?.landing);
    } catch (error) {
      yield* surely(this.#store(index, previous?.object ?? 0n));
      throw error;
    }
    next?.hold();
    if (next === undefined) this.#members.delete(index);
    else this.#members.set(index, next);
    this.#count(index, previous, next);
    this.mix(next === undefined ? 2 : 1, le(index, 4), 0);
    previous?.drop();
    return previous !== undefined;
  }

  *#store(index: number, object: bigint): Operation<void> {
    const address = this.address + BigInt(PROG_ARRAY.programs + SLOT * index);
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, object, true);
    yield { kind: "write", what: `slot ${index} of '${this.name}'`, address, bytes };
    this.site.memory.write(address, bytes);
  }

  *#settle(table: PokeTable): Operation<void> {
    for (const poke of table.pokes) {
      if (poke.map !== this) continue;
      yield* moveOrUndo([poke], undefined, this.#members.get(poke.key)?.landing);
      poke.stable = true;
    }
  }

  /** Stable direct tail calls through a slot, of all programs. O(tail calls tracked) */
  #following(index: number): LivePoke[] {
    const following: LivePoke[] = [];
    for (const { pokes } of this.#tables) {
      for (const poke of pokes) if (poke.map === this && poke.key === index && poke.stable) following.push(poke);
    }
    return following;
  }

  #count(index: number, previous: Resident | undefined, next: Resident | undefined): void {
    const slots = previous?.memberships.get(this);
    slots?.delete(index);
    if (slots?.size === 0) previous!.memberships.delete(this);
    if (next === undefined) return;
    const own = next.memberships.get(this) ?? new Set<number>();
    next.memberships.set(this, own.add(index));
  }
}

/** Little-endian. */
function le(value: number, size: 4 | 8): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (i < 4 ? value >>> (8 * i) : 0));
}
