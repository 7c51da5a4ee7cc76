import { gunzipSync } from "node:zlib";
import { GatewayError } from "../../errors/errors.ts";

/** A flag byte and the length, before every message. */
const PREFIX_BYTES = 5;

/** Takes gRPC messages out of the pieces in which they arrive. Throws upstream_protocol_error, invalid_upstream_response. */
export class MessageFramer {
  /** `grpc-encoding` of the answer: what a message with the compressed flag is in. */
  encoding: string | undefined;
  readonly #maxMessageBytes: number;
  /** The beginning of a message whose end has not come. */
  #pieces: Uint8Array[] = [];
  #held = 0;
  /** What has to be there before it is worth looking again. */
  #needed = 0;

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** False within a message. */
  get isBetweenMessages(): boolean {
    return this.#held === 0;
  }

  /** Adds the messages that are whole with this piece to `out`. They share memory with it. */
  push(piece: Uint8Array, out: Uint8Array[]): void {
    let bytes = piece;
    if (this.#held > 0) {
      this.#pieces.push(piece);
      this.#held += piece.length;
      if (this.#held < this.#needed) return;
      bytes = Buffer.concat(this.#pieces, this.#held);
      this.#pieces = [];
      this.#held = 0;
    }
    let at = 0;
    let needed = PREFIX_BYTES;
    while (bytes.length - at >= PREFIX_BYTES) {
      const end = at + PREFIX_BYTES + this.#lengthAt(bytes, at);
      if (end > bytes.length) {
        needed = end - at;
        break;
      }
      const message = bytes.subarray(at + PREFIX_BYTES, end);
      out.push(bytes[at] === 0 ? message : this.#decompress(message));
      at = end;
    }
    if (at < bytes.length) {
      this.#pieces.push(bytes.subarray(at));
      this.#held = bytes.length - at;
      this.#needed = needed;
    }
  }

  #lengthAt(bytes: Uint8Array, at: number): number {
    const flag = bytes[at] ?? 0;
    if (flag > 1) throw malformed(`flag ${flag}`);
    const high = (bytes[at + 1] ?? 0) * 0x1000000;
    const length = high + (((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0));
    if (length > this.#maxMessageBytes) throw tooLarge();
    return length;
  }

  #decompress(message: Uint8Array): Uint8Array {
    if (this.encoding !== "gzip") throw malformed(`compressed in ${this.encoding ?? "nothing that was named"}`);
    try {
      return gunzipSync(message, { maxOutputLength: this.#maxMessageBytes });
    } catch (cause) {
      if (cause instanceof Error && "code" in cause && cause.code === "ERR_BUFFER_TOO_LARGE") throw tooLarge();
      throw malformed(cause);
    }
  }
}

/** A message with its prefix, ready to be written. */
export function frameMessage(message: Uint8Array, isCompressed = false): Uint8Array {
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  framed[0] = isCompressed ? 1 : 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, PREFIX_BYTES);
  return framed;
}

function malformed(cause: unknown): GatewayError {
  return new GatewayError("upstream_protocol_error", "the worker's answer is not valid gRPC", { cause });
}

function tooLarge(): GatewayError {
  return new GatewayError("invalid_upstream_response", "a message of the worker is larger than it may be");
}
