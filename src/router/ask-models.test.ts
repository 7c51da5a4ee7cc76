import { describe, expect, test } from "bun:test";
import { setUpRouting } from "../../test/support/routing.ts";
import { type ErrorCode, GatewayError } from "../errors/errors.ts";
import { jsonReply, type Reply } from "../transport/downstream.ts";
import { askModels } from "./ask-models.ts";
import type { InferenceRequest } from "./router.ts";

const PLAN = { route: "gpt-4", models: ["big", "small"] };

interface Asked {
  readonly requests: InferenceRequest[];
  readonly setup: ReturnType<typeof setUpRouting>;
  readonly request: InferenceRequest;
  /** What came of it: the answer, or the code of the error. */
  run(plan?: typeof PLAN): Promise<Reply | string>;
}

/** `answers`: for each model that is asked in turn the code of its error, or undefined where it answers. */
function setUp(answers: readonly (ErrorCode | undefined)[], onAsk?: (asked: Asked) => void): Asked {
  const setup = setUpRouting();
  const requests: InferenceRequest[] = [];
  const request = setup.request({ model: "gpt-4", body: { messages: [], n: 1 } });
  const asked: Asked = {
    requests,
    setup,
    request,
    run: (plan = PLAN) =>
      askModels({ metrics: setup.metrics, totalMs: 1000, sessionHeaders: [] }, request, plan, async (one) => {
        const code = answers[requests.length];
        requests.push(one);
        onAsk?.(asked);
        if (code !== undefined) throw new GatewayError(code, `not ${one.model}`);
        return jsonReply({});
      }).catch((error: unknown) => (error instanceof GatewayError ? `${error.code}: ${error.message}` : "?")),
  };
  return asked;
}

test("the request goes to the model by its own name, and the answer comes back under the client's", async () => {
  const { run, requests, request } = setUp([undefined]);
  await run();
  const [sent] = requests;
  expect([sent?.model, sent?.answerName, sent?.features.model]).toEqual(["big", "gpt-4", "big"]);
  expect(sent?.body.bytes.toString()).toBe('{"model":"big","messages":[],"n":1}');
  expect([request.record.route, request.record.failedModels]).toEqual(["gpt-4", undefined]);
});

test("a route's own model gets the request as the client sent it", async () => {
  const { run, requests, request } = setUp([undefined]);
  await run({ route: "gpt-4", models: ["gpt-4", "small"] });
  expect(requests).toEqual([request]);
});

describe("the next model", () => {
  test("is asked after an error that is only this model's", async () => {
    const { run, requests, request, setup } = setUp(["no_available_workers", undefined]);
    expect(await run()).toEqual(jsonReply({}));
    expect(requests.map(({ model }) => model)).toEqual(["big", "small"]);
    expect(request.record.failedModels).toEqual([{ model: "big", code: "no_available_workers" }]);
    const page = setup.metrics.expose();
    expect(page).toContain('requests_total{route="gpt-4",model="big",outcome="passed_on"} 1');
    expect(page).toContain('requests_total{route="gpt-4",model="small",outcome="answered"} 1');
  });

  const FINAL: readonly ErrorCode[] = ["upstream_rejected", "invalid_request", "not_implemented", "internal_error"];
  for (const code of FINAL) {
    test(`is not asked after ${code}`, async () => {
      const { run, requests } = setUp([code, undefined]);
      expect(await run()).toBe(`${code}: not big`);
      expect(requests.length).toBe(1);
    });
  }

  test("is not asked when the client has left", async () => {
    const { run, requests } = setUp(["upstream_closed", undefined], ({ setup }) => setup.client.leave(undefined));
    expect(await run()).toBe("upstream_closed: not big");
    expect(requests.length).toBe(1);
  });

  test("is not asked when the request's time is over", async () => {
    const { run, requests } = setUp(["upstream_timeout", undefined], ({ setup }) => setup.clock.advance(1000));
    expect(await run()).toBe("upstream_timeout: not big");
    expect(requests.length).toBe(1);
  });
});

describe("where none answers the client gets", () => {
  test("the error of the first, which it meant", async () => {
    expect(await setUp(["upstream_busy", "model_not_found"]).run()).toBe("upstream_busy: not big");
  });

  test("its own name for what does not exist", async () => {
    const told = await setUp(["model_not_found", "model_not_found"]).run();
    expect(told).toBe('model_not_found: the model "gpt-4" does not exist here');
  });

  test("what a later model says of the request itself", async () => {
    expect(await setUp(["upstream_busy", "upstream_rejected"]).run()).toBe("upstream_rejected: not small");
  });
});
