/** Where the pieces of a body come from: a socket that can stand still. */
export interface PieceSource {
  pause(): void;
  resume(): void;
}

/** What a piece takes besides its bytes: many small ones take more memory for that than for themselves. */
const PIECE_BYTES = 128;

/** Memory that a piece of so many bytes takes. */
export function heldBy(bytes: number): number {
  return bytes + PIECE_BYTES;
}

interface Reader {
  resolve(piece: Buffer | undefined): void;
  reject(error: unknown): void;
}

/** The pieces of a body between the socket and its one reader. A reader that is slow stops the socket. */
export class PieceQueue {
  /** Undefined while there is nobody to stop. */
  source: PieceSource | undefined;
  readonly #maxBytes: number;
  /** The first of what has come, and what came behind it. */
  #first: Buffer | undefined;
  #others: Buffer[] | undefined;
  #bytes = 0;
  #reader: Reader | undefined;
  #isPaused = false;
  #isEnded = false;
  #failure: unknown;

  /** `maxBytes`: of memory, taken ahead of the reader; beyond it the source stands still. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Memory of what has come and was not read. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The source stands still, as nobody reads. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** The body is whole. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Nothing comes any more. */
  get isOver(): boolean {
    return this.#isEnded || this.#failure !== undefined;
  }

  /** The next piece of those that have come. */
  take(): Buffer | undefined {
    const next = this.#first;
    if (!next) return undefined;
    this.#first = this.#others?.shift();
    this.#bytes -= heldBy(next.length);
    if (this.#bytes < this.#maxBytes / 2) this.#resume();
    return next;
  }

  /** The piece where there is one and no other, of so many bytes at most. */
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

  /** The rest does not come: read after what has. The first error counts. */
  fail(error: unknown): void {
    this.#failure ??= error;
    this.#takeReader()?.reject(this.#failure);
  }

  /** What has come and was not read is not wanted. */
  clear(): void {
    this.#first = undefined;
    this.#others = undefined;
    this.#bytes = 0;
    this.#resume();
  }

  /** The source is used for other things from now. */
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
