/** Strings that mean something where they stand in a text. Immutable; made once for a format and shared by all parsers. */
export class MarkerSet {
  readonly markers: readonly string[];
  /** 1 where a marker begins with a unit of that low byte. */
  readonly #first = new Uint8Array(256);

  constructor(markers: readonly string[]) {
    this.markers = [...new Set(markers)];
    for (const marker of this.markers) this.#first[marker.charCodeAt(0) & 0xff] = 1;
  }

  /** A marker may begin with the unit. */
  begins(unit: number): boolean {
    return this.#first[unit & 0xff] === 1;
  }

  /** First index between `from` and `to` where a marker stands or the text ends within what may be one; `to` where neither. */
  find(text: string, from: number, to: number): number {
    for (let at = from; at < to; at += 1) {
      if (this.#first[text.charCodeAt(at) & 0xff] === 1 && this.at(text, at, false) !== undefined) return at;
    }
    return to;
  }

  /** The longest marker that stands at `at`. "" where the text ends before that is known; `isOver`: no more text comes. */
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
