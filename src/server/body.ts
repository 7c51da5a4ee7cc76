import { GatewayError } from "../errors/errors.ts";
import type { ClientRequest } from "../transport/downstream.ts";
import { systemClock } from "../util/clock.ts";
import { Deadlines } from "../util/deadlines.ts";
import type { HeaderReader } from "../util/header-reader.ts";
import type { ByteBudget } from "./byte-budget.ts";

const deadlines = new Deadlines(systemClock);

export interface BodyBounds {
  readonly maxBytes: number;
  /** For the whole of the body to arrive, ms. */
  readonly timeoutMs: number;
  /** Longest time without a byte of it, ms. */
  readonly stallMs: number;
  /** What all bodies may hold together. What was taken is on `held` of the answer, also where it throws. */
  readonly budget: ByteBudget;
}

/** Bytes taken of the budget for one body; given back by whoever owns the request. */
export interface HeldBytes {
  bytes: number;
}

/**
 * The body of a request, read within its bounds, at once where it is all there. Throws unsupported_media_type,
 * request_too_large (before reading where the length is told), request_timeout, memory_full, client_closed,
 * malformed_request.
 */
export function readBody(
  request: ClientRequest,
  bounds: BodyBounds,
  held: HeldBytes,
): Uint8Array | Promise<Uint8Array> {
  const length = checkHeaders(request.headers, bounds.maxBytes);
  if (length !== undefined) hold(bounds, held, length);
  // A short body arrives together with the head, or nearly so.
  const first = length === 0 ? NO_BYTES : request.read();
  if (first instanceof Uint8Array && first.length === length) return first;
  return readPieces(request, bounds, held, { length, first });
}

interface Begun {
  /** As it was told. */
  readonly length: number | undefined;
  readonly first: ReturnType<ClientRequest["read"]>;
}

async function readPieces(
  request: ClientRequest,
  bounds: BodyBounds,
  held: HeldBytes,
  { length, first }: Begun,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let total = 0;
  // A short one is there at once, or somebody lets it trickle.
  const isShort = length !== undefined && length <= SHORT_BYTES;
  const until = performance.now() + (isShort ? Math.min(bounds.stallMs, bounds.timeoutMs) : bounds.timeoutMs);
  for (let next = first; ; next = request.read()) {
    const piece =
      next instanceof Promise ? await within(next, Math.min(bounds.stallMs, until - performance.now())) : next;
    if (!piece) break;
    total += piece.length;
    if (total > bounds.maxBytes) throw tooLarge(bounds.maxBytes);
    if (length === undefined) hold(bounds, held, piece.length);
    pieces.push(piece);
    if (total === length) break;
  }
  const [only] = pieces;
  return only !== undefined && pieces.length === 1 ? only : Buffer.concat(pieces, total);
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

function hold({ budget }: BodyBounds, held: HeldBytes, bytes: number): void {
  budget.take(bytes);
  held.bytes += bytes;
}

/** The length, where it is told. */
function checkHeaders(headers: HeaderReader, maxBytes: number): number | undefined {
  const type = headers.get("content-type");
  if (type === null || (type !== "application/json" && !JSON_TYPE.test(type))) {
    throw new GatewayError("unsupported_media_type", "the content type must be application/json");
  }
  const encoding = headers.get("content-encoding");
  if (encoding !== null && encoding !== "identity") {
    throw new GatewayError("unsupported_media_type", "the body must not be encoded");
  }
  const told = headers.get("content-length");
  if (told === null) return undefined;
  if (Number(told) > maxBytes) throw tooLarge(maxBytes);
  return Number(told);
}

/** A body that takes no more than a packet or two. */
const SHORT_BYTES = 65_536;
const JSON_TYPE = /^application\/json *(;|$)/i;
const NO_BYTES = new Uint8Array(0);

function tooLarge(maxBytes: number): GatewayError {
  return new GatewayError("request_too_large", `the body is larger than ${maxBytes} bytes`);
}

function tooSlow(): GatewayError {
  return new GatewayError("request_timeout", "the body did not arrive in time");
}
