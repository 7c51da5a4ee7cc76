import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { gzipSync } from "node:zlib";
import { GatewayError } from "../../errors/errors.ts";
import { frameMessage, MessageFramer } from "./message-framer.ts";

describe("MessageFramer", () => {
  test("reads a message that was framed as compressed as what it was before", () => {
    const framer = new MessageFramer(100);
    framer.encoding = "gzip";
    const out: Uint8Array[] = [];
    framer.push(frameMessage(Bun.gzipSync(Buffer.from("spans")), true), out);
    expect(out.map((message) => Buffer.from(message).toString())).toEqual(["spans"]);
  });

  test("gives the same messages however they are cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 30 }),
        (messages, cuts) => {
          const bytes = Buffer.concat(messages.map((message) => frameMessage(message)));
          const framer = new MessageFramer(100);
          const out: Uint8Array[] = [];
          for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
            const next = at + (cuts[turn % cuts.length] ?? 1);
            framer.push(bytes.subarray(at, next), out);
            at = next;
          }
          expect(out.map((message) => Buffer.from(message).toString("hex"))).toEqual(
            messages.map((message) => Buffer.from(message).toString("hex")),
          );
          expect(framer.isBetweenMessages).toBe(true);
        },
      ),
    );
  });

  test("knows that it is within a message", () => {
    const framer = new MessageFramer(100);
    framer.push(frameMessage(Buffer.from("abc")).subarray(0, 6), []);
    expect(framer.isBetweenMessages).toBe(false);
  });

  test("refuses a length beyond the limit as soon as it is told, and takes the limit itself", () => {
    const framer = new MessageFramer(10);
    const out: Uint8Array[] = [];
    framer.push(frameMessage(Buffer.alloc(10)), out);
    expect(out).toHaveLength(1);
    expect(codeOf(() => framer.push(Uint8Array.of(0, 0, 0, 0, 11), out))).toBe("invalid_upstream_response");
  });

  test("unpacks gzip where it was named, up to the limit, and nothing else", () => {
    const framer = new MessageFramer(100);
    const out: Uint8Array[] = [];
    const packed = (body: Uint8Array): Uint8Array => Buffer.from(frameMessage(gzipSync(body))).fill(1, 0, 1);
    expect(codeOf(() => framer.push(packed(Buffer.from("abc")), out))).toBe("upstream_protocol_error");
    framer.encoding = "gzip";
    framer.push(packed(Buffer.from("abc")), out);
    expect(out.map(String)).toEqual([Buffer.from("abc").toString()]);
    expect(codeOf(() => framer.push(packed(Buffer.alloc(5000)), out))).toBe("invalid_upstream_response");
  });
});

function codeOf(run: () => void): string {
  try {
    run();
  } catch (error) {
    if (error instanceof GatewayError) return error.code;
    throw error;
  }
  return "nothing thrown";
}
