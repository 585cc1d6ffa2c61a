// Sorting a request's functions: linear in their number, with the place each had.

/** Bits that one pass sorts by. */
const DIGIT = 11;
const BUCKETS: number = 1 << DIGIT;

/** Functions in ascending order. */
export interface OrderedFunctions {
  readonly functions: Int32Array;
  /** Where each stood; undefined where all stood in order. */
  readonly places: Int32Array | undefined;
}

/**
 * Puts function ids below 2³¹ into ascending order; equal ones stay in the order in which they came.
 *
 * Cost: one comparison per function where they are in order, and else a pass over them and 2,048 counters per 11 bits of the highest id.
 */
export function orderFunctions(ids: ArrayLike<number>): OrderedFunctions {
  let functions = new Int32Array(ids);
  let highest = functions[0] ?? 0;
  let isOrdered = true;
  for (let i = 1; i < functions.length; i++) {
    const id = functions[i]!;
    if (id <= functions[i - 1]!) isOrdered = false;
    if (id > highest) highest = id;
  }
  if (isOrdered) return { functions, places: undefined };
  let places = new Int32Array(functions.length);
  for (let i = 0; i < places.length; i++) places[i] = i;
  let [nextFunctions, nextPlaces] = [new Int32Array(functions.length), new Int32Array(functions.length)];
  const starts = new Int32Array(BUCKETS);
  for (let shift = 0; shift === 0 || highest >>> shift > 0; shift += DIGIT) {
    starts.fill(0);
    for (let i = 0; i < functions.length; i++) starts[(functions[i]! >>> shift) & (BUCKETS - 1)]!++;
    let at = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const count = starts[bucket]!;
      starts[bucket] = at;
      at += count;
    }
    for (let i = 0; i < functions.length; i++) {
      const id = functions[i]!;
      const to = starts[(id >>> shift) & (BUCKETS - 1)]!++;
      nextFunctions[to] = id;
      nextPlaces[to] = places[i]!;
    }
    [functions, nextFunctions] = [nextFunctions, functions];
    [places, nextPlaces] = [nextPlaces, places];
  }
  return { functions, places };
}
