/** Cells of a block: how often it is pinned (or a mark below), and its neighbours in the queue of eviction. */
const CELLS = 3;
const PINS = 0;
const PREVIOUS = 1;
const NEXT = 2;
/** Pins of a block that is not in the cache, and of one that waits in the queue of eviction. */
const ABSENT = 0;
const QUEUED = -1;
/** The block before the first and after the last one of the queue. Ids of blocks begin after it. */
const QUEUE = 0;

/**
 * The blocks of one engine's KV cache. A block has the id of the text that it holds, which includes all text before it. A block is
 * pinned while a running sequence uses it; otherwise it waits in a queue, from whose beginning blocks are evicted. Blocks without an id
 * (text that is not complete yet) are only counted.
 *
 * ```
 *   absent -- name --> pinned -- last unpin --> queued -- evicted --> absent
 *                        ^                         |
 *                        +---------- pin ----------+
 * ```
 *
 * Everything between `begin` and `rollBack` is taken back, so that an engine can be run ahead to see what it would do.
 */
export class BlockPool {
  /** Blocks that fit. */
  readonly capacity: number;
  #cells = new Int32Array(CELLS * 1024);
  /** Blocks with an id that are pinned. */
  #pinned = 0;
  /** Blocks without an id that are in use. */
  #reserved = 0;
  #queued = 0;
  /** Places in `#cells` and what they had before, while changes are to be taken back. */
  #journal: number[] | undefined;
  #before: readonly [pinned: number, reserved: number, queued: number] = [0, 0, 0];

  /** Room for so many blocks, at least 1. */
  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** Blocks that a running sequence can get, by eviction where needed. */
  get free(): number {
    return this.capacity - this.#pinned - this.#reserved;
  }

  /** Blocks that running sequences use. */
  get used(): number {
    return this.#pinned + this.#reserved;
  }

  /** Blocks with a text that can be found. */
  get cached(): number {
    return this.#pinned + this.#queued;
  }

  isCached(id: number): boolean {
    return this.#get(id, PINS) !== ABSENT;
  }

  /** How many of the first `count` blocks are cached without a gap. */
  hits(blocks: Int32Array, count: number): number {
    let found = 0;
    while (found < count && this.isCached(blocks[found] ?? 0)) found += 1;
    return found;
  }

  /** How many of the first `count` blocks, all cached, are not pinned: pinning them takes this many from `free`. */
  unpinned(blocks: Int32Array, count: number): number {
    let queued = 0;
    for (let index = 0; index < count; index += 1) if (this.#get(blocks[index] ?? 0, PINS) === QUEUED) queued += 1;
    return queued;
  }

  /** Pins a cached block. */
  pin(id: number): void {
    const pins = this.#get(id, PINS);
    if (pins !== QUEUED) {
      this.#set(id, PINS, pins + 1);
      return;
    }
    this.#unlink(id);
    this.#pinned += 1;
    this.#set(id, PINS, 1);
  }

  /** Unpins a block. When nobody pins it any more, it is the last one to be evicted. */
  unpin(id: number): void {
    const pins = this.#get(id, PINS) - 1;
    this.#set(id, PINS, pins);
    if (pins > 0) return;
    this.#pinned -= 1;
    this.#append(id);
  }

  /** Takes blocks that have no id; `free` says how many there are. */
  reserve(count: number): void {
    this.#makeRoom(count);
    this.#reserved += count;
  }

  /** Gives blocks without an id back. */
  unreserve(count: number): void {
    this.#reserved -= count;
  }

  /** A reserved block is complete and gets its id; it stays pinned. If the text is cached already, that block is pinned in its place. */
  name(id: number): void {
    this.#reserved -= 1;
    if (this.isCached(id)) {
      this.pin(id);
      return;
    }
    this.#pinned += 1;
    this.#set(id, PINS, 1);
  }

  /** Caches a block that nobody pins, or moves it to the end of the queue. */
  touch(id: number): void {
    const pins = this.#get(id, PINS);
    if (pins > 0) return;
    if (pins === QUEUED) this.#unlink(id);
    else this.#makeRoom(1);
    this.#append(id);
  }

  /** Empties the cache. Nothing may be in use. */
  clear(): void {
    this.#cells.fill(0);
    this.#queued = 0;
  }

  /** Begins changes that will be taken back. */
  begin(): void {
    this.#journal = [];
    this.#before = [this.#pinned, this.#reserved, this.#queued];
  }

  /** Takes all changes since `begin` back. */
  rollBack(): void {
    const journal = this.#journal ?? [];
    for (let at = journal.length - 2; at >= 0; at -= 2) this.#cells[journal[at] ?? 0] = journal[at + 1] ?? 0;
    this.#journal = undefined;
    [this.#pinned, this.#reserved, this.#queued] = this.#before;
  }

  /** Evicts until so many blocks are empty. */
  #makeRoom(count: number): void {
    while (this.capacity - this.#pinned - this.#reserved - this.#queued < count && this.#queued > 0) {
      const oldest = this.#get(QUEUE, NEXT);
      this.#unlink(oldest);
      this.#set(oldest, PINS, ABSENT);
    }
  }

  #append(id: number): void {
    const last = this.#get(QUEUE, PREVIOUS);
    this.#set(id, PINS, QUEUED);
    this.#set(id, PREVIOUS, last);
    this.#set(id, NEXT, QUEUE);
    this.#set(last, NEXT, id);
    this.#set(QUEUE, PREVIOUS, id);
    this.#queued += 1;
  }

  #unlink(id: number): void {
    const previous = this.#get(id, PREVIOUS);
    const next = this.#get(id, NEXT);
    this.#set(previous, NEXT, next);
    this.#set(next, PREVIOUS, previous);
    this.#queued -= 1;
  }

  #get(id: number, cell: number): number {
    return this.#cells[id * CELLS + cell] ?? 0;
  }

  #set(id: number, cell: number, value: number): void {
    const at = id * CELLS + cell;
    if (at >= this.#cells.length) this.#grow(at);
    this.#journal?.push(at, this.#cells[at] ?? 0);
    this.#cells[at] = value;
  }

  #grow(at: number): void {
    const cells = new Int32Array(Math.max(this.#cells.length * 2, (at + 1) * 2));
    cells.set(this.#cells);
    this.#cells = cells;
  }
}
