/** The socket that the pieces of a body come from. */
export interface PieceSource {
  pause(): void;
  resume(): void;
}

/** Memory that a piece takes besides its bytes, which for small pieces is most of it. */
const PIECE_BYTES = 128;

/** Memory that a piece of so many bytes takes. */
export function heldBy(bytes: number): number {
  return bytes + PIECE_BYTES;
}

interface Reader {
  resolve(piece: Buffer | undefined): void;
  reject(error: unknown): void;
}

/** The pieces of a body that wait for their one reader. A slow reader pauses the socket. */
export class PieceQueue {
  /** The socket to pause, if there is one. */
  source: PieceSource | undefined;
  readonly #maxBytes: number;
  /** The first unread piece, and those behind it. */
  #first: Buffer | undefined;
  #others: Buffer[] | undefined;
  #bytes = 0;
  #reader: Reader | undefined;
  #isPaused = false;
  #isEnded = false;
  #failure: unknown;

  /** `maxBytes`: memory of unread pieces above which the source is paused. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Memory of the unread pieces, bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The source is paused, as too much is unread. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** The body is whole. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** No piece comes any more: the body is whole or failed. */
  get isOver(): boolean {
    return this.#isEnded || this.#failure !== undefined;
  }

  /** Takes the first unread piece. */
  take(): Buffer | undefined {
    const next = this.#first;
    if (!next) return undefined;
    this.#first = this.#others?.shift();
    this.#bytes -= heldBy(next.length);
    if (this.#bytes < this.#maxBytes / 2) this.#resume();
    return next;
  }

  /** Takes the only unread piece; undefined if there are several, none, or one that is larger. */
  takeOnly(maxBytes: number): Buffer | undefined {
    const isOnly = this.#first !== undefined && this.#first.length <= maxBytes && (this.#others?.length ?? 0) === 0;
    return isOnly ? this.take() : undefined;
  }

  /** The next piece, at once where it is there, `undefined` at the end. Rejects with what `fail` was given. */
  read(): Buffer | undefined | Promise<Buffer | undefined> {
    const next = this.take();
    if (next) return next;
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#isEnded) return undefined;
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  /** A piece has come; its memory is the reader's. */
  offer(piece: Buffer): void {
    const reader = this.#takeReader();
    if (reader) {
      reader.resolve(piece);
      return;
    }
    if (this.#first) this.#keep(piece);
    else this.#first = piece;
    this.#bytes += heldBy(piece.length);
    if (this.#bytes <= this.#maxBytes) return;
    this.#isPaused = true;
    this.source?.pause();
  }

  /** All pieces have come. */
  end(): void {
    this.#isEnded = true;
    this.#takeReader()?.resolve(undefined);
  }

  /** The rest of the body does not come. The reader gets the first such error behind the pieces that came. */
  fail(error: unknown): void {
    this.#failure ??= error;
    this.#takeReader()?.reject(this.#failure);
  }

  /** Drops the unread pieces. */
  clear(): void {
    this.#first = undefined;
    this.#others = undefined;
    this.#bytes = 0;
    this.#resume();
  }

  /** The source belongs to another message from now on. */
  letGo(): void {
    this.#resume();
    this.source = undefined;
  }

  #keep(piece: Buffer): void {
    this.#others ??= [];
    this.#others.push(piece);
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.source?.resume();
  }

  #takeReader(): Reader | undefined {
    const reader = this.#reader;
    this.#reader = undefined;
    return reader;
  }
}
