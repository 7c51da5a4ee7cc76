import { expect, test } from "bun:test";
import { FakeApi } from "../../test/kubernetes/fake-api.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { settled } from "../../test/support/settled.ts";
import { configSchema } from "../config/schema.ts";
import { ClusterError } from "../kubernetes/cluster.ts";
import { Metrics } from "../observability/metrics.ts";
import type { WorkerSource } from "../worker/sources/worker-source.ts";
import { FollowedPods } from "./kubernetes-discovery.ts";

const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

interface Setup {
  readonly pods: FollowedPods;
  readonly followed: string[];
  /** Kubeconfigs by which a cluster was looked for. */
  readonly found: (string | undefined)[];
  /** Numbers of workers in the reports. */
  readonly reported: number[];
}

function setUp(): Setup {
  const followed: string[] = [];
  const found: (string | undefined)[] = [];
  const reported: number[] = [];
  const pods = new FollowedPods({
    clock: new ManualClock(),
    logger: SILENT,
    metrics: new Metrics(),
    workerSources: {
      follow(source: WorkerSource) {
        followed.push(source.name);
        source
          .watch((said) => reported.push(said.workers?.length ?? -1), new AbortController().signal)
          .catch(() => undefined);
        return [];
      },
    },
    find(kubeconfig) {
      found.push(kubeconfig);
      if (kubeconfig === "missing") throw new ClusterError("the kubeconfig cannot be read: missing");
      return { url: "http://server", namespace: "own", api: new FakeApi() };
    },
  });
  return { pods, followed, found, reported };
}

const ON = { serviceDiscovery: true, selector: ["app=vllm"] };

test("pods are followed from the time that the configuration wants them, and by one source however it changes", () => {
  const { pods, followed, found } = setUp();
  pods.want(configSchema.parse({}));
  expect([followed, found]).toEqual([[], []]);
  pods.want(configSchema.parse(ON));
  pods.want(configSchema.parse({ ...ON, selector: ["app=sglang"], workerApiKey: "k" }));
  expect([followed, found]).toEqual([["kubernetes"], [undefined]]);
  pods.want(configSchema.parse({ ...ON, kubeconfig: "other" }));
  expect([followed, found]).toEqual([["kubernetes"], [undefined, "other"]]);
});

test("where the configuration no longer wants pods, their workers leave", async () => {
  const { pods, reported } = setUp();
  pods.want(configSchema.parse(ON));
  pods.want(configSchema.parse({}));
  await settled();
  expect(reported).toEqual([0]);
});

test("a cluster that cannot be found is refused, and the one of before is followed on", () => {
  const { pods, found } = setUp();
  const wrong = configSchema.parse({ ...ON, kubeconfig: "missing" });
  expect(() => pods.want(wrong)).toThrow("service_discovery: the kubeconfig cannot be read: missing");
  pods.want(configSchema.parse(ON));
  expect(() => pods.check(wrong)).toThrow("service_discovery: the kubeconfig cannot be read: missing");
  pods.check(configSchema.parse({ ...ON, serviceDiscoveryPort: 8000 }));
  pods.check(configSchema.parse({}));
  expect(found).toEqual(["missing", undefined, "missing"]);
});
