import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { startEngine } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { type GatewayProcess, startProcess } from "../support/process.ts";
import { applyRights, endPod, forEach, makePod, PODS, revokeRights, setPod, soon } from "./cluster.ts";
import { APISERVER, RealApi } from "./real-api.ts";

const SECS = 1000;
const title =
  APISERVER === undefined ? "Kubernetes (skipped: POINTSMAN_KUBE_APISERVER names no API server)" : "Kubernetes";

interface WorkerRow {
  readonly url: string;
  readonly status: string;
  readonly labels: Readonly<Record<string, string>>;
}

describe.skipIf(APISERVER === undefined)(title, () => {
  let api: RealApi;
  let gateway: GatewayProcess;
  let tokenFile: string;
  let token: string;
  beforeAll(async () => {
    api = await RealApi.start(APISERVER ?? "");
    for (const name of ["pointsman", "models"]) await api.post("/api/v1/namespaces", { metadata: { name } });
    await applyRights(api, ["ServiceAccount"]);
    token = await api.tokenOf("pointsman", "pointsman");
    tokenFile = api.file("token", token);
    const found = ["--service-discovery", "--selector", "app=vllm", "--service-discovery-namespace", "models"];
    gateway = await startProcess([...found, "--kubeconfig", api.kubeconfig(tokenFile), "--shutdown-delay-secs", "0"]);
  }, 120 * SECS);
  afterAll(async () => {
    await gateway[Symbol.asyncDispose]();
    await api[Symbol.asyncDispose]();
  }, 30 * SECS);

  async function workers(): Promise<readonly WorkerRow[]> {
    return Object(await (await fetch(`${gateway.url}/workers`)).json())["workers"];
  }
  const serving = async (): Promise<string[]> =>
    (await workers()).filter(({ status }) => status === "ready").map(({ labels }) => labels["pod_name"] ?? "");
  const up = (): Promise<number> => gateway.metric("pointsman_worker_source_up", { source: "kubernetes" });
  const hasLogged = (text: string): boolean => gateway.output.includes(text);

  test(
    "refuses a gateway without rights, which says the one that is missing, and goes on by itself when it has it",
    async () => {
      await soon(() => hasLogged('cannot list resource \\"pods\\" in API group \\"\\" in the namespace \\"models\\"'));
      await using engine = await startEngine({ model: "first" });
      await makePod(api, "first", { ip: "127.0.0.1", port: new URL(engine.url).port });
      expect(await workers()).toEqual([]);
      await applyRights(api, ["Role", "RoleBinding"]);
      await soon(async () => (await serving()).includes("first"));
      expect((await workers())[0]?.labels).toMatchObject({ pod_namespace: "models", node_name: "node-1" });
      await endPod(api, "first");
      await soon(async () => (await workers()).length === 0);
    },
    60 * SECS,
  );

  test(
    "a pod that becomes ready gets its first request, and one that is deleted finishes what it has",
    async () => {
      await using engine = await startEngine({ model: "slow", instant: false, timing: { decodeMs: 40 } });
      const port = new URL(engine.url).port;
      await makePod(api, "slow", { ip: "127.0.0.1", port, isReady: false });
      await soon(() => hasLogged("it has not been ready yet"));
      const chat = { model: "slow", messages: [{ role: "user", content: "Hello" }], stream: true, max_tokens: 40 };
      const from = performance.now();
      await setPod(api, "slow", { ip: "127.0.0.1" });
      const ask = async (): Promise<Response> => {
        for (;;) {
          const answer = await post(`${gateway.url}/v1/chat/completions`, chat);
          if (answer.status === 200) return answer;
          await answer.arrayBuffer();
          await Bun.sleep(2);
        }
      };
      const answer = await ask();
      figure("pod ready to the head of its first answer, ms", performance.now() - from);
      await api.delete(`${PODS}/slow`);
      await soon(async () => (await workers()).every(({ status }) => status === "draining"));
      expect(await answer.text()).toContain("[DONE]");
      await soon(async () => (await workers()).length === 0);
      await endPod(api, "slow");
    },
    60 * SECS,
  );

  test(
    "what changes while the connection is cut is there after it, and nothing leaves meanwhile",
    async () => {
      await using fleet = await startFleet();
      for (const name of ["a", "b"]) await makePod(api, name, { ip: fleet.ip(name === "a" ? 1 : 2), port: fleet.port });
      await soon(async () => (await serving()).length === 2);
      api.wire.break();
      await makePod(api, "c", { ip: fleet.ip(3), port: fleet.port });
      await soon(async () => (await serving()).includes("c"));
      api.wire.cut();
      await soon(async () => (await up()) === 0);
      await endPod(api, "a");
      await setPod(api, "b", { ip: fleet.ip(4) });
      expect((await serving()).toSorted()).toEqual(["a", "b", "c"]);
      api.wire.mend();
      await soon(async () => (await up()) === 1 && (await serving()).toSorted().join() === "b,c");
      const urls = async (): Promise<string[]> => (await workers()).map(({ url }) => new URL(url).hostname).toSorted();
      await soon(async () => (await urls()).join() === [fleet.ip(3), fleet.ip(4)].toSorted().join());
    },
    60 * SECS,
  );

  test(
    "a server that starts anew, without the past, is asked for the whole list",
    async () => {
      await using fleet = await startFleet();
      await makePod(api, "d", { ip: fleet.ip(5), port: fleet.port });
      await soon(async () => (await serving()).includes("d"));
      const before = Object(Object(await api.get(PODS))["metadata"])["resourceVersion"];
      api.wire.cut();
      await endPod(api, "d");
      await makePod(api, "e", { ip: fleet.ip(6), port: fleet.port });
      await api.compact();
      await api.stopServer();
      await api.startServer();
      // The server no longer knows where the gateway was.
      const gone = await api.get(`${PODS}?watch=true&timeoutSeconds=1&resourceVersion=${before}`);
      expect(gone).toMatchObject({ type: "ERROR", object: { code: 410 } });
      api.wire.mend();
      await soon(async () => (await serving()).includes("e") && !(await serving()).includes("d"));
    },
    120 * SECS,
  );

  test(
    "a token that does not hold, and a right that was taken, let every worker stay until they are back",
    async () => {
      const before = (await workers()).length;
      expect(before).toBeGreaterThan(0);
      writeFileSync(tokenFile, `${token.slice(0, -8)}AAAAAAAA`);
      api.wire.break();
      await soon(() => hasLogged("401, Unauthorized"));
      expect((await workers()).length).toBe(before);
      writeFileSync(tokenFile, await api.tokenOf("pointsman", "pointsman"));
      await soon(async () => (await up()) === 1);
      await revokeRights(api);
      await Bun.sleep(100);
      api.wire.break();
      await soon(() => hasLogged('cannot watch resource \\"pods\\"'));
      expect((await workers()).length).toBe(before);
      await applyRights(api, ["RoleBinding"]);
      await soon(async () => (await up()) === 1);
    },
    120 * SECS,
  );

  test(
    "pods of odd kinds are workers for as long as they serve: on the host's network, with two addresses, other labels and ports, finalizers, sidecars",
    async () => {
      await using one = await startEngine({ model: "odd" });
      await using two = await startEngine({ model: "odd" });
      const [first, second] = [new URL(one.url).port, new URL(two.url).port];
      const urls = async (): Promise<string[]> =>
        (await workers()).flatMap(({ url, labels }) => (labels["pod_name"]?.startsWith("odd") ? [url] : [])).toSorted();
      const are = (...ports: readonly string[]): Promise<void> =>
        soon(
          async () =>
            (await urls()).join() ===
            ports
              .map((port) => `http://127.0.0.1:${port}`)
              .toSorted()
              .join(),
        );
      const at = `${PODS}/odd`;
      // Two pods of one node's network have one address.
      await makePod(api, "odd", { ip: "127.0.0.1", port: first, spec: { hostNetwork: true } });
      await makePod(api, "odd-2", { ip: "127.0.0.1", port: second, spec: { hostNetwork: true } });
      await are(first, second);
      await endPod(api, "odd-2");
      await are(first);
      const dual = [{ ip: "127.0.0.1" }, { ip: "::1" }];
      await api.patch(`${at}/status`, { status: { podIPs: dual } });
      await api.patch(at, { metadata: { annotations: { "smg.ai/worker-ports": second } } });
      await are(second);
      await api.patch(at, { metadata: { labels: { app: "other" } } });
      await are();
      await api.patch(at, { metadata: { labels: { app: "vllm" } } });
      await are(second);
      await api.patch(at, { metadata: { annotations: { "smg.ai/worker-ports": "none" } } });
      await are();
      await soon(() => hasLogged("which is no list of ports"));
      await api.patch(at, { metadata: { annotations: { "smg.ai/worker-ports": `${first} ${second}` } } });
      await are(first, second);
      // What holds the object does not hold the engine.
      await api.patch(at, { metadata: { finalizers: ["example.com/hold"] } });
      await endPod(api, "odd");
      await are();
      expect(Object(await api.get(at))["metadata"]["deletionTimestamp"]).toBeString();
      await api.patch(at, { metadata: { finalizers: null } });
      await makePod(api, "odd-failed", { ip: "127.0.0.1", port: first });
      await are(first);
      await api.patch(`${PODS}/odd-failed/status`, { status: { phase: "Failed" } });
      await are();
      await endPod(api, "odd-failed");
      const proxy = {
        name: "proxy",
        image: "proxy",
        restartPolicy: "Always",
        ports: [{ name: "grpc", containerPort: 7 }],
      };
      await makePod(api, "odd-sidecar", { ip: "127.0.0.1", port: 7, spec: { initContainers: [proxy] } });
      await soon(async () => (await urls()).join() === "grpc://127.0.0.1:7");
      await endPod(api, "odd-sidecar");
      await are();
    },
    120 * SECS,
  );

  test(
    "a thousand pods join, flap and change their addresses, and cost less than 2 % of a core when they are quiet",
    async () => {
      await using fleet = await startFleet();
      const count = 1000;
      const from = performance.now();
      await forEach(count, (index) => makePod(api, `pod-${index}`, { ip: fleet.ip(256 + index), port: fleet.port }));
      const are = async (wanted: number): Promise<boolean> =>
        (await serving()).filter((name) => name.startsWith("pod-")).length === wanted;
      await soon(() => are(count));
      figure("1,000 pods made and serving, s", (performance.now() - from) / SECS);
      await forEach(300, (index) => setPod(api, `pod-${index}`, { ip: fleet.ip(256 + index), isReady: false }));
      await soon(async () => (await cordoned()) === 300);
      await forEach(300, (index) => setPod(api, `pod-${index}`, { ip: fleet.ip(256 + index) }));
      await soon(async () => (await cordoned()) === 0);
      await forEach(300, (index) => setPod(api, `pod-${index}`, { ip: fleet.ip(4096 + index) }));
      const moved = async (): Promise<number> => (await workers()).filter(({ url }) => fleet.place(url) >= 4096).length;
      await soon(async () => (await moved()) === 300 && (await are(count)));
      // By then each is probed twice, and what does it is compiled.
      await Bun.sleep(20 * SECS);
      const cpu = cpuMs(gateway.pid);
      await Bun.sleep(20 * SECS);
      const percent = (cpuMs(gateway.pid) - cpu) / 200;
      figure("CPU with 1,000 quiet pods and a probe of each every 10 s, % of a core", percent);
      expect(percent).toBeLessThan(2);
      await forEach(count, (index) => endPod(api, `pod-${index}`));
      await soon(() => are(0));
    },
    300 * SECS,
  );

  const cordoned = async (): Promise<number> =>
    (await workers()).filter((worker) => Object(worker)["cordoned"] === true).length;
});

/** Engines without number: one server that answers on every address of loopback. */
async function startFleet(): Promise<
  AsyncDisposable & { readonly port: number; ip(place: number): string; place(url: string): number }
> {
  const models = { object: "list", data: [{ id: "many", object: "model", owned_by: "vllm" }] };
  const server = Bun.serve({
    hostname: "0.0.0.0",
    port: 0,
    fetch: ({ url }) =>
      url.endsWith("/v1/models")
        ? Response.json(models)
        : new Response("", { status: url.endsWith("/health") ? 200 : 404 }),
  });
  return {
    port: server.port ?? 0,
    ip: (place) => `127.1.${place >> 8}.${place & 255}`,
    place(url) {
      const [, , high, low] = new URL(url).hostname.split(".").map(Number);
      return (high ?? 0) * 256 + (low ?? 0);
    },
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

/** CPU time of a process, ms. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** A figure for whoever runs the test by hand. */
function figure(what: string, value: number): void {
  console.info(`${what}: ${value.toFixed(1)}`);
}
