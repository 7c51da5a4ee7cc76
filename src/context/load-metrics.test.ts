import { expect, test } from "bun:test";
import { setUpFleet, type FleetSetup } from "../../test/support/fleet.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { settled } from "../../test/support/settled.ts";
import type { JsonObject } from "../protocol/json/json.ts";
import { Metrics } from "../observability/metrics.ts";
import { loadIntervalMs } from "./settings.ts";
import { exposeLoads } from "./load-metrics.ts";

interface Setup extends Omit<FleetSetup, "lines"> {
  readonly gauge: ManualClock;
  /** What each worker's engine says, by its address. */
  readonly said: Map<string, JsonObject>;
  readonly rounds: () => number;
  lines(name: string): string[];
}

function setUp(config: { engineLoadIntervalSecs?: number; metricsCompat?: readonly "llm-d"[] } = {}): Setup {
  const fleet = setUpFleet();
  const metrics = new Metrics();
  const gauge = new ManualClock();
  const said = new Map<string, JsonObject>();
  let rounds = 0;
  exposeLoads({
    everyMs: loadIntervalMs({
      engineLoadIntervalSecs: config.engineLoadIntervalSecs,
      metricsCompat: [...(config.metricsCompat ?? [])],
    }),
    clock: gauge,
    metrics,
    workerRegistry: fleet.registry,
    fleet: {
      loads: async () => {
        rounds += 1;
        return fleet.registry.all().map((worker) => ({ worker, value: said.get(worker.url), error: undefined }));
      },
    },
  });
  const lines = (name: string): string[] =>
    metrics
      .expose([], config.metricsCompat)
      .split("\n")
      .filter((line) => line.startsWith(`${name}{`));
  return { ...fleet, gauge, said, rounds: () => rounds, lines };
}

function load(running: number, waiting: number, usage: number): JsonObject {
  return { loads: [{ num_running_reqs: running, num_waiting_reqs: waiting, token_usage: usage }] };
}

async function oneRound({ gauge }: Setup): Promise<void> {
  gauge.advance(0);
  await settled();
}

test("engines are asked only where names of other programs are wanted, or the option says so", async () => {
  for (const [config, wanted] of [
    [{}, 0],
    [{ engineLoadIntervalSecs: 5 }, 1],
    [{ metricsCompat: ["llm-d" as const] }, 1],
    [{ metricsCompat: ["llm-d" as const], engineLoadIntervalSecs: 0 }, 0],
  ] as const) {
    const setup = setUp({
      ...config,
      ...("metricsCompat" in config ? { metricsCompat: [...config.metricsCompat] } : {}),
    });
    await oneRound(setup);
    expect([config, setup.rounds()]).toEqual([config, wanted]);
  }
});

test("saturation is the larger of queue and cache by the bounds of llm-d, and the mean over the workers", async () => {
  const setup = setUp({ metricsCompat: ["llm-d"] });
  setup.add("http://a:1", { modelId: "m" });
  setup.add("http://b:1", { modelId: "m" });
  setup.said.set("http://a:1", load(8, 5, 0.4)).set("http://b:1", load(2, 0, 0.4));
  await oneRound(setup);
  expect(setup.lines("pointsman_worker_saturation")).toEqual([
    'pointsman_worker_saturation{model="m",worker="http://a:1",source="engine"} 1',
    'pointsman_worker_saturation{model="m",worker="http://b:1",source="engine"} 0.5',
  ]);
  expect(setup.lines("pointsman_saturation")).toEqual([
    'pointsman_saturation{model="m",stage="decode"} 0.75',
    'pointsman_saturation{model="m",stage="effective"} 0.75',
  ]);
  expect(setup.lines("llm_d_epp_flow_control_pool_saturation")).toEqual([
    'llm_d_epp_flow_control_pool_saturation{inference_pool="pointsman",stage="decode"} 0.75',
    'llm_d_epp_flow_control_pool_saturation{inference_pool="pointsman",stage="effective"} 0.75',
  ]);
  expect(setup.lines("inference_pool_average_queue_size")).toEqual([
    'inference_pool_average_queue_size{name="pointsman"} 2.5',
  ]);
  expect(setup.lines("inference_pool_average_kv_cache_utilization")).toEqual([
    'inference_pool_average_kv_cache_utilization{name="pointsman"} 0.4',
  ]);
});

test("prefill and decode are stages of their own, and the fuller one is in effect", async () => {
  const setup = setUp({ engineLoadIntervalSecs: 1 });
  setup.add("http://p:1", { modelId: "m", workerType: "prefill" });
  setup.add("http://d:1", { modelId: "m", workerType: "decode" });
  setup.said.set("http://p:1", load(1, 10, 0)).set("http://d:1", load(9, 0, 0.4));
  await oneRound(setup);
  expect(setup.lines("pointsman_saturation")).toEqual([
    'pointsman_saturation{model="m",stage="prefill"} 2',
    'pointsman_saturation{model="m",stage="decode"} 0.5',
    'pointsman_saturation{model="m",stage="effective"} 2',
  ]);
});

test("without a report the tokens in flight count against the cache, where its size is known", () => {
  const setup = setUp();
  const known = setup.add("http://a:1", { modelId: "m", kvCapacityTokens: 1000 });
  setup.add("http://b:1", { modelId: "m" });
  using _lease = setup.ledger.charge(known.slot, 100, 400);
  expect(setup.lines("pointsman_worker_saturation")).toEqual([
    'pointsman_worker_saturation{model="m",worker="http://a:1",source="gateway"} 0.5',
  ]);
  expect(setup.lines("pointsman_engine_waiting_requests")).toEqual([]);
});

test("a model of whose workers nothing is known has no saturation, and one without a worker that takes requests is full", () => {
  const setup = setUp();
  const { id, spec } = setup.add("http://b:1", { modelId: "m" });
  expect(setup.lines("pointsman_saturation")).toEqual([]);
  setup.registry.update(id, { spec: { ...spec, isCordoned: true } });
  expect(setup.lines("pointsman_saturation")).toEqual(['pointsman_saturation{model="m",stage="effective"} 1']);
});
