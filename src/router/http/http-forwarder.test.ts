import { describe, expect, test } from "bun:test";
import { PlayedTransport } from "../../../test/support/played-transport.ts";
import { PlayedResponse, type RequestOptions, setUpRouting } from "../../../test/support/routing.ts";
import type { UpstreamRequest } from "../../transport/upstream.ts";
import { Secret } from "../../util/secret.ts";
import type { WorkerSpec } from "../../worker/worker-spec.ts";
import { HttpForwarder } from "./http-forwarder.ts";

const VIA = "1.1 pointsman-0a1b2c3d";
const TIMEOUTS = { connectMs: 1, firstByteMs: 2, idleMs: 3, totalMs: 60_000 };

async function forwarded(
  options: RequestOptions = {},
  spec: Partial<WorkerSpec> = {},
  forwardHeaders: readonly string[] = [],
): Promise<UpstreamRequest> {
  const { add, request, clock } = setUpRouting();
  clock.advance(500);
  const transport = new PlayedTransport(() => new PlayedResponse([]));
  const forwarder = new HttpForwarder({ transport, timeouts: TIMEOUTS, forwardHeaders, via: VIA });
  const asked = request(options);
  const worker = add("http://one:1", { modelId: "m", ...spec });
  await forwarder.forward(asked, { worker, body: asked.body.bytes, signal: asked.signal });
  const [sent] = transport.sent;
  if (!sent) throw new Error("nothing was sent");
  return sent;
}

/** Header lines that were sent, without the id that differs. */
async function headersOf(...given: Parameters<typeof forwarded>): Promise<string[]> {
  const { headers } = await forwarded(...given);
  return headers.split("\r\n").filter((line) => line !== "" && !line.startsWith("x-request-id"));
}

test("the worker gets the client's bytes at the client's path, within the time that the request has", async () => {
  const sent = await forwarded({ path: "/v1/completions", body: { prompt: "a" } });
  expect(sent).toMatchObject({ origin: "http://one:1", method: "POST", path: "/v1/completions", deadline: 60_500 });
  expect(Buffer.from(sent.body ?? []).toString()).toBe('{"model":"m","prompt":"a"}');
});

describe("of a client's headers", () => {
  test("those of the list pass, and what the configuration adds, each once", async () => {
    const headers = { accept: "text/event-stream", "x-team": "a", traceparent: "00-1", "user-agent": "curl" };
    expect(await headersOf({ headers }, {}, ["x-team", "accept", "user-agent"])).toEqual([
      "content-type: application/json",
      "accept-encoding: identity",
      "user-agent: curl",
      "via: 1.1 pointsman-0a1b2c3d",
      "accept: text/event-stream",
      "traceparent: 00-1",
      "x-team: a",
    ]);
  });

  test("Via passes with the gateway's own entry behind it, once", async () => {
    const lines = await headersOf({ headers: { via: "1.1 edge" } }, {}, ["via"]);
    expect(lines.filter((line) => line.startsWith("via"))).toEqual(["via: 1.1 edge, 1.1 pointsman-0a1b2c3d"]);
  });

  test("credentials, cookies and addresses do not", async () => {
    const headers = { authorization: "Bearer mine", cookie: "a=b", "x-forwarded-for": "10.0.0.1", "x-api-key": "mine" };
    const lines = await headersOf({ headers });
    expect(lines.filter((line) => /mine|a=b|10\.0/.test(line))).toEqual([]);
  });

  test("none takes the place of the worker's own key", async () => {
    const lines = await headersOf(
      { headers: { authorization: "Bearer mine" } },
      { apiKey: new Secret("the worker's") },
    );
    expect(lines.filter((line) => line.startsWith("authorization"))).toEqual(["authorization: Bearer the worker's"]);
  });
});

test("each try has a request id of its own, made of the client's", async () => {
  const ids = await Promise.all([forwarded(), forwarded()]);
  const [one, two] = ids.map(({ headers }) => /x-request-id: (\S+)/.exec(headers)?.[1]);
  expect([one?.startsWith("r1"), one === two]).toEqual([true, false]);
});
