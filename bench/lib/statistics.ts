/** NaN where there are no values. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = percentile(sorted, 0.5);
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[sorted.length / 2 - 1] ?? upper)) / 2;
}

export interface Mean {
  readonly mean: number;
  /** The true mean is between these in 19 of 20 such measurements; both are the mean where there is one value only. */
  readonly from: number;
  readonly to: number;
}

/** The geometric mean of ratios, with its interval (Student's t, of their logarithms). undefined where there are none. */
export function meanRatio(ratios: readonly number[]): Mean | undefined {
  const count = ratios.length;
  if (count === 0) return undefined;
  const logs = ratios.map((ratio) => Math.log(ratio));
  const mean = logs.reduce((sum, log) => sum + log, 0) / count;
  const squares = logs.reduce((sum, log) => sum + (log - mean) ** 2, 0);
  const half = count === 1 ? 0 : studentT(count - 1) * Math.sqrt(squares / (count - 1) / count);
  return { mean: Math.exp(mean), from: Math.exp(mean - half), to: Math.exp(mean + half) };
}

/** Student's t for 95 %, two-sided, by degrees of freedom from 1 on. */
const STUDENT_T = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179] as const;

/** Above the table it is that of the normal distribution, and a little more (Cornish and Fisher's first term). */
function studentT(freedom: number): number {
  return STUDENT_T[freedom - 1] ?? 1.96 + 2.37 / freedom;
}

/** Change of y for each 1 of x, least squares. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
  const covariance = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return covariance / points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
}
