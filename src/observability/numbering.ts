/**
 * Numbers values in the order in which they first come: 0, 1, 2. The numbers say which values were equal, and nothing else about them.
 * At most `most` values are known; the one not seen for longest is forgotten first, and gets a new number when it comes again.
 */
export class Numbering {
  readonly #numbers = new Map<number, number>();
  readonly #most: number;
  #next = 0;

  constructor(most: number) {
    this.#most = most;
  }

  of(value: number): number {
    let number = this.#numbers.get(value);
    if (number === undefined) {
      number = this.#next;
      this.#next += 1;
    } else this.#numbers.delete(value);
    // A map keeps the order of insertion, so its first key is the one that was not seen for longest.
    this.#numbers.set(value, number);
    if (this.#numbers.size > this.#most) {
      for (const oldest of this.#numbers.keys()) {
        this.#numbers.delete(oldest);
        break;
      }
    }
    return number;
  }
}
