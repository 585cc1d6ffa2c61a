// What an engine has put into each memory, found again by an address in it.
import type { Allocation, Memory } from "./memory.ts";

/** Things by the allocation they live in. Looking one up costs O(log allocations). */
export class Placed<T> {
  /** By their first addresses. */
  readonly #byMemory: WeakMap<Memory, Map<number, T>> = new WeakMap();

  add(memory: Memory, allocation: Allocation, item: T): void {
    let items = this.#byMemory.get(memory);
    if (items === undefined) {
      items = new Map();
      this.#byMemory.set(memory, items);
    }
    items.set(Number(allocation.address), item);
  }

  remove(memory: Memory, allocation: Allocation): void {
    this.#byMemory.get(memory)?.delete(Number(allocation.address));
  }

  /** What lies at an address; undefined where nothing does, or no longer. */
  at(memory: Memory, address: bigint): T | undefined {
    const found = memory.allocationAt(address);
    return found?.live === true ? this.#byMemory.get(memory)?.get(Number(found.allocation.address)) : undefined;
  }
}
