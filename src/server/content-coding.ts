import { pipeline } from "node:stream/promises";
import type { Transform } from "node:stream";
import zlib from "node:zlib";
import { GatewayError } from "../errors/errors.ts";

/** Decoded in pieces of this size: what a bomb makes beyond the bound on a body. */
const PIECE_BYTES = 65_536;
/** Largest window, as a power of two: what RFC 9659 allows. More would be memory that a few bytes ask for. */
const ZSTD_WINDOW_LOG = 23;
/** Memory that a decoder takes besides what it has decoded: zstd takes the most. */
export const DECODER_BYTES = 262_144;

/** Makes a decoder; `first` is the first byte of the body. */
type MakeDecoder = (first: number) => Transform;

const gzip: MakeDecoder = () => zlib.createGunzip({ chunkSize: PIECE_BYTES });
const DECODERS: Readonly<Record<string, MakeDecoder>> = {
  gzip,
  "x-gzip": gzip,
  // The standard means zlib's form by it, and some have always sent what is in that.
  deflate: (first) =>
    isZlibHeader(first)
      ? zlib.createInflate({ chunkSize: PIECE_BYTES })
      : zlib.createInflateRaw({ chunkSize: PIECE_BYTES }),
  br: () => zlib.createBrotliDecompress({ chunkSize: PIECE_BYTES }),
  zstd: () =>
    zlib.createZstdDecompress({
      chunkSize: PIECE_BYTES,
      params: { [zlib.constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG },
    }),
};
/** For Accept-Encoding, in which a client learns what it may send (RFC 9110, section 12.5.3). */
const ACCEPTED = "gzip, deflate, br, zstd, identity";

/** What Content-Encoding says of a body: undefined where it is as it is. Throws unsupported_media_type. */
export function codingOf(field: string | null): string | undefined {
  if (field === null) return undefined;
  const coding = field.trim().toLowerCase();
  if (coding === "" || coding === "identity") return undefined;
  if (Object.hasOwn(DECODERS, coding)) return coding;
  throw new GatewayError("unsupported_media_type", `the body's encoding must be one of ${ACCEPTED}`, {
    headers: { "accept-encoding": ACCEPTED },
  });
}

/**
 * Decodes a body as its pieces come; `take` gets each decoded piece and may stop it all by throwing. Throws what the pieces and
 * `take` throw, and bad_content_encoding.
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
    await pipeline(continued(first, source), decoder, async (decoded: AsyncIterable<Buffer>) => {
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

/** Deflate within zlib's form begins with its method, 8, and a window of 32 KiB at most (RFC 1950). */
function isZlibHeader(byte: number): boolean {
  return (byte & 0x0f) === 8 && byte >> 4 <= 7;
}
