import type { ReplySink } from "../downstream.ts";
import { endOf, pieceOf } from "./answer-bytes.ts";

/** What an answer that is written piece by piece needs of its connection. */
export interface SinkConnection {
  /** The first `length` of the bytes. Undefined where the client can take more; else resolves when it can. */
  send(bytes: Uint8Array, length: number): Promise<void> | undefined;
  close(): void;
}

/** Writes one streamed answer to its connection. Bytes that are written after its end are dropped. */
export class AnswerSink implements ReplySink {
  readonly #isChunked: boolean;
  #connection: SinkConnection | undefined;
  /** The head, until it is written together with the first piece. */
  #head: string;

  constructor(connection: SinkConnection, head: string, isChunked: boolean) {
    this.#connection = connection;
    this.#head = head;
    this.#isChunked = isChunked;
  }

  /** The head has left. */
  get isBegun(): boolean {
    return this.#head === "";
  }

  write(bytes: Uint8Array, from = 0, to = bytes.length): Promise<void> | undefined {
    // A chunk of no bytes would be the end.
    if (from === to) return undefined;
    const piece = pieceOf(this.#takeHead(), this.#isChunked, bytes, from, to);
    return this.#connection?.send(piece.bytes, piece.length);
  }

  breakOff(): void {
    this.#connection?.close();
  }

  /** Writes a byte without meaning: a zero before the size of the next chunk. */
  probe(): void {
    if (this.#isChunked) void this.#connection?.send(ZERO, ZERO.length);
  }

  /** The answer is whole. */
  end(): void {
    const bytes = endOf(this.#takeHead(), this.#isChunked);
    void this.#connection?.send(bytes, bytes.length);
    this.#connection = undefined;
  }

  /** The client has left. */
  detach(): void {
    this.#connection = undefined;
  }

  #takeHead(): string {
    const head = this.#head;
    this.#head = "";
    return head;
  }
}

const ZERO: Buffer = Buffer.from("0");
