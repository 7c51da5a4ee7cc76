import { expect, test } from "bun:test";
import { createPolicy, requestWith } from "../../test/support/candidates.ts";
import { type RoutingSetup, setUpRouting } from "../../test/support/routing.ts";
import { type ErrorCode, GatewayError } from "../errors/errors.ts";
import { cacheAware } from "../policy/cache-aware.ts";
import type { PickEnd, Policy, RequestFeatures } from "../policy/policy.ts";
import { dispatch } from "./retry.ts";
import type { Try } from "./try.ts";

/** What a policy hears of a request that is sent more than once. */

interface Asked {
  /** Hosts of the workers, in their order. */
  readonly asked: string[];
  readonly ended: unknown;
}

/** Sends until a worker answers; each failure in turn is this. An answer ends its attempt. */
async function ask(
  setup: RoutingSetup,
  policy: Policy,
  failures: readonly ErrorCode[],
  features: RequestFeatures = requestWith(),
): Promise<Asked> {
  const asked: string[] = [];
  const snapshot = setup.registry.getWorkersForModel("m", "http", "regular");
  const legs = { prefill: undefined, answer: { role: "regular", snapshot, policy } } as const;
  const send = async ({ answer }: Try): Promise<string> => {
    const code = failures[asked.length];
    asked.push(new URL(answer.worker.url).hostname);
    if (code) throw new GatewayError(code, code);
    answer.end();
    return "answered";
  };
  const choice = { legs, lost: new Set<string>(), fits: () => true, prefillsAlone: () => false };
  const ended = await dispatch(setup.deps, { ...setup.request(), features }, choice, send).catch(
    (error: unknown) => error,
  );
  return { asked, ended };
}

function setUp(hosts: readonly string[], maxAttempts = 2): RoutingSetup {
  const setup = setUpRouting({ retry: { maxAttempts, backoffMs: 50, jitterRatio: 0 } });
  for (const host of hosts) setup.add(`http://${host}:1`, { modelId: "m" });
  return setup;
}

/** Takes the first candidate, and writes down of how many, and how it ended. */
function listening(): { readonly policy: Policy; readonly heard: string[] } {
  const heard: string[] = [];
  const policy: Policy = {
    name: "listening",
    pick(candidates) {
      const host = new URL(candidates[0]?.url ?? "http://nobody").hostname;
      heard.push(`${host} of ${candidates.length}`);
      return { index: 0, onEnd: ({ outcome }: PickEnd) => void heard.push(`${host} ${outcome}`) };
    },
  };
  return { policy, heard };
}

test("over three attempts a prompt is read and hashed once", async () => {
  let reads = 0;
  const prompt = Buffer.from("a prompt of several blocks ".repeat(40));
  const features = requestWith({ promptBytes: () => ((reads += 1), prompt) });
  const lost = ["upstream_connect_failed", "upstream_connect_failed"] as const;
  const { asked, ended } = await ask(setUp(["one", "two", "three"], 3), createPolicy(cacheAware), lost, features);
  expect([new Set(asked).size, ended, reads]).toEqual([3, "answered", 1]);
});

test("the policy hears how an attempt ended before it is asked for the next one, without the worker that failed", async () => {
  const { policy, heard } = listening();
  expect((await ask(setUp(["one", "two"]), policy, ["upstream_connect_failed"])).ended).toBe("answered");
  expect(heard).toEqual(["one of 2", "one failed", "two of 1", "two answered"]);
});

test("the policy is asked again about a worker that closed its connection as the request went out", async () => {
  const setup = setUp(["one"]);
  const { policy, heard } = listening();
  const asking = ask(setup, policy, ["upstream_stale_socket"]);
  while (setup.clock.pending === 0) await Promise.resolve();
  setup.clock.advance(50);
  expect((await asking).asked).toEqual(["one", "one"]);
  expect(heard).toEqual(["one of 1", "one abandoned", "one of 1", "one answered"]);
});

test("the policy hears of the last attempt too, where that ends the request", async () => {
  const setup = setUp(["one", "two"]);
  const { policy, heard } = listening();
  const { ended } = await ask(setup, policy, ["upstream_connect_failed", "upstream_connect_failed"]);
  expect(ended).toMatchObject({ code: "upstream_connect_failed" });
  expect(heard).toEqual(["one of 2", "one failed", "two of 1", "two failed"]);
  expect(setup.ledger.totals().inFlight).toBe(0);
});
