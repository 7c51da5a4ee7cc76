import { SESSION_HEADERS } from "../util/session-headers.ts";
import { describe, expect, test } from "bun:test";
import { bodyOf } from "../../test/support/answers.ts";
import { endpointNamed } from "../../test/support/endpoints.ts";
import { setUpFleet } from "../../test/support/fleet.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { connectorNamed } from "../engine/connectors.ts";
import { GatewayError } from "../errors/errors.ts";
import { RequestRecord } from "../observability/request-record.ts";
import { type Endpoint, generate } from "../protocol/endpoint.ts";
import { readCompletion } from "../protocol/openai/completion-request.ts";
import { openaiDialect } from "../protocol/openai/dialect.ts";
import { oneToken } from "../protocol/openai/one-token.ts";
import type { InferenceRequest } from "../router/router.ts";
import { LeaveController } from "../util/leave-signal.ts";
import { readRequest } from "./read-request.ts";

interface Given {
  readonly endpoint?: Endpoint;
  readonly isModelRequired?: boolean;
  readonly headers?: Record<string, string>;
}

const CHAT = endpointNamed("chat_completions");

function read(body: object, { endpoint = CHAT, isModelRequired = false, headers = {} }: Given = {}): InferenceRequest {
  const record = new RequestRecord("r", endpoint.name, { settle: () => undefined }, new ManualClock());
  const request = { headers: new Headers(headers), signal: new LeaveController() };
  return readRequest({
    endpoint,
    request,
    body: bodyOf(body),
    record,
    isModelRequired,
    sessionHeaders: SESSION_HEADERS,
  });
}

/** Code and param of the refusal. */
function refused(body: object, given: Given = {}): readonly [code: string, param: string | undefined] | undefined {
  try {
    read(body, given);
    return undefined;
  } catch (error) {
    if (error instanceof GatewayError) return [error.code, error.details.param];
    throw error;
  }
}

describe("the model of a request", () => {
  test("is what the client names, and an empty name or null is none", () => {
    expect(read({ model: "llama-3" }).model).toBe("llama-3");
    for (const body of [{}, { model: "" }, { model: null }])
      expect([read(body).model, read(body).features.model]).toEqual([undefined, ""]);
  });

  test("must be a name", () => {
    for (const model of [7, true, ["m"], { id: "m" }, "x".repeat(70_000)]) {
      expect(refused({ model })).toEqual(["invalid_request", "model"]);
      // One that is a string, and too long, is not told that it must be a string alone.
      expect(() => read({ model })).toThrow("model must be a string of 64 KiB at most");
    }
  });

  test("must be there where the gateway has several", () => {
    for (const body of [{}, { model: "" }, { model: null }]) {
      expect(refused(body, { isModelRequired: true })).toEqual(["missing_model", "model"]);
    }
    expect(refused({ model: "m" }, { isModelRequired: true })).toBeUndefined();
  });
});

describe("a request for a stream", () => {
  test("is one where the endpoint can stream, and is on the record", () => {
    const streamed = (body: object, endpoint?: Endpoint): readonly boolean[] => {
      const { isStream, record, features } = read(body, endpoint ? { endpoint } : {});
      return [isStream, record.isStream, features.isStream];
    };
    expect(streamed({ stream: true })).toEqual([true, true, true]);
    for (const body of [{ stream: false }, { stream: null }, {}]) expect(streamed(body)).toEqual([false, false, false]);
    expect(streamed({ stream: true }, endpointNamed("embeddings"))).toEqual([false, false, false]);
  });

  test("says so with true or false", () => {
    for (const stream of ["true", 1, {}]) expect(refused({ stream })).toEqual(["invalid_request", "stream"]);
  });
});

describe("an endpoint that the gateway has not heard of", () => {
  const madeUp = generate({
    name: "made_up",
    operation: "chat",
    path: "/v1/made-up",
    dialect: openaiDialect,
    canStream: true,
    promptMembers: ["rules", "story"],
    bounds: new Map([["endings", { kind: "number", least: 1, most: 3 }]]),
    read: (body) => readCompletion(bodyOf({ prompt: body.value("story") })),
    sequences: (body) => Number(body.value("endings") ?? 1),
    continuation: undefined,
    oneToken: (body) => oneToken(body, "max_tokens").set("endings", "1"),
    takesRoom: false,
    canParseOutput: false,
  });
  const story = { model: "m", story: "Once", rules: "be kind", endings: 2, stream: true };

  test("is bounded by its own row, and by no other", () => {
    expect(refused({ ...story, endings: 4 }, { endpoint: madeUp })).toEqual(["invalid_request", "endings"]);
    expect(refused({ ...story, n: 1e9 }, { endpoint: madeUp })).toBeUndefined();
    expect(refused({ ...story, endings: 4 })).toBeUndefined();
  });

  test("has the features that a policy asks for", () => {
    const { features, isStream } = read(story, { endpoint: madeUp, headers: { "x-session-id": "s1" } });
    expect(Buffer.from(features.promptBytes()).toString()).toBe('"be kind""Once"');
    expect([features.model, features.routingKey(), isStream]).toEqual(["m", "s1", true]);
  });

  test("is all that routers and connectors need of it", () => {
    const { endpoint, body } = read(story, { endpoint: madeUp });
    expect(endpoint.sequences(body)).toBe(2);
    expect(endpoint.read?.(body)).toMatchObject({ api: { generation: { prompts: [{ text: "Once" }] } } });
    expect([connectorNamed("nixl").serves(endpoint), connectorNamed("sglang").serves(endpoint)]).toEqual([true, false]);
    const worker = setUpFleet().add("http://w:1", { modelId: "m" });
    const pd = { endpoint, body, prefill: worker, decode: worker, requestId: "r" };
    const ids = { rank: 0, rooms: [1n], transferId: "x", requestId: "r" };
    const { members } = connectorNamed("nixl").prefill(pd, ids);
    expect(["stream", "max_tokens", "endings"].map((name) => members.get(name))).toEqual(["false", "1", "1"]);
  });
});
