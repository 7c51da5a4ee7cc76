import { describe, expect, test } from "bun:test";
import { configSchema } from "../../src/config/schema.ts";
import { Secret } from "../../src/util/secret.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post, startGateway, type TestGateway } from "../support/gateway.ts";
import { startPdFleet } from "../support/pd-engines.ts";
import { startPdGateway } from "../support/pd-gateway.ts";

const CHAT = "/v1/chat/completions";
const KEYS = { apiKey: new Secret("serving"), adminApiKey: new Secret("admin") };
const CLIENT = { authorization: "Bearer serving" };
const ASKED = { ...CLIENT, "x-pointsman-explain": "1", "x-pointsman-admin-key": "admin" };

interface Receipt {
  readonly request_id: string;
  readonly attempt: number;
  readonly legs: readonly { readonly role: string; readonly worker: string; readonly reason: string }[];
}

function receiptIn({ headers }: Response): Receipt | undefined {
  const text = headers.get("x-pointsman-decision");
  return text === null ? undefined : (JSON.parse(text) as Receipt);
}

function chat(
  { url }: Pick<TestGateway, "url">,
  headers: Record<string, string>,
  body: object = {},
): Promise<Response> {
  return post(`${url}${CHAT}`, { ...HELLO, ...body }, headers);
}

test("who asks with the admin key is told why, on answers and on streams, and the worker hears nothing of it", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({
    workers: [engine.url],
    config: { ...KEYS, defaultPolicy: "shortest_queue", decisionLogSize: 0 },
  });
  for (const stream of [false, true]) {
    const response = await chat(gateway, { ...ASKED, "x-request-id": "mine" }, { stream });
    expect(receiptIn(response)).toMatchObject({
      request_id: "mine",
      attempt: 1,
      legs: [{ worker: engine.url, reason: "only_one", considered: [{ worker: engine.url, cost: 0 }] }],
    });
    await response.text();
  }
  for (const { headers } of engine.requests) {
    expect(Object.keys(headers).filter((name) => name.startsWith("x-pointsman"))).toEqual([]);
  }
});

test("who does not ask gets no receipt", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({
    workers: [engine.url],
    config: { ...KEYS, decisionExplainRatio: 1 },
  });
  const silent: readonly Record<string, string>[] = [CLIENT, { ...ASKED, "x-pointsman-explain": "0" }];
  for (const headers of silent) {
    const response = await chat(gateway, headers);
    expect([response.status, receiptIn(response)]).toEqual([200, undefined]);
  }
});

test("who asks without the admin key is refused, and so is a question that makes no sense", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({ workers: [engine.url], config: KEYS });
  const asked = async (headers: Record<string, string>): Promise<[number, Receipt | undefined]> => {
    const response = await chat(gateway, { ...CLIENT, ...headers });
    return [response.status, receiptIn(response)];
  };
  expect(await asked({ "x-pointsman-explain": "1" })).toEqual([401, undefined]);
  expect(await asked({ "x-pointsman-explain": "1", "x-pointsman-admin-key": "serving" })).toEqual([401, undefined]);
  expect(await asked({ "x-pointsman-explain": "why", "x-pointsman-admin-key": "admin" })).toEqual([400, undefined]);
  expect(engine.requests.filter(({ path }) => path === CHAT)).toEqual([]);
});

test("the answer after a failure tells of the second try, and an error of the last one", async () => {
  const gone = await startEngine();
  const good = await startEngine();
  await using gateway = await startGateway({ workers: [gone.url, good.url], config: { disableHealthCheck: true } });
  await gone[Symbol.asyncDispose]();
  const receipts: (Receipt | undefined)[] = [];
  for (let count = 0; count < 2; count += 1)
    receipts.push(receiptIn(await chat(gateway, { "x-pointsman-explain": "1" })));
  expect(receipts.map((receipt) => receipt?.legs[0]?.worker)).toEqual([good.url, good.url]);
  expect(receipts.map((receipt) => receipt?.attempt)).toContain(2);
  await good[Symbol.asyncDispose]();
  const response = await chat(gateway, { "x-pointsman-explain": "1" });
  expect(response.status).toBe(502);
  expect(receiptIn(response)?.legs.length).toBe(1);
});

test("a pair has both of its workers", async () => {
  await using fleet = await startPdFleet({ dialect: "nixl" });
  await using gateway = await startPdGateway([["nixl", fleet]]);
  const response = await chat(gateway, { "x-pointsman-explain": "1" });
  expect(receiptIn(response)?.legs.map(({ role }) => role)).toEqual(["prefill", "decode"]);
  await response.text();
});

describe("the headers of a receipt", () => {
  for (const header of ["x-pointsman-admin-key", "X-Pointsman-Explain"]) {
    test(`${header} cannot be passed on to workers`, () => {
      expect(configSchema.safeParse({ forwardHeaders: [header] }).success).toBe(false);
    });
  }
});
