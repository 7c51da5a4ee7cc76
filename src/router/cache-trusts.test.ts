import { expect, test } from "bun:test";
import { setUpFleet } from "../../test/support/fleet.ts";
import { PolicyRegistry } from "../policy/policy-registry.ts";
import { CacheTrusts } from "./cache-trusts.ts";

test("a worker whose cache is not what was expected is told once, and once again when it is", () => {
  const { registry, clock, logger, lines, add } = setUpFleet();
  const trust = new Map<number, number>();
  const create = () => ({ name: "own", pick: () => 0, cacheTrust: (slot: number) => trust.get(slot) });
  const policies = new PolicyRegistry({
    defaultPolicy: { policy: "own", config: {} },
    custom: [{ name: "own", create, check: () => undefined }],
  });
  const [one, two] = [add("http://one:1", { modelId: "m" }), add("http://two:1", { modelId: "m" })];
  policies.onWorkerAdded("m");
  using trusts = new CacheTrusts({ workers: registry, policies, clock, logger });
  const told = (value: number): unknown[] => {
    trust.set(one.slot, value);
    const before = lines.length;
    clock.advance(30_000);
    return lines.slice(before).map(({ level, fields }) => [level, fields]);
  };
  expect(told(0.6)).toEqual([]);
  expect(told(0.456)).toEqual([["warn", { worker: one.id, url: "http://one:1", cache_trust: 0.46 }]]);
  expect([told(0.1), told(0.6)]).toEqual([[], []]);
  expect(told(0.8)).toMatchObject([["info", { worker: one.id }]]);
  expect([trusts.of(one), trusts.of(two)]).toEqual([0.8, undefined]);
});
