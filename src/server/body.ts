import { clientClosed, GatewayError } from "../errors/errors.ts";
import { systemClock } from "../util/clock.ts";
import { Deadlines } from "../util/deadlines.ts";
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
 * The body of a request, read within its bounds. Throws unsupported_media_type, request_too_large (before reading where
 * the length is told), request_timeout, memory_full, client_closed.
 */
export async function readBody(request: Request, bounds: BodyBounds, held: HeldBytes): Promise<Uint8Array> {
  const length = checkHeaders(request.headers, bounds.maxBytes);
  if (length !== undefined) hold(bounds, held, length);
  // A short body with its length told arrives in one piece with the head, or nearly so.
  if (length !== undefined && length <= ONE_PIECE_BYTES) return readWhole(request, bounds);
  return readPieces(request, bounds, held, length);
}

const ONE_PIECE_BYTES = 65_536;

function readWhole(request: Request, bounds: BodyBounds): Promise<Uint8Array> {
  // One promise and no race: this is on the way of every small request.
  return new Promise((resolve, reject) => {
    const cancel = deadlines.after(Math.min(bounds.stallMs, bounds.timeoutMs), () => reject(tooSlow()));
    // Bun holds a body to its Content-Length, which was checked.
    request.bytes().then(
      (body) => {
        cancel();
        resolve(body);
        return undefined;
      },
      (error: unknown) => {
        cancel();
        reject(error instanceof GatewayError ? error : clientClosed(error));
      },
    );
  });
}

async function readPieces(
  request: Request,
  bounds: BodyBounds,
  held: HeldBytes,
  length: number | undefined,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let total = 0;
  const until = performance.now() + bounds.timeoutMs;
  const reader = request.body?.getReader();
  try {
    for (;;) {
      const next = await within(reader?.read(), Math.min(bounds.stallMs, until - performance.now()));
      if (!next?.value) break;
      total += next.value.length;
      if (total > bounds.maxBytes) throw tooLarge(bounds.maxBytes);
      if (length === undefined) hold(bounds, held, next.value.length);
      pieces.push(next.value);
    }
  } catch (error) {
    void reader?.cancel().catch(() => undefined);
    throw error instanceof GatewayError ? error : clientClosed(error);
  }
  const [only] = pieces;
  return only !== undefined && pieces.length === 1 ? only : Buffer.concat(pieces, total);
}

async function within<T>(read: Promise<T> | undefined, ms: number): Promise<T | undefined> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const cancel = deadlines.after(ms, () => reject(tooSlow()));
  try {
    return await Promise.race([read, late]);
  } finally {
    cancel();
  }
}

function hold({ budget }: BodyBounds, held: HeldBytes, bytes: number): void {
  budget.take(bytes);
  held.bytes += bytes;
}

/** The length, where it is told. */
function checkHeaders(headers: Headers, maxBytes: number): number | undefined {
  const type = headers.get("content-type");
  if (type === null || !JSON_TYPE.test(type)) {
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

const JSON_TYPE = /^application\/json *(;|$)/i;

function tooLarge(maxBytes: number): GatewayError {
  return new GatewayError("request_too_large", `the body is larger than ${maxBytes} bytes`);
}

function tooSlow(): GatewayError {
  return new GatewayError("request_timeout", "the body did not arrive in time");
}
