import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { heldBy } from "../transport/http1/piece-queue.ts";
import { BodyBytes } from "./body-bytes.ts";

/** A request that counts its bytes, and remembers the largest count. */
function counting(): { held: number; most: number; hold(bytes: number): void; letGo(bytes: number): void } {
  return {
    held: 0,
    most: 0,
    hold(bytes) {
      this.held += bytes;
      this.most = Math.max(this.most, this.held);
    },
    letGo(bytes) {
      this.held -= bytes;
    },
  };
}

/** Adds pieces, counted like those of a request. */
function gather(pieces: readonly Uint8Array[]): {
  body: BodyBytes;
  request: ReturnType<typeof counting>;
} {
  const request = counting();
  const body = new BodyBytes(request);
  for (const piece of pieces) {
    request.hold(heldBy(piece.length));
    body.add(piece);
  }
  return { body, request };
}

describe("a body put together", () => {
  test("is its pieces one behind the other, and counted as what it takes", () => {
    const sizes = fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 30_000, max: 70_000 }));
    fc.assert(
      fc.property(fc.array(sizes, { minLength: 1, maxLength: 30 }), (lengths) => {
        const pieces = lengths.map((length, index) => Buffer.alloc(length, index + 1));
        const { body, request } = gather(pieces);
        const whole = Buffer.concat(pieces);
        expect(body.length).toBe(whole.length);
        expect(Buffer.from(body.whole())).toEqual(whole);
        expect(request.held).toBe(pieces.length === 1 ? heldBy(whole.length) : whole.length);
        expect(request.most).toBeLessThan(whole.length + 30 * heldBy(0) + 140_000);
      }),
    );
  });

  test("of one piece is that piece", () => {
    const piece = Buffer.from("hello");
    const { body, request } = gather([piece]);
    expect(body.whole()).toBe(piece);
    expect(request.held).toBe(heldBy(5));
  });

  test("of many tiny pieces takes little more than its bytes", () => {
    const { body, request } = gather(Array.from({ length: 1_000_000 }, () => Buffer.from("x")));
    expect(request.most).toBeLessThan(1_200_000);
    body.whole();
    expect(request.held).toBe(1_000_000);
  });

  test("of large pieces with small ones between them takes little more than its bytes", () => {
    const pieces = Array.from({ length: 200 }, (_, index) => Buffer.alloc(index % 2 === 0 ? 1 : 66_000));
    const { request } = gather(pieces);
    expect(request.held).toBeLessThan(6_600_100 + 200 * heldBy(0));
  });

  test("for which there is no room says so", () => {
    const { request } = gather([]);
    const body = new BodyBytes({
      hold() {
        throw new Error("full");
      },
      letGo: (bytes) => request.letGo(bytes),
    });
    body.add(Buffer.from("a"));
    expect(() => body.add(Buffer.from("b"))).toThrow("full");
    expect(request.held).toBe(0);
  });
});
