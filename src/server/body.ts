import { clientClosed, GatewayError } from "../errors/errors.ts";
import { systemClock } from "../util/clock.ts";
import { Deadlines } from "../util/deadlines.ts";

const deadlines = new Deadlines(systemClock);

export interface BodyBounds {
  readonly maxBytes: number;
  /** For the whole of the body to arrive, ms. */
  readonly timeoutMs: number;
}

/**
 * The body of a request, read within its bounds. Throws unsupported_media_type, request_too_large (before reading where
 * the length is told), request_timeout, client_closed.
 */
export async function readBody(request: Request, bounds: BodyBounds): Promise<Uint8Array> {
  checkHeaders(request.headers, bounds.maxBytes);
  const { promise: late, reject } = Promise.withResolvers<never>();
  const cancel = deadlines.after(bounds.timeoutMs, () =>
    reject(new GatewayError("request_timeout", "the body did not arrive in time")),
  );
  try {
    return await Promise.race([readAll(request, bounds.maxBytes), late]);
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    throw clientClosed(error);
  } finally {
    cancel();
  }
}

function checkHeaders(headers: Headers, maxBytes: number): void {
  const type = headers.get("content-type");
  if (type === null || !JSON_TYPE.test(type)) {
    throw new GatewayError("unsupported_media_type", "the content type must be application/json");
  }
  const encoding = headers.get("content-encoding");
  if (encoding !== null && encoding !== "identity") {
    throw new GatewayError("unsupported_media_type", "the body must not be encoded");
  }
  if (Number(headers.get("content-length") ?? 0) > maxBytes) throw tooLarge(maxBytes);
}

const JSON_TYPE = /^application\/json *(;|$)/i;

async function readAll(request: Request, maxBytes: number): Promise<Uint8Array> {
  // Bun holds a body to its Content-Length, which was checked; only one without a length has to be counted.
  if (request.headers.has("content-length")) return request.bytes();
  const pieces: Uint8Array[] = [];
  let total = 0;
  for await (const piece of request.body ?? []) {
    total += piece.length;
    if (total > maxBytes) throw tooLarge(maxBytes);
    pieces.push(piece);
  }
  return Buffer.concat(pieces, total);
}

function tooLarge(maxBytes: number): GatewayError {
  return new GatewayError("request_too_large", `the body is larger than ${maxBytes} bytes`);
}
