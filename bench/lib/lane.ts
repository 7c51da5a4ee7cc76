import type { Socket, SocketHandler } from "bun";
import { type Answer, AnswerReader } from "./answer-reader.ts";

/**
 * One connection of a client that costs next to nothing: whole requests go out as they are, of the answers only what
 * frames them is looked at. One request at a time.
 */
export class Lane {
  /** Why it is of no use any more; undefined while it is. */
  broken: string | undefined;
  readonly #reader = new AnswerReader();
  #socket: Socket<Lane> | undefined;
  #unsent: Uint8Array | undefined;
  readonly #secured = Promise.withResolvers<void>();
  #onAnswer: ((answer: Answer | undefined) => void) | undefined;

  private constructor() {}

  /** Rejects where nobody listens. Whoever opens it closes it. */
  static async open(origin: string): Promise<Lane> {
    const { hostname, port, protocol } = new URL(origin);
    const lane = new Lane();
    const address = { hostname, port: Number(port), data: lane, socket: HANDLERS };
    if (protocol === "http:") {
      lane.#socket = await Bun.connect<Lane>(address);
      return lane;
    }
    lane.#socket = await Bun.connect<Lane>({ ...address, tls: { rejectUnauthorized: false } });
    await lane.#secured.promise;
    return lane;
  }

  /** The TLS handshake is over. */
  shaken(): void {
    this.#secured.resolve();
  }

  /** Calls back with the whole answer, or with undefined where the connection broke before. */
  send(request: Uint8Array, onAnswer: (answer: Answer | undefined) => void): void {
    if (this.broken !== undefined) {
      onAnswer(undefined);
      return;
    }
    this.#onAnswer = onAnswer;
    this.#reader.begin();
    this.#write(request);
  }

  /** The same as a promise. */
  ask(request: Uint8Array): Promise<Answer | undefined> {
    return new Promise((resolve) => this.send(request, resolve));
  }

  /** Bytes of the answer under way that came so far, and its events. */
  get events(): number {
    return this.#reader.events;
  }

  close(): void {
    this.ended("closed");
    this.#socket?.terminate();
  }

  received(bytes: Uint8Array): void {
    const answer = this.#reader.take(bytes);
    if (answer) this.#finish(answer);
  }

  drained(): void {
    if (this.#unsent) this.#write(this.#unsent);
  }

  ended(why: string): void {
    this.broken ??= why;
    this.#secured.resolve();
    this.#finish(this.#reader.endOfConnection());
  }

  #write(bytes: Uint8Array): void {
    const written = Math.max(0, this.#socket?.write(bytes) ?? 0);
    this.#unsent = written < bytes.length ? bytes.subarray(written) : undefined;
  }

  #finish(answer: Answer | undefined): void {
    const onAnswer = this.#onAnswer;
    this.#onAnswer = undefined;
    onAnswer?.(answer);
  }
}

const HANDLERS: SocketHandler<Lane> = {
  binaryType: "buffer",
  handshake: (socket) => socket.data.shaken(),
  data: (socket, bytes) => socket.data.received(bytes),
  drain: (socket) => socket.data.drained(),
  close: (socket) => socket.data.ended("closed by the other side"),
  error: (socket, error) => socket.data.ended(error.message),
  connectError: (socket, error) => socket.data.ended(error.message),
};
