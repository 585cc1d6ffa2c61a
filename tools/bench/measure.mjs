// How every benchmark measures: the minimum of several runs, since the machines are noisy and noise only adds.

/** Seconds of the fastest of `runs` calls of `work`, after one that is not counted. */
export function seconds(work, runs = 7) {
  work();
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < runs; i++) {
    const start = process.hrtime.bigint();
    work();
    best = Math.min(best, Number(process.hrtime.bigint() - start) / 1e9);
  }
  return best;
}

/** A result row for `count` things done in each call of `work`; `unit` names the thing. */
export function rate(name, unit, count, work, runs) {
  return { case: `${name}/${unit}-per-s`, value: Math.round(count / seconds(work, runs)), unit: `${unit}/s` };
}
