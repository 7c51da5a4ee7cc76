import { describe, expect, test } from "bun:test";
import { fixed, keyNamed, ringOf } from "../../test/support/keys.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { refusal } from "../../test/support/refusal.ts";
import { type RequestOptions, setUpRouting } from "../../test/support/routing.ts";
import { UNLIMITED } from "../keys/key-record.ts";
import type { Limits } from "../keys/principal.ts";
import { requestWith } from "../../test/support/candidates.ts";
import type { InferenceRequest } from "../router/router.ts";
import { LimitedUse } from "./limited-use.ts";

const PROMPT_TOKENS = 100;

/** A caller with these limits, and what is left of them. */
function setUp(said: Partial<Limits>): {
  readonly use: (request: InferenceRequest) => LimitedUse;
  readonly request: (options?: RequestOptions) => InferenceRequest;
  readonly left: () => (number | undefined)[];
} {
  const limits = { ...UNLIMITED, ...said };
  const ring = ringOf(fixed([keyNamed("a", { limits })]), { clock: new ManualClock() });
  const found = ring.table().find("a");
  if (typeof found !== "object") throw new Error("there is no such key");
  const { principal } = found;
  const counts = ring.limits();
  const routing = setUpRouting();
  return {
    use(request) {
      const use = new LimitedUse(counts, principal, limits);
      use.enter(request.record);
      return use;
    },
    request: (options) => ({
      ...routing.request(options),
      features: requestWith({ model: "m", promptTokens: PROMPT_TOKENS }),
    }),
    left() {
      const { requests, tokens } = counts.states(principal, limits);
      return [requests?.remaining, tokens?.remaining];
    },
  };
}

function counted(promptTokens: number, completionTokens: number | undefined): InferenceRequest["record"]["tokens"] {
  return { promptTokens, completionTokens, cachedTokens: undefined };
}

describe("a request of a caller with limits", () => {
  test("counts once, and stays counted when a worker has answered or failed", () => {
    for (const [status, attempts] of [
      [200, 1],
      [400, 0],
      [429, 1],
      [503, 2],
    ] as const) {
      const { use, request, left } = setUp({ requestsPerMinute: 10 });
      const { record } = request();
      record.attempts = attempts;
      use({ ...request(), record });
      expect(left()).toEqual([9, undefined]);
      record.settle(status, status === 200 ? undefined : "upstream_busy");
      record.settle(status);
      expect([status, ...left()]).toEqual([status, 9, undefined]);
    }
  });

  test("does not count where the gateway refused it for its own reasons before any worker was asked", () => {
    for (const status of [429, 503, 529]) {
      const { use, request, left } = setUp({ requestsPerMinute: 10, tokensPerMinute: 1000 });
      const asked = request();
      use(asked).reserve(asked);
      asked.record.settle(status, "queue_full");
      expect([status, ...left()]).toEqual([status, 10, 1000]);
    }
  });

  test("is in flight until it is over", () => {
    const { use, request } = setUp({ maxConcurrent: 1 });
    const first = request();
    use(first);
    expect(refusal(() => use(request()))).toEqual(["rate_limit_exceeded", 429, 1]);
    first.record.settle(200);
    expect(refusal(() => use(request()))).toEqual([]);
  });
});

describe("the tokens of a request", () => {
  test("are expected by its prompt, and by the longest answer that each of its answers may have", () => {
    const bodies: readonly [body: object, tokens: number][] = [
      [{ max_tokens: 50 }, PROMPT_TOKENS + 50],
      [{ max_tokens: 50, n: 3 }, PROMPT_TOKENS + 150],
      [{}, PROMPT_TOKENS + 256],
    ];
    for (const [body, tokens] of bodies) {
      const { use, request, left } = setUp({ tokensPerMinute: 1000 });
      const asked = request({ body });
      use(asked).reserve(asked);
      expect(left()).toEqual([undefined, 1000 - tokens]);
    }
    const { use, request, left } = setUp({ tokensPerMinute: 1000 });
    const embedding = request({ path: "/v1/embeddings", body: { input: "hello", max_tokens: 50 } });
    use(embedding).reserve(embedding);
    expect(left()).toEqual([undefined, 1000 - PROMPT_TOKENS]);
  });

  test("are refused where they are more than a minute's, or than what is left of it", () => {
    const { use, request, left } = setUp({ tokensPerMinute: 1000 });
    const large = request({ body: { max_tokens: 901 } });
    expect(refusal(() => use(large).reserve(large))[0]).toBe("request_over_limit");
    large.record.settle(400, "request_over_limit");
    expect(left()).toEqual([undefined, 1000]);
    const [first, second] = [request({ body: { max_tokens: 500 } }), request({ body: { max_tokens: 500 } })];
    use(first).reserve(first);
    expect(refusal(() => use(second).reserve(second))[0]).toBe("rate_limit_exceeded");
    second.record.settle(429, "rate_limit_exceeded");
    expect(left()).toEqual([undefined, 400]);
  });

  test("are in the end those that the worker counted, more or fewer than were expected", () => {
    for (const tokens of [counted(120, 30), counted(120, 400)]) {
      const { use, request, left } = setUp({ tokensPerMinute: 1000 });
      const asked = request({ body: { max_tokens: 200 } });
      use(asked).reserve(asked);
      asked.record.attempts = 1;
      asked.record.tokens = tokens;
      asked.record.settle(200);
      expect(left()).toEqual([undefined, 1000 - 120 - (tokens?.completionTokens ?? 0)]);
    }
  });

  test("are estimated by what came, where the worker counted nothing", () => {
    const ends: readonly [
      isStream: boolean,
      events: number,
      status: number,
      code: string | undefined,
      spent: number,
    ][] = [
      // A stream costs its prompt and its events, also where it was cut.
      [true, 7, 200, undefined, PROMPT_TOKENS + 7],
      [true, 7, 200, "upstream_reset", PROMPT_TOKENS + 7],
      // Of a whole answer nothing is known but what was expected.
      [false, 0, 200, undefined, PROMPT_TOKENS + 50],
      // A worker that failed has done nothing, and one whose client left has read the prompt.
      [true, 0, 502, "upstream_closed", 0],
      [false, 0, 502, "upstream_closed", 0],
      [true, 0, 499, "client_closed", PROMPT_TOKENS],
      [false, 0, 499, "client_closed", PROMPT_TOKENS],
    ];
    for (const [isStream, events, status, code, spent] of ends) {
      const { use, request, left } = setUp({ tokensPerMinute: 1000 });
      const asked = request({ body: { max_tokens: 50 } });
      use(asked).reserve(asked);
      Object.assign(asked.record, { isStream, events, attempts: 1 });
      asked.record.settle(status, code);
      expect([isStream, status, code, ...left()]).toEqual([isStream, status, code, undefined, 1000 - spent]);
    }
  });
});
