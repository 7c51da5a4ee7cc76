/** Where a text stands in an arena. */
export interface TextPlace {
  /** Offset, bytes. */
  readonly at: number;
  /** Length, bytes. */
  readonly length: number;
}

const SMALLEST_SLOT = 32;

/**
 * Texts in memory that several threads read and one writes. Each text has a slot of the next power of two; a slot that was given back is used
 * again for a text of its size.
 */
export class TextArena {
  readonly #bytes: Uint8Array;
  readonly #free = new Map<number, number[]>();
  #end = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** undefined where there is no room left. */
  put(text: string): TextPlace | undefined {
    const encoded = Buffer.from(text);
    const size = slotSize(encoded.length);
    const at = this.#free.get(size)?.pop() ?? this.#extend(size);
    if (at === undefined) return undefined;
    this.#bytes.set(encoded, at);
    return { at, length: encoded.length };
  }

  /** Whether all these texts can be put, beside those that are there. */
  fits(texts: readonly string[]): boolean {
    const wanted = Map.groupBy(texts.map(slotOf), (size) => size);
    let more = 0;
    for (const [size, { length }] of wanted) more += size * Math.max(0, length - (this.#free.get(size)?.length ?? 0));
    return this.#end + more <= this.#bytes.length;
  }

  /** Nobody reads the text any more. */
  giveBack({ at, length }: TextPlace): void {
    const size = slotSize(length);
    const free = this.#free.get(size);
    if (free) free.push(at);
    else this.#free.set(size, [at]);
  }

  #extend(size: number): number | undefined {
    if (this.#end + size > this.#bytes.length) return undefined;
    const at = this.#end;
    this.#end += size;
    return at;
  }
}

/** Bytes that the slot of a text takes. */
export function slotOf(text: string): number {
  return slotSize(Buffer.byteLength(text));
}

function slotSize(length: number): number {
  let size = SMALLEST_SLOT;
  while (size < length) size *= 2;
  return size;
}
