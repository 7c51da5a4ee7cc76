import { expect, test } from "bun:test";
import { FIRST, type RoutingSetup, setUpRouting } from "../../test/support/routing.ts";
import { clientClosed, type ErrorCode, GatewayError } from "../errors/errors.ts";
import { RetryBudget } from "./retry-budget.ts";
import { dispatch } from "./retry.ts";
import type { Choice } from "./choice.ts";
import type { Try } from "./try.ts";

const NOBODY: ReadonlySet<string> = new Set();

function choiceOf({ registry }: RoutingSetup): Choice {
  const snapshot = registry.getWorkersForModel("m", "http", "regular");
  const answer = { role: "regular", snapshot, policy: FIRST } as const;
  return { legs: { prefill: undefined, answer }, lost: NOBODY, fits: () => true, prefillsAlone: () => false };
}

/** Two workers, and the hosts that were asked until one answers; each failure in turn is this. */
async function ask(
  setup: RoutingSetup,
  failures: readonly ErrorCode[],
  onTry: () => void = () => undefined,
): Promise<{ readonly asked: string[]; readonly ended: unknown }> {
  const asked: string[] = [];
  const send = ({ answer }: Try): Promise<string> => {
    const code = failures[asked.length];
    asked.push(new URL(answer.worker.url).hostname);
    onTry();
    return code ? Promise.reject(new GatewayError(code, code)) : Promise.resolve("answered");
  };
  const ended = await dispatch(setup.deps, setup.request(), choiceOf(setup), send).catch((error: unknown) => error);
  return { asked, ended };
}

function setUp(settings?: Parameters<typeof setUpRouting>[0]): RoutingSetup {
  const setup = setUpRouting(settings);
  setup.add("http://one:1", { modelId: "m" });
  setup.add("http://two:1", { modelId: "m" });
  return setup;
}

test("an answer ends it, and its attempt is left to the relay", async () => {
  const setup = setUp();
  expect(await ask(setup, [])).toEqual({ asked: ["one"], ended: "answered" });
  expect(setup.ledger.totals().inFlight).toBe(1);
});

test("a worker that could not be reached is left out, and another one is asked", async () => {
  const setup = setUp();
  expect(await ask(setup, ["upstream_connect_failed"])).toEqual({ asked: ["one", "two"], ended: "answered" });
  expect(setup.metrics.expose()).toContain('pointsman_retries_total{code="upstream_connect_failed"} 1');
});

test("an error that may not be tried again ends it", async () => {
  const { asked, ended } = await ask(setUp(), ["upstream_rejected"]);
  expect([asked, ended]).toMatchObject([["one"], { code: "upstream_rejected" }]);
});

test("a client that has left ends it", async () => {
  const setup = setUp();
  const { asked } = await ask(setup, ["upstream_connect_failed"], () => setup.client.leave(clientClosed()));
  expect(asked).toEqual(["one"]);
});

test("there are two tries at most", async () => {
  const { asked, ended } = await ask(setUp(), ["upstream_connect_failed", "upstream_busy"]);
  expect([asked, ended]).toMatchObject([["one", "two"], { code: "upstream_busy" }]);
});

test("with one attempt there is no second", async () => {
  const setup = setUp({ retry: { maxAttempts: 1, backoffMs: 0, jitterRatio: 0 } });
  expect((await ask(setup, ["upstream_connect_failed"])).asked).toEqual(["one"]);
});

test("the only worker is not asked again", async () => {
  const setup = setUpRouting();
  setup.add("http://one:1", { modelId: "m" });
  expect((await ask(setup, ["upstream_connect_failed"])).asked).toEqual(["one"]);
});

test("the only worker is asked again after a pause where it closed an idle connection as the request went out", async () => {
  const setup = setUpRouting();
  setup.add("http://one:1", { modelId: "m" });
  const asking = ask(setup, ["upstream_stale_socket"]);
  await Promise.resolve();
  while (setup.clock.pending === 0) await Promise.resolve();
  setup.clock.advance(49);
  expect(setup.clock.pending).toBeGreaterThan(0);
  setup.clock.advance(1);
  expect(await asking).toEqual({ asked: ["one", "one"], ended: "answered" });
});

test("a client that leaves during the pause ends it", async () => {
  const setup = setUpRouting();
  setup.add("http://one:1", { modelId: "m" });
  const asking = ask(setup, ["upstream_stale_socket"]);
  while (setup.clock.pending === 0) await Promise.resolve();
  setup.client.leave(clientClosed());
  expect(await asking).toMatchObject({ asked: ["one"], ended: { code: "client_closed" } });
});

test("beyond the budget there is no second try", async () => {
  const setup = setUpRouting();
  const { clock } = setup;
  const poor = setUp({ budget: new RetryBudget({ minPerSec: 0, ratio: 0 }, clock) });
  expect((await ask(poor, ["upstream_connect_failed"])).asked).toEqual(["one"]);
});

test("nothing that failed stays counted in flight", async () => {
  const setup = setUp();
  await ask(setup, ["upstream_connect_failed", "upstream_rejected"]);
  expect(setup.ledger.totals().inFlight).toBe(0);
});
