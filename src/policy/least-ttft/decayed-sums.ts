/**
 * Sums for a straight line through samples (x, y), of which older ones count less: the weight, x, y, x², xy and the time of the last
 * sample, as six numbers in memory that threads share. Two threads that add at the same moment may lose one of both samples, which is
 * harmless: the next ones say the same.
 */
export const SUMS = 6;
const WEIGHT = 0;
const X = 1;
const Y = 2;
const XX = 3;
const XY = 4;
const AT = 5;

/** Share of the variation of x below which samples count as all equal. */
const EQUAL = 1e-6;

/** The weight of all samples. */
export function weightOf(cells: Float64Array, at: number): number {
  return cells[at + WEIGHT] ?? 0;
}

/** The mean of x; NaN without samples. */
export function meanX(cells: Float64Array, at: number): number {
  return (cells[at + X] ?? 0) / (cells[at + WEIGHT] ?? 0);
}

/** The mean of y; NaN without samples. */
export function meanY(cells: Float64Array, at: number): number {
  return (cells[at + Y] ?? 0) / (cells[at + WEIGHT] ?? 0);
}

/** The slope of the line of least squares; `ridge` is added to the variance of x, and makes slopes of samples with about one x small. */
export function slopeOf(cells: Float64Array, at: number, ridge: number): number {
  const weight = cells[at + WEIGHT] ?? 0;
  const [x, y] = [meanX(cells, at), meanY(cells, at)];
  return ((cells[at + XY] ?? 0) / weight - x * y) / ((cells[at + XX] ?? 0) / weight - x * x + ridge);
}

/** Adds a sample of `weight`; `keep` is the share that the sums before it keep. */
export function addSample(
  cells: Float64Array,
  at: number,
  sample: { readonly x: number; readonly y: number; readonly weight: number; readonly now: number },
  keep: number,
): void {
  const { x, y, weight, now } = sample;
  cells[at + WEIGHT] = (cells[at + WEIGHT] ?? 0) * keep + weight;
  cells[at + X] = (cells[at + X] ?? 0) * keep + weight * x;
  cells[at + Y] = (cells[at + Y] ?? 0) * keep + weight * y;
  cells[at + XX] = (cells[at + XX] ?? 0) * keep + weight * x * x;
  cells[at + XY] = (cells[at + XY] ?? 0) * keep + weight * x * y;
  cells[at + AT] = now;
}

/** Share that is left of the sums when their weight halves every `halfLifeS`. */
export function agedBy(cells: Float64Array, at: number, now: number, halfLifeS: number): number {
  return 2 ** (-Math.max(0, now - (cells[at + AT] ?? 0)) / halfLifeS);
}

/** A sum of several sums, from which a line is fitted. It is used again for each fit, so that none makes an object. */
export class LineFit {
  #weight = 0;
  #x = 0;
  #y = 0;
  #xx = 0;
  #xy = 0;
  /** y at x = 0. */
  intercept = 0;
  /** y for each x. */
  slope = 0;

  clear(): this {
    this.#weight = this.#x = this.#y = this.#xx = this.#xy = 0;
    return this;
  }

  /** Adds sums, times `share`. */
  add(cells: Float64Array, at: number, share: number): this {
    this.#weight += share * (cells[at + WEIGHT] ?? 0);
    this.#x += share * (cells[at + X] ?? 0);
    this.#y += share * (cells[at + Y] ?? 0);
    this.#xx += share * (cells[at + XX] ?? 0);
    this.#xy += share * (cells[at + XY] ?? 0);
    return this;
  }

  /** Adds the samples of another one as `weight` of them, with each y times `times`. */
  addLine(other: LineFit, weight: number, times: number): this {
    const share = weight / other.#weight;
    this.#weight += weight;
    this.#x += share * other.#x;
    this.#y += share * times * other.#y;
    this.#xx += share * other.#xx;
    this.#xy += share * times * other.#xy;
    return this;
  }

  /**
   * How many times as large as the fitted line says the y of other samples are: of their sums, times `share`, beside `granted` samples of
   * this line's own as which they are taken for granted.
   */
  timesOf(cells: Float64Array, at: number, share: number, granted: number): number {
    const alike = (granted * this.#y) / this.#weight;
    const [weight, x, y] = [cells[at + WEIGHT] ?? 0, cells[at + X] ?? 0, cells[at + Y] ?? 0];
    return (alike + share * y) / (alike + share * (this.intercept * weight + this.slope * x));
  }

  /**
   * The line of least squares whose intercept is within bounds and whose slope is above 0. Where all x are about equal, the intercept is
   * `usual`.
   */
  fit(usual: number, least: number, most: number): void {
    const spread = this.#weight * this.#xx - this.#x * this.#x;
    const isSpread = spread > EQUAL * this.#weight * this.#xx;
    const slope = isSpread ? (this.#weight * this.#xy - this.#x * this.#y) / spread : 0;
    const free = isSpread ? (this.#y - slope * this.#x) / this.#weight : usual;
    this.intercept = Math.min(Math.max(free, least), most);
    this.slope = free === this.intercept && isSpread ? slope : (this.#xy - this.intercept * this.#x) / this.#xx;
    if (this.slope > 0) return;
    this.intercept = Math.max(0, least);
    this.slope = this.#y / this.#x;
  }
}
