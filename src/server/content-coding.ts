import type * as Streams from "node:stream/promises";
import type { Transform } from "node:stream";
import type * as Zlib from "node:zlib";
import { GatewayError } from "../errors/errors.ts";
import { lazy } from "../util/lazy.ts";

/** The decoders come with the first compressed body. */
const zlib = lazy((): typeof Zlib => require("node:zlib"));
const streams = lazy((): typeof Streams => require("node:stream/promises"));

/** Size of decoded pieces, bytes. A bomb can exceed the bound on a body by one piece. */
const PIECE_BYTES = 65_536;
/** Largest zstd window as a power of two, from RFC 9659. With a larger one, a few bytes could demand much memory. */
const ZSTD_WINDOW_LOG = 23;
/** Memory of a decoder itself, bytes; zstd's is the largest. */
export const DECODER_BYTES = 262_144;

/** Makes a decoder; `first` is the first byte of the body. */
type MakeDecoder = (first: number) => Transform;

const gzip: MakeDecoder = () => zlib().createGunzip({ chunkSize: PIECE_BYTES });
const DECODERS: Readonly<Record<string, MakeDecoder>> = {
  gzip,
  "x-gzip": gzip,
  // In the standard, `deflate` means zlib's form; some clients send raw deflate.
  deflate: (first) =>
    isZlibHeader(first)
      ? zlib().createInflate({ chunkSize: PIECE_BYTES })
      : zlib().createInflateRaw({ chunkSize: PIECE_BYTES }),
  br: () => zlib().createBrotliDecompress({ chunkSize: PIECE_BYTES }),
  zstd: () =>
    zlib().createZstdDecompress({
      chunkSize: PIECE_BYTES,
      params: { [zlib().constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG },
    }),
};
/** Values that mean no encoding. Some clients write the character set here, and engines, which do not read the field, take their bodies. */
const PLAIN: ReadonlySet<string> = new Set(["", "identity", "utf-8", "utf8"]);
/** Value of Accept-Encoding, which tells a client the accepted encodings (RFC 9110, section 12.5.3). */
const ACCEPTED = "gzip, deflate, br, zstd, identity";

/** Reads Content-Encoding; undefined for a body without encoding. Throws unsupported_media_type. */
export function codingOf(field: string | null): string | undefined {
  if (field === null) return undefined;
  const coding = field.trim().toLowerCase();
  if (PLAIN.has(coding)) return undefined;
  if (Object.hasOwn(DECODERS, coding)) return coding;
  throw new GatewayError("unsupported_media_type", `the body's encoding must be one of ${ACCEPTED}`, {
    headers: { "accept-encoding": ACCEPTED },
  });
}

/**
 * Decodes the pieces of a body as they arrive. `take` gets each decoded piece, and stops the decoding by throwing. Throws
 * bad_content_encoding, and what the pieces and `take` throw.
 */
export async function decode(
  coding: string,
  pieces: AsyncIterable<Uint8Array>,
  take: (piece: Buffer) => void,
): Promise<void> {
  const source = pieces[Symbol.asyncIterator]();
  const first = await source.next();
  const decoder = DECODERS[coding]?.(first.done === true ? 0 : (first.value[0] ?? 0));
  if (!decoder) throw new Error(`no decoder for ${coding}`);
  try {
    await streams().pipeline(continued(first, source), decoder, async (decoded: AsyncIterable<Buffer>) => {
      for await (const piece of decoded) take(piece);
    });
  } catch (thrown) {
    if (thrown instanceof GatewayError) throw thrown;
    throw new GatewayError("bad_content_encoding", `the body is not ${coding}, or is cut`, { cause: thrown });
  }
}

async function* continued(
  first: IteratorResult<Uint8Array>,
  source: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for (let next = first; next.done !== true; next = await source.next()) yield next.value;
}

/** Whether the byte begins zlib's form: method 8 and a window of at most 32 KiB (RFC 1950). */
function isZlibHeader(byte: number): boolean {
  return (byte & 0x0f) === 8 && byte >> 4 <= 7;
}
