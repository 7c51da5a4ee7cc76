import { describe, expect, test } from "bun:test";
import zlib from "node:zlib";
import { GatewayError } from "../errors/errors.ts";
import { codingOf, decode } from "./content-coding.ts";

const TEXT = Buffer.from(JSON.stringify({ messages: Array.from({ length: 3000 }, (_, index) => `message ${index}`) }));
const ENCODED: Readonly<Record<string, readonly [coding: string, bytes: Buffer]>> = {
  gzip: ["gzip", zlib.gzipSync(TEXT)],
  "gzip in two members": [
    "gzip",
    Buffer.concat([zlib.gzipSync(TEXT.subarray(0, 500)), zlib.gzipSync(TEXT.subarray(500))]),
  ],
  "x-gzip": ["x-gzip", zlib.gzipSync(TEXT)],
  deflate: ["deflate", zlib.deflateSync(TEXT)],
  "deflate without zlib's header": ["deflate", zlib.deflateRawSync(TEXT)],
  "deflate with the least window": ["deflate", zlib.deflateSync(TEXT, { windowBits: 9 })],
  br: ["br", zlib.brotliCompressSync(TEXT)],
  zstd: ["zstd", zlib.zstdCompressSync(TEXT)],
};

async function* cut(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function decoded(coding: string, pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  await decode(coding, pieces, (piece) => all.push(piece));
  return Buffer.concat(all);
}

async function codeOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return error instanceof GatewayError ? error.code : String(error);
  }
}

describe("a body in an encoding", () => {
  for (const [name, [coding, bytes]] of Object.entries(ENCODED)) {
    test(`is decoded from ${name}, in whatever pieces it comes`, async () => {
      for (const size of [1, 7, 1000, bytes.length]) expect(await decoded(coding, cut(bytes, size))).toEqual(TEXT);
    });

    test(`of ${name} that is something else is refused`, async () => {
      expect(await codeOf(decoded(coding, cut(TEXT, 1000)))).toBe("bad_content_encoding");
      const broken = Buffer.from(bytes);
      broken.fill(0xff, bytes.length >> 1, (bytes.length >> 1) + 20);
      const told = await codeOf(decoded(coding, cut(broken, 1000)));
      // An encoding without a checksum may decode broken bytes to another text, which the JSON reader then refuses.
      if (told === undefined) expect(await decoded(coding, cut(broken, 1000))).not.toEqual(TEXT);
      else expect(told).toBe("bad_content_encoding");
    });

    test(`of ${name} that is cut never passes for whole`, async () => {
      for (const length of [0, 1, 10, Math.floor(bytes.length / 2), bytes.length - 9]) {
        const short = bytes.subarray(0, length);
        const told = await codeOf(decoded(coding, cut(short, 100)));
        if (told === undefined) expect((await decoded(coding, cut(short, 100))).length).toBeLessThan(TEXT.length);
        else expect(told).toBe("bad_content_encoding");
      }
    });
  }

  test("ends where who takes it has enough, with its error", async () => {
    const bombs: readonly [string, Buffer][] = [
      ["gzip", zlib.gzipSync(Buffer.alloc(50_000_000))],
      [
        "br",
        zlib.brotliCompressSync(Buffer.alloc(50_000_000), { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } }),
      ],
      ["zstd", zlib.zstdCompressSync(Buffer.alloc(50_000_000))],
    ];
    for (const [coding, bomb] of bombs) {
      let taken = 0;
      const work = decode(coding, cut(bomb, 65_536), (piece) => {
        taken += piece.length;
        if (taken > 1_000_000) throw new GatewayError("request_too_large", "enough");
      });
      expect([coding, await codeOf(work)]).toEqual([coding, "request_too_large"]);
      expect(taken).toBeLessThan(1_100_000);
    }
  });

  test("ends with the error of its pieces", async () => {
    async function* failing(): AsyncGenerator<Buffer> {
      yield* cut(zlib.gzipSync(TEXT).subarray(0, 100), 10);
      throw new GatewayError("request_timeout", "too slow");
    }
    expect(await codeOf(decoded("gzip", failing()))).toBe("request_timeout");
  });

  test("of zstd may not ask for a window of 128 MiB", async () => {
    const params = { [zlib.constants.ZSTD_c_windowLog]: 27 };
    const bytes = zlib.zstdCompressSync(Buffer.alloc(200_000_000), { params });
    expect(await codeOf(decoded("zstd", cut(bytes, 1000)))).toBe("bad_content_encoding");
  });
});

describe("Content-Encoding", () => {
  test("that says nothing of the bytes is no encoding", () => {
    for (const field of [null, "", " ", "identity", "Identity", "utf-8", "UTF8"])
      expect(codingOf(field)).toBeUndefined();
  });

  test("is read without regard to case", () => {
    expect([codingOf("GZIP"), codingOf("Br"), codingOf("zstd")]).toEqual(["gzip", "br", "zstd"]);
  });

  test("that is unknown, or more than one, is refused with those that are known", () => {
    for (const field of ["latin-1", "compress", "gzip, gzip", "identity, gzip", "__proto__", "toString"]) {
      try {
        codingOf(field);
        expect(field).toBe("refused");
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error;
        expect([error.code, error.details.headers]).toEqual([
          "unsupported_media_type",
          { "accept-encoding": "gzip, deflate, br, zstd, identity" },
        ]);
      }
    }
  });
});
