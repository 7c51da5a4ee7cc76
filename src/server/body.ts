import { GatewayError } from "../errors/errors.ts";
import type { ClientRequest } from "../transport/downstream.ts";
import { heldBy } from "../transport/http1/piece-queue.ts";
import { systemClock } from "../util/clock.ts";
import { Deadlines } from "../util/deadlines.ts";
import type { HeaderReader } from "../util/header-reader.ts";
import { BodyBytes } from "./body-bytes.ts";
import { codingOf, decode, DECODER_BYTES } from "./content-coding.ts";

const deadlines = new Deadlines(systemClock);

export interface BodyBounds {
  /** Largest size, both compressed and decoded. */
  readonly maxBytes: number;
  /** Time for the whole body to arrive, ms. */
  readonly timeoutMs: number;
  /** Longest time without a byte of the body, ms. The body must also arrive at LEAST_RATE. */
  readonly stallMs: number;
  /** Whether the body may be YAML as well. */
  readonly takesYaml?: boolean | undefined;
}

/**
 * Reads the body of a request within its bounds, and decodes it. Returns it at once if it is all there. Its bytes are counted for
 * the request. Throws unsupported_media_type, request_too_large (before reading, where the length is declared),
 * request_timeout, memory_full, client_closed, malformed_request, bad_content_encoding.
 */
export function readBody(request: ClientRequest, bounds: BodyBounds): Uint8Array | Promise<Uint8Array> {
  const told = checkHeaders(request.headers, bounds);
  const { length, coding } = told;
  // A short body usually arrives together with the head.
  const first = length === 0 ? NO_BYTES : request.read();
  if (coding === undefined && first instanceof Uint8Array && first.length === length) return first;
  const pieces = new TimedPieces(request, bounds, { length, first });
  return coding === undefined ? readPlain(request, pieces, length) : readCoded(request, bounds, pieces, coding);
}

interface Begun {
  /** The declared length, bytes; undefined where none was declared. */
  readonly length: number | undefined;
  readonly first: ReturnType<ClientRequest["read"]>;
}

async function readPlain(request: ClientRequest, pieces: TimedPieces, length: number | undefined): Promise<Uint8Array> {
  const body = new BodyBytes(request);
  while (body.length !== length) {
    const next = pieces.next();
    const piece = next instanceof Promise ? await next : next;
    if (!piece) break;
    body.add(piece);
  }
  return body.whole();
}

async function readCoded(
  request: ClientRequest,
  { maxBytes }: BodyBounds,
  pieces: TimedPieces,
  coding: string,
): Promise<Uint8Array> {
  const body = new BodyBytes(request);
  request.hold(DECODER_BYTES);
  await decode(coding, pieces.all(), (piece) => {
    if (body.length + piece.length > maxBytes) throw tooLarge(maxBytes);
    request.hold(heldBy(piece.length));
    body.add(piece);
  });
  request.letGo(DECODER_BYTES);
  return body.whole();
}

/** Reads the pieces of a body, and checks their size and their pace. */
class TimedPieces {
  readonly #request: ClientRequest;
  readonly #bounds: BodyBounds;
  readonly #begunAt = performance.now();
  /** A short body should arrive at once; otherwise the client sends it slowly. */
  readonly #isShort: boolean;
  #first: ReturnType<ClientRequest["read"]>;
  #isFirst = true;
  #bytes = 0;
  /** Time spent waiting for the client only, ms. The gateway's own work is not the client's delay. */
  #waitedMs = 0;

  constructor(request: ClientRequest, bounds: BodyBounds, { length, first }: Begun) {
    this.#request = request;
    this.#bounds = bounds;
    this.#isShort = length !== undefined && length <= SHORT_BYTES;
    this.#first = first;
  }

  /** The next piece, at once where it is there; undefined at the end. Throws request_too_large, request_timeout, and what `read` throws. */
  next(): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    const next = this.#isFirst ? this.#first : this.#request.read();
    this.#isFirst = false;
    this.#first = undefined;
    return next instanceof Promise ? this.#waitFor(next) : this.#counted(next);
  }

  /** The remaining pieces. Asking for the next piece releases the one before. */
  async *all(): AsyncGenerator<Uint8Array> {
    for (let piece = await this.next(); piece; piece = await this.next()) {
      yield piece;
      this.#request.letGo(heldBy(piece.length));
    }
  }

  #counted(piece: Uint8Array | undefined): Uint8Array | undefined {
    this.#bytes += piece?.length ?? 0;
    if (this.#bytes > this.#bounds.maxBytes) throw tooLarge(this.#bounds.maxBytes);
    return piece;
  }

  async #waitFor(read: Promise<Uint8Array | undefined>): Promise<Uint8Array | undefined> {
    const { stallMs, timeoutMs } = this.#bounds;
    const from = performance.now();
    const mayWaitMs = stallMs + (this.#isShort ? 0 : (this.#bytes / LEAST_RATE) * 1000);
    const piece = await within(read, Math.min(stallMs, mayWaitMs - this.#waitedMs, this.#begunAt + timeoutMs - from));
    this.#waitedMs += performance.now() - from;
    return this.#counted(piece);
  }
}

function within<T>(read: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = deadlines.after(ms, () => reject(tooSlow()));
    read.then(
      (value) => {
        cancel();
        resolve(value);
        return undefined;
      },
      (error: unknown) => {
        cancel();
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}

interface Told {
  /** The declared number of bytes on the wire, if there is one. */
  readonly length: number | undefined;
  readonly coding: string | undefined;
}

function checkHeaders(headers: HeaderReader, { maxBytes, takesYaml }: BodyBounds): Told {
  const type = headers.get("content-type");
  if (type === null || (type !== "application/json" && !JSON_TYPE.test(type))) {
    // Neither is a type that a page of another site may send without being asked for (CORS).
    if (takesYaml !== true)
      throw new GatewayError("unsupported_media_type", "the content type must be application/json");
    if (type === null || !YAML_TYPE.test(type)) {
      throw new GatewayError("unsupported_media_type", "the content type must be application/yaml or application/json");
    }
  }
  const coding = codingOf(headers.get("content-encoding"));
  const told = headers.get("content-length");
  if (told === null) return { length: undefined, coding };
  if (Number(told) > maxBytes) throw tooLarge(maxBytes);
  return { length: Number(told), coding };
}

/** Largest body that counts as short, bytes. */
const SHORT_BYTES = 65_536;
/** Slowest pace of a longer body, bytes a second: a hundredth of the slowest mobile network. */
const LEAST_RATE = 1024;
const YAML_TYPE = /^(application|text)\/(x-)?yaml *(;|$)/i;
const JSON_TYPE = /^application\/json *(;|$)/i;
const NO_BYTES = new Uint8Array(0);

function tooLarge(maxBytes: number): GatewayError {
  return new GatewayError("request_too_large", `the body is larger than ${maxBytes} bytes`);
}

function tooSlow(): GatewayError {
  return new GatewayError("request_timeout", "the body did not arrive in time");
}
