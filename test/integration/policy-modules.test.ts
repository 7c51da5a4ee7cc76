import { expect, test } from "bun:test";
import { join } from "node:path";
import type { Logger } from "../../src/observability/logger.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post, startGateway } from "../support/gateway.ts";

const CHAT = "/v1/chat/completions";
const examples = join(import.meta.dir, "../../examples");

/** A logger that keeps the lines of a choice, and what goes wrong. */
function keepChoices(): { readonly logger: Logger; readonly choices: object[]; readonly errors: object[] } {
  const [choices, errors]: [object[], object[]] = [[], []];
  const logger: Logger = {
    debug: (fields, message) => {
      if (message === "choice") choices.push(fields);
    },
    info: () => undefined,
    warn: () => undefined,
    error: (fields) => void errors.push(fields),
  };
  return { logger, choices, errors };
}

test("the example that learns sends requests to the worker whose first tokens come sooner, and the log says what it weighed", async () => {
  await using slow = await startEngine({ instant: false, timing: { prefillTokensPerSec: 50, decodeMs: 1 } });
  await using quick = await startEngine({ instant: false, timing: { prefillTokensPerSec: 50_000, decodeMs: 1 } });
  const { logger, choices, errors } = keepChoices();
  await using gateway = await startGateway({
    workers: [slow.url, quick.url],
    config: { policyModule: join(examples, "learning-policy.ts"), defaultPolicy: "quickest", logLevel: "debug" },
    overrides: { logger },
  });
  for (let count = 0; count < 8; count += 1) {
    await (await post(`${gateway.url}${CHAT}`, { ...HELLO, stream: true, max_tokens: 2 })).text();
  }
  // Each is tried once, as nothing is known of it.
  expect([slow.requests.length, quick.requests.length]).toEqual([1, 7]);
  expect(errors).toEqual([]);
  expect(choices.length).toBe(8);
  expect(choices[0]).toMatchObject({ policy: "quickest", candidates: 2, cost: 0 });
  const last = choices.at(-1);
  expect(last).toMatchObject({
    worker_url: quick.url,
    cheapest: [{ worker_url: quick.url }, { worker_url: slow.url }],
  });
});

test("an option of a module comes from the pattern's config", async () => {
  await using first = await startEngine();
  await using second = await startEngine();
  await using gateway = await startGateway({
    workers: [first.url, second.url],
    config: {
      policyModule: join(examples, "custom-policy.ts"),
      modelPolicies: { patterns: [{ match: "*", policy: "long_first", config: { longTokens: 0 } }] },
    },
  });
  for (let count = 0; count < 3; count += 1) await (await post(`${gateway.url}${CHAT}`, HELLO)).text();
  // Every prompt is long.
  expect([first.requests.length, second.requests.length]).toEqual([3, 0]);
});

test("an option that the module refuses stops the start", async () => {
  const starting = startGateway({
    config: {
      policyModule: join(examples, "custom-policy.ts"),
      modelPolicies: { patterns: [{ match: "*", policy: "long_first", config: { longTokens: "many" } }] },
    },
  });
  const failure: unknown = await starting.catch((error: unknown) => error);
  expect(String(failure)).toContain("the options of the policy long_first are not valid: long_tokens must be a number");
});

test("without the level debug nobody is asked for costs, and no choice is logged", async () => {
  await using engine = await startEngine();
  const { logger, choices } = keepChoices();
  await using gateway = await startGateway({ workers: [engine.url], overrides: { logger } });
  await (await post(`${gateway.url}${CHAT}`, HELLO)).text();
  expect(choices).toEqual([]);
});
