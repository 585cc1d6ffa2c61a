// How every benchmark measures: the minimum of many runs, since the machines are noisy and noise only adds.

/** Seconds of the fastest call of `work` among those of the next `time` seconds, the first of which warm the compiler up. */
export function seconds(work, time = 2) {
  const end = process.hrtime.bigint() + BigInt(time * 1e9);
  let best = Number.POSITIVE_INFINITY;
  for (let start = 0n; start < end; ) {
    start = process.hrtime.bigint();
    work();
    best = Math.min(best, Number(process.hrtime.bigint() - start) / 1e9);
  }
  return best;
}

/** A result row for `count` things done in each call of `work`; `unit` names the thing. */
export function rate(name, unit, count, work) {
  return { case: `${name}/${unit}-per-s`, value: Math.round(count / seconds(work)), unit: `${unit}/s` };
}
