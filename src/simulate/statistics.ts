/** A mean with half of its 95 % confidence interval; `half` is NaN where one value says nothing about the spread. */
export interface Estimate {
  readonly mean: number;
  readonly half: number;
}

/** 97.5 % points of Student's t, by degrees of freedom from 1; after the last one that of the normal distribution is near enough. */
const T_POINTS = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086,
];
const NORMAL_POINT = 1.96;

/** Mean over seeds, with its confidence: `t s / sqrt(n)`. */
export function estimate(values: readonly number[]): Estimate {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  if (count < 2) return { mean, half: Number.NaN };
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
  return { mean, half: (T_POINTS[count - 2] ?? NORMAL_POINT) * Math.sqrt(variance / count) };
}

/** Geometric mean; NaN where there is none. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** The values at so many equal steps of the distribution, the least first and the largest last. */
export function quantiles(values: readonly number[], steps: number): number[] {
  const sorted = Float64Array.from(values).sort();
  if (sorted.length === 0) return [];
  return Array.from({ length: steps + 1 }, (_, step) => sorted[Math.round((step / steps) * (sorted.length - 1))] ?? 0);
}
