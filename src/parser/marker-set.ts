/** Index up to which the marker at index `at` and what follows it are plain text; `at` where the marker counts. */
type PlainTo = (marker: string, text: string, at: number) => number;

/** The markers of a format. Immutable: made once for a format and shared by all its parsers. */
export class MarkerSet {
  readonly markers: readonly string[];
  /** Indexed by the low byte of a unit: 1 where some marker begins with such a unit. */
  readonly #first = new Uint8Array(256);
  readonly #plainTo: PlainTo | undefined;

  constructor(markers: readonly string[], plainTo?: PlainTo) {
    this.markers = [...new Set(markers)];
    this.#plainTo = plainTo;
    for (const marker of this.markers) this.#first[marker.charCodeAt(0) & 0xff] = 1;
  }

  /** Whether a marker may begin with the unit. */
  begins(unit: number): boolean {
    return this.#first[unit & 0xff] === 1;
  }

  /** The first index in [`from`, `to`) where a marker stands that is not plain text, or where the text ends within a possible marker; otherwise `to`. */
  find(text: string, from: number, to: number): number {
    for (let at = from; at < to; at += 1) {
      if (this.#first[text.charCodeAt(at) & 0xff] !== 1) continue;
      const marker = this.at(text, at, false);
      if (marker === undefined) continue;
      const end = this.#plainTo?.(marker, text, at) ?? at;
      if (end === at) return at;
      at = end - 1;
    }
    return to;
  }

  /** The longest marker at index `at`. Returns "" if more text is needed to know it; with `isOver`, no more text will come. */
  at(text: string, at: number, isOver: boolean): string | undefined {
    let isOpen = at >= text.length;
    let found: string | undefined;
    for (const marker of this.markers) {
      const length = sharedLength(marker, text, at);
      if (length === marker.length) found = found === undefined || length > found.length ? marker : found;
      else if (at + length === text.length) isOpen = true;
    }
    if (isOpen && (found === undefined || !isOver)) return "";
    return found;
  }
}

function sharedLength(marker: string, text: string, at: number): number {
  const most = Math.min(marker.length, text.length - at);
  let length = 0;
  while (length < most && marker.charCodeAt(length) === text.charCodeAt(at + length)) length += 1;
  return length;
}
