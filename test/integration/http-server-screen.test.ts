import { describe, expect, test } from "bun:test";
import { textReply, type WholeReply } from "../../src/transport/downstream.ts";
import type { RequestHead } from "../../src/transport/http1-server/request-head.ts";
import { head, openWire } from "../faults/wire.ts";
import { echo, startHttpServer } from "../support/http-server.ts";

/** A server that answers requests from their heads alone where these have `x-screened`, and what its handler saw. */
function startScreening(): ReturnType<typeof startHttpServer> & { readonly handled: string[] } {
  const handled: string[] = [];
  const screen = ({ path, headers }: RequestHead): WholeReply | undefined =>
    headers.has("x-screened") ? textReply(`no ${path}`, { status: 429 }) : undefined;
  const started = startHttpServer(
    (request) => {
      handled.push(request.path);
      return echo(request);
    },
    { screen },
  );
  return Object.assign(started, { handled });
}

const screened = (path: string, fields: readonly string[]): string =>
  head(`POST ${path}`, ["x-screened: 1", ...fields]);

describe("a request that is answered from its head", () => {
  const bodies: Record<string, string> = {
    "without a body": screened("/a", []),
    "with a body": `${screened("/a", ["content-length: 5"])}hello`,
    "with a body in chunks": `${screened("/a", ["transfer-encoding: chunked"])}5\r\nhello\r\n0\r\n\r\n`,
  };
  for (const [name, request] of Object.entries(bodies)) {
    test(`${name} is never handled, and the next ones on its connection are`, async () => {
      using started = startScreening();
      const next = `${head("POST /b", ["content-length: 3"])}abc`;
      for (const pieces of [[request + next + request], (request + next + request).split("")]) {
        using wire = await openWire(started.url);
        for (const piece of pieces) await wire.write(piece);
        const answers = await wire.answers(3);
        expect(answers.map(({ status, body }) => [status, body])).toEqual([
          [429, "no /a"],
          [200, "POST /b  abc"],
          [429, "no /a"],
        ]);
        expect(wire.isClosed).toBe(false);
      }
      expect([started.handled, started.defects]).toEqual([["/b", "/b"], []]);
    });
  }

  test("has its answer before its body has come", async () => {
    using started = startScreening();
    using wire = await openWire(started.url, screened("/a", ["content-length: 5"]));
    expect(await wire.until("no /a")).toContain("429");
    await wire.write(`hello${head("GET /b", [])}`);
    expect((await wire.answers(2)).map(({ status }) => status)).toEqual([429, 200]);
  });

  const ends: Record<string, string> = {
    "whose body is too long to be dropped": screened("/a", ["content-length: 1000000"]),
    "that waits for leave to send its body": screened("/a", ["content-length: 5", "expect: 100-continue"]),
    "that asks for the end of the connection": screened("/a", ["connection: close"]),
    "with a body that cannot be read": `${screened("/a", ["transfer-encoding: chunked"])}zz\r\n`,
  };
  for (const [name, request] of Object.entries(ends)) {
    test(`${name} ends its connection with its one answer`, async () => {
      using started = startScreening();
      using wire = await openWire(started.url, request);
      await wire.closed;
      const answers = await wire.answers(1);
      expect(answers.map(({ status, body, headers }) => [status, body, headers.get("connection")])).toEqual([
        [429, "no /a", "close"],
      ]);
      expect([started.handled, started.defects]).toEqual([[], []]);
    });
  }

  test("of a client that has closed its side has its answer", async () => {
    using started = startScreening();
    using wire = await openWire(started.url, screened("/a", []));
    wire.finish();
    await wire.closed;
    expect((await wire.answers(1)).map(({ status }) => status)).toEqual([429]);
  });
});
