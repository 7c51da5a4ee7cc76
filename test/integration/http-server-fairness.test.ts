import { describe, expect, test } from "bun:test";
import { type ClientRequest, type Reply, textReply } from "../../src/transport/downstream.ts";
import { head, openWire } from "../faults/wire.ts";
import { bodyOf, startHttpServer } from "../support/http-server.ts";

/** Some 25,000 requests: more than one read brings. */
const MANY = 25_000;

describe("a client that sends thousands of requests behind each other", () => {
  const kinds: Record<string, string> = {
    "without a body": head("GET /many", []),
    "with a body": `${head("POST /many", ["content-length: 5"])}hello`,
    "that are refused": head("GET /many", ["x-unknown: 1"]),
    "that are answered from their heads": head("GET /many", ["x-screened: 1"]),
  };
  for (const [name, request] of Object.entries(kinds)) {
    test(`${name} does not hold up one that sends a single one`, async () => {
      let many = 0;
      let manyMeanwhile = 0;
      const count = (): void => {
        many += 1;
        if (many !== 100) return;
        manyMeanwhile = many;
        void other.write(head("GET /one", []));
      };
      const handle = async (request: ClientRequest): Promise<Reply> => {
        if (request.path === "/one") {
          manyMeanwhile = many - manyMeanwhile;
          return textReply("one");
        }
        count();
        await bodyOf(request);
        return textReply("many", { status: request.headers.has("x-unknown") ? 404 : 200 });
      };
      using started = startHttpServer(handle, {
        screen({ headers }) {
          if (!headers.has("x-screened")) return undefined;
          count();
          return textReply("many", { status: 429 });
        },
      });
      using other = await openWire(started.url);
      using wire = await openWire(started.url);
      void wire.write(request.repeat(MANY));
      expect(await other.until("one")).toContain("200 OK");
      // What the kernel hands over in the look at the sockets in which the other's request is not there yet, and some turns.
      expect(manyMeanwhile).toBeLessThan(200);
      wire.hangUp();
    });
  }

  test("has all of them answered", async () => {
    let many = 0;
    using started = startHttpServer(() => {
      many += 1;
      return textReply("");
    });
    using wire = await openWire(started.url);
    await wire.write(head("GET /many", []).repeat(MANY - 1) + head("GET /many", ["connection: close"]));
    await wire.closed;
    expect([many, wire.received.match(/HTTP\/1\.1 200/g)?.length]).toEqual([MANY, MANY]);
  });
});

test("clients that send thousands of requests behind each other have their turns one after another", async () => {
  const counts = new Map<string, number>();
  let most = 0;
  using started = startHttpServer((request) => {
    counts.set(request.path, (counts.get(request.path) ?? 0) + 1);
    if (counts.size === 5) most = Math.max(most, Math.max(...counts.values()) - Math.min(...counts.values()));
    return textReply("");
  });
  const wires = await Promise.all(
    Array.from({ length: 5 }, (_, index) =>
      openWire(started.url, head(`GET /${index}`, []).repeat(1999) + head(`GET /${index}`, ["connection: close"])),
    ),
  );
  for (const wire of wires) await wire.closed;
  expect([...counts.values()]).toEqual([2000, 2000, 2000, 2000, 2000]);
  // One may begin while the others are not read yet.
  expect(most).toBeLessThan(1000);
});
