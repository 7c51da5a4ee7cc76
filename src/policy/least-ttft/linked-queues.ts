/** What stands in a queue: it links its neighbours, so that it leaves from any place at once, and queueing makes no object. */
export interface Linked<Self> {
  before: Self | undefined;
  after: Self | undefined;
}

/** A queue for each worker, oldest first. An item is in at most one of them. */
export class LinkedQueues<Item extends Linked<Item>> {
  readonly #heads: (Item | undefined)[] = [];
  readonly #tails: (Item | undefined)[] = [];

  /** The oldest item of a worker. */
  head(slot: number): Item | undefined {
    return slot < this.#heads.length ? this.#heads[slot] : undefined;
  }

  push(slot: number, item: Item): void {
    // One after the other: an array with gaps is a hash table.
    while (this.#heads.length <= slot) this.#tails[this.#heads.push(undefined) - 1] = undefined;
    const tail = this.#tails[slot];
    item.before = tail;
    item.after = undefined;
    if (tail) tail.after = item;
    else this.#heads[slot] = item;
    this.#tails[slot] = item;
  }

  /** Takes an item of this queue out; nothing where it is not in it any more. */
  remove(slot: number, item: Item): void {
    const { before, after } = item;
    if (!before && this.#heads[slot] !== item) return;
    if (before) before.after = after;
    else this.#heads[slot] = after;
    if (after) after.before = before;
    else this.#tails[slot] = before;
    item.before = undefined;
    item.after = undefined;
  }

  /** Takes all items of a worker out. */
  clear(slot: number): void {
    for (let item = this.#heads[slot]; item; item = this.#heads[slot]) this.remove(slot, item);
  }
}
