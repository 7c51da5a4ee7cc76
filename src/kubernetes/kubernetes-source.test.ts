import { describe, expect, test } from "bun:test";
import { FakeApi, type FakeObject } from "../../test/kubernetes/fake-api.ts";
import { POD_RULES } from "../../test/kubernetes/pod-rules.ts";
import { settled } from "../../test/support/settled.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import type { SourceReport } from "../worker/sources/worker-source.ts";
import { Secret } from "../util/secret.ts";
import { ApiError } from "./api-client.ts";
import type { PodChoice } from "./chosen-pods.ts";
import { readPool } from "./inference-pool.ts";
import { KubernetesSource, type PodWish } from "./kubernetes-source.ts";

const CHOICE: PodChoice = {
  namespaces: ["models"],
  groups: [{ selector: ["app=vllm"], role: "regular" }],
  pool: undefined,
};

interface Setup {
  readonly api: FakeApi;
  readonly clock: ManualClock;
  readonly wish: PodWish;
  readonly source: KubernetesSource;
  readonly reports: SourceReport[];
  readonly told: string[];
  readonly ended: () => unknown;
  pod(uid: string, ip: string | undefined, isReady: boolean, more?: Record<string, unknown>): FakeObject;
  start(): Promise<void>;
  /** Lets what has changed be reported. */
  pass(): Promise<void>;
  /** The last report: addresses, with `-` before those that are cordoned. */
  wanted(): readonly string[] | string;
}

function setUp(choice: Partial<PodChoice> = {}): Setup {
  const api = new FakeApi();
  const clock = new ManualClock();
  const told: string[] = [];
  const reports: SourceReport[] = [];
  let ended: unknown;
  const wish: PodWish = { api, choice: { ...CHOICE, ...choice }, rules: POD_RULES };
  const source = new KubernetesSource({
    clock,
    random: () => 0,
    logger: {
      debug: () => undefined,
      info: (fields) => told.push(`${String(Object(fields).pod)}: ${String(Object(fields).reason)}`),
      warn: () => undefined,
      error: () => undefined,
    },
  });
  source.want(wish);
  const pass = async (): Promise<void> => {
    await settled();
    clock.advance(20);
    await settled();
  };
  return {
    api,
    clock,
    wish,
    source,
    reports,
    told,
    ended: () => ended,
    pass,
    pod: (uid, ip, isReady, more = {}) =>
      api.put(
        uid,
        {
          spec: { containers: [] },
          status: { phase: "Running", podIP: ip, conditions: [{ type: "Ready", status: isReady ? "True" : "False" }] },
        },
        { namespace: "models", ...more },
      ),
    async start() {
      ended = undefined;
      source
        .watch((report) => reports.push(report), new AbortController().signal)
        .then(
          () => (ended = "over"),
          (error: unknown) => (ended = error),
        );
      await pass();
    },
    wanted() {
      const last = reports.at(-1);
      if (last?.state !== "ready") return last?.reason ?? "nothing";
      return last.workers.map(({ url, isCordoned }) => `${isCordoned ? "-" : ""}${url.slice("http://".length)}`);
    },
  };
}

describe("the pods of a selector", () => {
  test("are wanted from the time that they are ready first", async () => {
    const { api, start, pass, pod, wanted, told, source } = setUp();
    pod("a", "10.0.0.1", true);
    pod("b", undefined, false);
    await start();
    expect(api.lists).toEqual(["/api/v1/namespaces/models/pods"]);
    expect(wanted()).toEqual(["10.0.0.1:8000"]);
    api.say("MODIFIED", pod("b", "10.0.0.2", false));
    await pass();
    expect(wanted()).toEqual(["10.0.0.1:8000"]);
    expect(source.view).toEqual({ podsSeen: 2, podsChosen: 1 });
    api.say("MODIFIED", pod("b", "10.0.0.2", true));
    await pass();
    expect(wanted()).toEqual(["10.0.0.1:8000", "10.0.0.2:8000"]);
    expect(told).toEqual(["b: it has no address yet", "b: it has not been ready yet"]);
  });

  test("are cordoned while they are not ready, and leave when they end", async () => {
    const { api, start, pass, pod, wanted } = setUp();
    pod("a", "10.0.0.1", true);
    await start();
    api.say("MODIFIED", pod("a", "10.0.0.1", false));
    await pass();
    expect(wanted()).toEqual(["-10.0.0.1:8000"]);
    api.say("MODIFIED", pod("a", "10.0.0.1", true));
    await pass();
    expect(wanted()).toEqual(["10.0.0.1:8000"]);
    api.say("MODIFIED", pod("a", "10.0.0.1", true, { deletionTimestamp: "2026-11-26T00:00:00Z" }));
    await pass();
    expect(wanted()).toEqual([]);
  });

  test("that come together make one report", async () => {
    const { api, start, pass, pod, reports } = setUp();
    await start();
    for (let count = 0; count < 50; count += 1) api.say("ADDED", pod(`p${count}`, `10.0.1.${count}`, true));
    await pass();
    expect(reports).toHaveLength(2);
  });

  test("with the address of an earlier pod are other workers: the earlier one goes first", async () => {
    const { api, start, pass, pod, reports, wanted } = setUp();
    pod("a", "10.0.0.1", true);
    pod("b", "10.0.0.2", true);
    await start();
    api.say("DELETED", api.remove("a"));
    api.say("ADDED", pod("c", "10.0.0.1", true));
    await pass();
    const [, between, after] = reports;
    expect(between).toMatchObject({ workers: [{ url: "http://10.0.0.2:8000" }] });
    expect(after).toMatchObject({ workers: [{ url: "http://10.0.0.2:8000" }, { url: "http://10.0.0.1:8000" }] });
    expect(wanted()).toHaveLength(2);
  });

  test("of which two have one address are one worker: that of the pod that is ready", async () => {
    const { api, start, pass, pod, wanted } = setUp();
    pod("a", "10.0.0.1", true);
    await start();
    api.say("MODIFIED", pod("a", "10.0.0.1", false));
    api.say("ADDED", pod("b", "10.0.0.1", true));
    await pass();
    expect(wanted()).toEqual(["10.0.0.1:8000"]);
  });

  test("of two selectors have the role of the first that chooses them", async () => {
    const { start, pod, reports } = setUp({
      groups: [
        { selector: ["role=prefill"], role: "prefill" },
        { selector: ["role=decode"], role: "decode" },
      ],
    });
    pod("a", "10.0.0.1", true);
    await start();
    expect(reports.at(-1)).toMatchObject({ workers: [{ workerType: "prefill" }] });
  });

  test("stay when the server cannot be reached, and are reported again when it is back", async () => {
    const { api, start, pod, wanted, ended, reports } = setUp();
    pod("a", "10.0.0.1", true);
    await start();
    api.failure = new ApiError(0, "refused");
    api.endWatches(new ApiError(0, "reset"));
    await settled();
    expect(ended()).toMatchObject({ message: "reset" });
    await start();
    expect([ended(), wanted()]).toMatchObject([{ message: "refused" }, ["10.0.0.1:8000"]]);
    api.failure = undefined;
    const before = reports.length;
    await start();
    expect([reports.length > before, wanted(), api.lists.length]).toEqual([true, ["10.0.0.1:8000"], 1]);
  });

  test("are looked for in all namespaces where none is named", async () => {
    const { api, start } = setUp({ namespaces: [] });
    await start();
    expect(api.lists).toEqual(["/api/v1/pods"]);
  });
});

describe("another wish", () => {
  const choiceOf = (app: string): PodChoice => ({ ...CHOICE, groups: [{ selector: [`app=${app}`], role: "regular" }] });

  test("chooses other pods: those of before stay until the others are listed", async () => {
    const { api, source, wish, start, pass, pod, wanted, reports } = setUp();
    pod("a", "10.0.0.1", true, { labels: { app: "vllm" } });
    pod("b", "10.0.0.2", true, { labels: { app: "sglang" } });
    await start();
    expect(wanted()).toEqual(["10.0.0.1:8000"]);
    const before = reports.length;
    source.want({ ...wish, choice: choiceOf("sglang") });
    expect(reports).toHaveLength(before);
    await pass();
    expect([wanted(), api.lists.length, source.view]).toEqual([["10.0.0.2:8000"], 2, { podsSeen: 1, podsChosen: 1 }]);
    // Late news of what is no longer chosen.
    api.watches[0]?.lines.push({ type: "MODIFIED", object: pod("a", "10.0.0.9", true) });
    api.watches[0]?.wake();
    await pass();
    expect(wanted()).toEqual(["10.0.0.2:8000"]);
  });

  test("chooses other pods while the server is away: nobody leaves before it answers", async () => {
    const { api, source, wish, start, pod, wanted, ended } = setUp();
    pod("a", "10.0.0.1", true, { labels: { app: "vllm" } });
    pod("b", "10.0.0.2", true, { labels: { app: "sglang" } });
    await start();
    api.failure = new ApiError(0, "refused");
    source.want({ ...wish, choice: choiceOf("sglang") });
    await settled();
    expect([ended(), wanted()]).toMatchObject([{ message: "refused" }, ["10.0.0.1:8000"]]);
    api.failure = undefined;
    await start();
    expect(wanted()).toEqual(["10.0.0.2:8000"]);
  });

  test("makes other workers of the same pods without asking the server", async () => {
    const { api, source, wish, start, pass, pod, reports } = setUp();
    pod("a", "10.0.0.1", true);
    await start();
    source.want({ ...wish, rules: { ...POD_RULES, ports: [9000], apiKey: new Secret("next") } });
    await pass();
    const last = reports.at(-1);
    const said = last?.state === "ready" ? last.workers.map(({ url, apiKey }) => [url, apiKey?.reveal()]) : [];
    expect([said, api.lists.length, api.watches.length]).toEqual([[["http://10.0.0.1:9000", "next"]], 1, 1]);
  });

  test("of another cluster has its pods, and none at all lets them leave", async () => {
    const { source, wish, start, pass, pod, wanted } = setUp();
    pod("a", "10.0.0.1", true);
    await start();
    const other = new FakeApi();
    other.put("z", {
      spec: { containers: [] },
      status: { phase: "Running", podIP: "10.9.0.1", conditions: [{ type: "Ready", status: "True" }] },
    });
    source.want({ ...wish, api: other });
    await pass();
    expect(wanted()).toEqual(["10.9.0.1:8000"]);
    source.want(undefined);
    await pass();
    expect([wanted(), source.view]).toEqual([[], { podsSeen: 0, podsChosen: 0 }]);
    source.want(wish);
    await pass();
    expect(wanted()).toEqual(["10.0.0.1:8000"]);
  });
});

test("the last news is that of the list of which nothing has been heard for longest: a list, an event, a bookmark, or a watch that was taken", async () => {
  const { api, clock, source, start, pod } = setUp({ namespaces: ["one", "two"] });
  expect(source.heardAt).toBeUndefined();
  pod("a", "10.0.0.1", true);
  await start();
  const from = source.heardAt ?? 0;
  clock.advance(60_000);
  api.watches[0]?.lines.push({ type: "BOOKMARK", object: { metadata: { resourceVersion: "200" } } });
  api.watches[0]?.wake();
  await settled();
  expect(source.heardAt).toBe(from);
  api.watches[1]?.lines.push({ type: "BOOKMARK", object: { metadata: { resourceVersion: "200" } } });
  api.watches[1]?.wake();
  await settled();
  expect(source.heardAt).toBe(clock.now());
  clock.advance(5000);
  api.endWatches("over");
  await settled();
  expect(source.heardAt).toBe(clock.now());
});

describe("of several namespaces", () => {
  const [ONE, TWO] = ["/api/v1/namespaces/one/pods", "/api/v1/namespaces/two/pods"];
  const FORBIDDEN = new ApiError(403, `${TWO}: 403, pods is forbidden`);
  const urls = ({ reports }: Setup): unknown => reports.at(-1)?.workers?.map(({ url }) => url);

  test("one that the gateway may not see keeps no others from being followed, and the source says why it does not know all", async () => {
    const set = setUp({ namespaces: ["one", "two"] });
    const { api, start, pass, pod, reports } = set;
    api.failures.set(TWO, FORBIDDEN);
    const first = pod("a", "10.0.0.1", true);
    await start();
    await pass();
    expect([reports.at(-1)?.state, urls(set)]).toEqual(["away", ["http://10.0.0.1:8000"]]);
    expect(reports.at(-1)).toMatchObject({ reason: FORBIDDEN.message });
    api.say("MODIFIED", pod("a", "10.0.0.1", true, { deletionTimestamp: "2026-11-26T00:00:00Z" }), ONE);
    api.say("ADDED", pod("b", "10.0.0.2", true), ONE);
    await pass();
    expect([first.metadata.uid, urls(set)]).toEqual(["a", ["http://10.0.0.2:8000"]]);
  });

  test("one whose rights come later is followed then, and one whose rights go keeps its workers", async () => {
    const set = setUp({ namespaces: ["one", "two"] });
    const { api, clock, start, pass, pod, reports, ended } = set;
    api.failures.set(TWO, FORBIDDEN);
    pod("a", "10.0.0.1", true);
    await start();
    await pass();
    api.failures.clear();
    clock.advance(1000);
    await pass();
    expect([reports.at(-1)?.state, api.lists]).toEqual(["ready", [ONE, TWO]]);
    api.failures.set(TWO, FORBIDDEN);
    api.endWatches("over");
    clock.advance(1000);
    await pass();
    await pass();
    expect([reports.at(-1)?.state, urls(set), ended()]).toEqual(["away", ["http://10.0.0.1:8000"], undefined]);
    api.say("ADDED", pod("b", "10.0.0.2", true), ONE);
    await pass();
    expect(urls(set)).toEqual(["http://10.0.0.1:8000", "http://10.0.0.2:8000"]);
  });

  test("one that does not answer is waited for, so that nothing is taken for gone; where none answers, the source has failed", async () => {
    const set = setUp({ namespaces: ["one", "two"] });
    const { api, start, pass, pod, reports, ended } = set;
    pod("a", "10.0.0.1", true);
    api.failures.set(TWO, new ApiError(0, "it broke the connection"));
    await start();
    await pass();
    expect(reports).toEqual([{ state: "away", reason: "it broke the connection" }]);
    api.failure = new ApiError(0, "it refuses connections");
    api.endWatches(new ApiError(0, "it broke the connection"));
    await pass();
    expect(ended()).toMatchObject({ message: "it broke the connection" });
  });
});

describe("an InferencePool", () => {
  const POOL = { namespace: "models", name: "pool" };
  const spec = (app: string, ...ports: number[]): Record<string, unknown> => ({
    spec: { selector: { matchLabels: { app } }, targetPorts: ports.map((number) => ({ number })) },
  });

  test("is read with its labels, its ports and its protocol", () => {
    expect(readPool(spec("vllm", 8000, 8001))).toEqual({ selector: ["app=vllm"], ports: [8000, 8001], isGrpc: false });
    const grpc = { spec: { ...Object(spec("vllm", 50051)).spec, appProtocol: "kubernetes.io/h2c" } };
    expect(readPool(grpc)?.isGrpc).toBe(true);
    expect(readPool({ spec: { targetPorts: [] } })).toBeUndefined();
  });

  test("says which pods are workers, each of its ports one, and may change that", async () => {
    const { api, start, pass, pod, wanted } = setUp({ pool: POOL, groups: [] });
    const pool = api.put("pool", spec("vllm", 8000, 8001));
    pod("a", "10.0.0.1", true);
    await start();
    await pass();
    // One list of pools, one of pods.
    expect(api.lists).toEqual([
      "/apis/inference.networking.k8s.io/v1/namespaces/models/inferencepools",
      "/api/v1/namespaces/models/pods",
    ]);
    expect(wanted()).toEqual(["10.0.0.1:8000", "10.0.0.1:8001"]);
    expect(pool.metadata.uid).toBe("pool");
    const watch = api.watches.find(({ path }) => path.includes("inferencepools"));
    watch?.lines.push({ type: "MODIFIED", object: api.put("pool", spec("sglang", 9000)) });
    watch?.wake();
    await pass();
    await pass();
    expect(wanted()).toEqual(["10.0.0.1:9000"]);
  });

  test("that is not there is told, and takes no worker away", async () => {
    const { api, start, pass, pod, wanted } = setUp({ pool: POOL, groups: [] });
    pod("a", "10.0.0.1", true);
    await start();
    await pass();
    expect(wanted()).toBe("there is no InferencePool models/pool");
    const watch = api.watches.find(({ path }) => path.includes("inferencepools"));
    watch?.lines.push({ type: "ADDED", object: api.put("pool", spec("vllm", 8000)) });
    watch?.wake();
    await pass();
    await pass();
    expect(wanted()).toEqual(["10.0.0.1:8000"]);
  });

  test("that is gone is told, and its pods are followed on: those that end leave, and it may come back", async () => {
    const { api, start, pass, pod, wanted, reports } = setUp({ pool: POOL, groups: [] });
    api.put("pool", spec("vllm", 8000));
    pod("a", "10.0.0.1", true);
    pod("b", "10.0.0.2", true);
    await start();
    await pass();
    const tell = async (kind: string, type: string, object: FakeObject): Promise<void> => {
      const watch = api.watches.find(({ path }) => path.endsWith(kind));
      watch?.lines.push({ type, object });
      watch?.wake();
      await pass();
      await pass();
    };
    await tell("inferencepools", "DELETED", api.remove("pool"));
    expect(wanted()).toBe("there is no InferencePool models/pool");
    await tell("pods", "DELETED", api.remove("b"));
    expect(reports.at(-1)).toMatchObject({ state: "away", workers: [{ url: "http://10.0.0.1:8000" }] });
    await tell("inferencepools", "ADDED", api.put("again", spec("vllm", 8000)));
    expect(wanted()).toEqual(["10.0.0.1:8000"]);
  });

  test("of a kind that the cluster does not know is told in words", async () => {
    const { api, start, ended } = setUp({ pool: POOL, groups: [] });
    api.failure = new ApiError(404, "/apis/inference.networking.k8s.io: 404");
    await start();
    expect(ended()).toMatchObject({ message: expect.stringContaining("CustomResourceDefinition is not installed") });
  });
});
