// A queue of slots: the least one comes first.

/** Blocks to visit, least slot first: inner loops settle before what follows them. A binary heap. */
export class SlotQueue {
  readonly #heap: number[] = [];

  push(slot: number): void {
    const heap = this.#heap;
    let at = heap.push(slot) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]! <= slot) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = slot;
  }

  /** -1 when empty. */
  pop(): number {
    const heap = this.#heap;
    const top = heap[0];
    if (top === undefined) return -1;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
      if (heap[child]! >= last) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}
