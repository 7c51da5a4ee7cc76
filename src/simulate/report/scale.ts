/** Turns values of an axis into places on it. */
export interface Scale {
  /** Where the value stands, 0 to 1; values beyond the ends stand at them. */
  at(value: number): number;
  /** Values with a mark, ascending. */
  readonly ticks: readonly number[];
}

/** An axis with equal distances for equal differences, from `least` to `most`. */
export function linearScale(least: number, most: number, wanted = 5): Scale {
  const span = most > least ? most - least : 1;
  const step = niceStep(span / wanted);
  const ticks: number[] = [];
  for (let tick = Math.ceil(least / step) * step; tick <= least + span * 1.0001; tick += step) {
    ticks.push(Number(tick.toPrecision(12)));
  }
  return { at: (value) => clamp((value - least) / span), ticks };
}

/** An axis with equal distances for equal ratios. Both ends are above 0. */
export function logScale(least: number, most: number): Scale {
  const from = Math.log(least);
  const span = most > least ? Math.log(most) - from : 1;
  const decades = span / Math.LN10;
  let steps = [1];
  if (decades <= 1) steps = [1, 1.5, 2, 3, 4, 5, 7];
  else if (decades <= 2.5) steps = [1, 2, 5];
  else if (decades <= 4) steps = [1, 3];
  const ticks: number[] = [];
  for (let power = Math.floor(from / Math.LN10); power <= (from + span) / Math.LN10 + 1e-9; power += 1) {
    for (const step of steps) {
      const tick = Number((step * 10 ** power).toPrecision(12));
      if (tick >= least * 0.999 && tick <= most * 1.001) ticks.push(tick);
    }
  }
  return { at: (value) => clamp((Math.log(Math.max(value, Number.MIN_VALUE)) - from) / span), ticks };
}

/** 1, 2 or 5 times a power of ten: the least that is not below `step`. */
function niceStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  return ([1, 2, 5].find((factor) => factor * power >= step * 0.999) ?? 10) * power;
}

function clamp(share: number): number {
  return Math.min(1, Math.max(0, share));
}
