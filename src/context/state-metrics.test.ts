import { describe, expect, test } from "bun:test";
import { idleCandidate, requestWith } from "../../test/support/candidates.ts";
import { Metrics } from "../observability/metrics.ts";
import { PolicyRegistry } from "../policy/policy-registry.ts";
import { VERSION } from "../util/version.ts";
import { LoadLedger } from "../worker/load-ledger.ts";
import { WorkerFactory } from "../worker/worker-factory.ts";
import { WorkerRegistry } from "../worker/worker-registry.ts";
import type { Worker } from "../worker/worker.ts";
import { exposeState } from "./state-metrics.ts";

interface Setup {
  readonly registry: WorkerRegistry;
  readonly ledger: LoadLedger;
  readonly panicking: Set<string>;
  readonly policies: PolicyRegistry;
  readonly trusts: Map<string, number>;
  readonly stop: () => void;
  add(url: string): Worker;
  /** Lines of the page that begin so. */
  lines(...names: string[]): string[];
}

function setUp(): Setup {
  const metrics = new Metrics();
  const ledger = new LoadLedger();
  const registry = new WorkerRegistry({ ledger });
  const panicking = new Set<string>();
  const policies = new PolicyRegistry({
    defaultPolicy: { policy: "consistent_hashing", config: {} },
    sessions: { maxIdleSecs: 60, maxSessions: 64, overrideSecs: 1 },
  });
  const trusts = new Map<string, number>();
  const cacheTrusts = { of: ({ url }: Worker) => trusts.get(url) };
  const stop = exposeState({
    metrics,
    workerRegistry: registry,
    policyRegistry: policies,
    outcomes: { panicking },
    cacheTrusts,
    workerSources: { list: () => [] },
  });
  return {
    registry,
    ledger,
    panicking,
    policies,
    trusts,
    stop,
    add(url) {
      const worker = new WorkerFactory({ ledger }).createFromUrl(url, { modelId: "m" });
      registry.register(worker);
      return worker;
    },
    lines: (...names) =>
      metrics
        .expose()
        .split("\n")
        .filter((line) => names.some((name) => line.startsWith(`${name}{`))),
  };
}

describe("the gauges of workers", () => {
  test("say how far what is known of a worker's cache has been right, where it is known", () => {
    const { add, trusts, lines } = setUp();
    for (const name of ["one", "two"]) add(`http://${name}:1`);
    trusts.set("http://two:1", 0.25);
    expect(lines("pointsman_cache_trust")).toEqual(['pointsman_cache_trust{worker="http://two:1"} 0.25']);
  });

  test("say how many there are of each status, also of those that no worker has", () => {
    const { registry, add, lines } = setUp();
    registry.update(add("http://one:1").id, { status: "ready" });
    add("http://two:1");
    expect(lines("pointsman_workers")).toEqual([
      'pointsman_workers{status="pending"} 1',
      'pointsman_workers{status="ready"} 1',
      'pointsman_workers{status="not_ready"} 0',
      'pointsman_workers{status="failed"} 0',
      'pointsman_workers{status="draining"} 0',
    ]);
  });

  test("say what each has in flight, how its breaker stands and whether it takes requests", () => {
    const { registry, ledger, add, lines } = setUp();
    const { id, slot } = add("http://one:1");
    ledger.charge(slot, 5);
    const names = ["pointsman_requests_in_flight", "pointsman_breaker_state", "pointsman_worker_up"];
    expect(lines(...names)).toEqual([
      'pointsman_requests_in_flight{model="m",worker="http://one:1"} 1',
      'pointsman_breaker_state{worker="http://one:1"} 0',
      'pointsman_worker_up{worker="http://one:1"} 0',
    ]);
    registry.update(id, { status: "ready", breakerState: "open" });
    expect(lines("pointsman_breaker_state", "pointsman_worker_up")).toEqual([
      'pointsman_breaker_state{worker="http://one:1"} 2',
      'pointsman_worker_up{worker="http://one:1"} 1',
    ]);
  });

  test("of one that has left are gone, until it is over", () => {
    const { registry, stop, add, lines } = setUp();
    const [one, two] = [add("http://one:1"), add("http://two:1")];
    expect(lines("pointsman_worker_up").length).toBe(2);
    registry.remove(one.id);
    expect(lines("pointsman_worker_up")).toEqual(['pointsman_worker_up{worker="http://two:1"} 0']);
    stop();
    registry.remove(two.id);
    expect(lines("pointsman_worker_up")).toEqual([]);
  });
});

test("a model that has too few workers left to eject any is named, as long as it is so", () => {
  const { panicking, lines } = setUp();
  panicking.add("m");
  expect(lines("pointsman_panic")).toEqual(['pointsman_panic{model="m"} 1']);
  panicking.clear();
  expect(lines("pointsman_panic")).toEqual([]);
});

test("the version is a label", () => {
  expect(setUp().lines("pointsman_build_info")).toEqual([`pointsman_build_info{version="${VERSION}"} 1`]);
});

test("the sessions and signals of policies are those that the policies have now", () => {
  const { policies, lines } = setUp();
  const { affinity, signals } = policies.onWorkerAdded("m");
  const worker = idleCandidate(0);
  for (const key of ["a", "b", undefined, "a"]) {
    const request = requestWith({ routingKey: () => key });
    affinity?.stayAt([worker], request);
    affinity?.chosen(worker.slot);
    signals?.onPick(request, worker);
  }
  expect(lines("pointsman_sessions")).toContain('pointsman_sessions{model="m",role="regular"} 2');
  const outcomes = lines("pointsman_session_requests_total").filter((line) => line.includes('model="m"'));
  expect(outcomes.map((line) => line.replace(/.*outcome=/, ""))).toEqual([
    '"kept"} 1',
    '"new"} 2',
    '"lost"} 0',
    '"moved"} 0',
    '"finished"} 0',
  ]);
  expect(lines("pointsman_policy_requests_without_signal_total")).toEqual([
    'pointsman_policy_requests_without_signal_total{model="m",role="regular",policy="consistent_hashing",signal="routing_key"} 1',
  ]);
  for (let count = 0; count < 40; count += 1) signals?.onPick(requestWith(), worker);
  expect(lines("pointsman_policy_signal_missing")).toHaveLength(1);
});
