/** Series of metrics by the values of two labels, made where they are not there yet. The caller bounds the values of both. */
export class SeriesMap<S> {
  readonly #create: (first: string, second: string) => S;
  readonly #byFirst = new Map<string, Map<string, S>>();

  constructor(create: (first: string, second: string) => S) {
    this.#create = create;
  }

  get(first: string, second: string): S {
    let bySecond = this.#byFirst.get(first);
    if (!bySecond) {
      bySecond = new Map();
      this.#byFirst.set(first, bySecond);
    }
    let series = bySecond.get(second);
    if (series === undefined) {
      series = this.#create(first, second);
      bySecond.set(second, series);
    }
    return series;
  }

  clear(): void {
    this.#byFirst.clear();
  }
}
