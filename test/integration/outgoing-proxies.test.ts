import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "bun:test";
import { KvPublisher } from "../engines/kv-publisher.ts";
import { startGrpcEngine } from "../engines/grpc/grpc-engine.ts";
import { eventually } from "../faults/observe.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { BIN, startProcess } from "../support/process.ts";

/** A proxy that notes the first line of each connection, and refuses it. */
function startProxy(): Disposable & { readonly url: string; readonly asked: string[] } {
  const asked: string[] = [];
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        asked.push(bytes.toString().split("\r\n")[0] ?? "");
        socket.end("HTTP/1.1 502 refused\r\ncontent-length: 0\r\n\r\n");
      },
    },
  });
  return { url: `http://127.0.0.1:${server.port}`, asked, [Symbol.dispose]: () => server.stop(true) };
}

/** Nothing listens there: what comes to it comes by a proxy only. */
const NOBODY = "127.0.0.1:9";

function kubeconfigOf(server: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "pointsman-proxies-")), "config");
  const contexts = [{ name: "c", context: { cluster: "c" } }];
  writeFileSync(
    path,
    JSON.stringify({ "current-context": "c", contexts, clusters: [{ name: "c", cluster: { server } }] }),
  );
  return path;
}

/** A gateway whose issuer, cluster and collector have addresses of this scheme where nobody listens. */
function flagsOf(scheme: "http" | "https"): string[] {
  return [
    ...["--jwt-issuer", `${scheme}://${NOBODY}/issuer`, "--jwt-audience", "a", "--api-key", "client-key"],
    ...["--service-discovery", "--selector", "app=vllm", "--kubeconfig", kubeconfigOf(`${scheme}://${NOBODY}`)],
    ...["--otlp-traces-endpoint", `${scheme}://${NOBODY}/v1/traces`],
  ];
}

const chat = (url: string): Promise<Response> =>
  post(`${url}/v1/chat/completions`, HELLO, { authorization: "Bearer client-key" });

describe("the proxies that the environment names", () => {
  test("have what the gateway reads of its issuer and its cluster, and what it sends to a collector over HTTP", async () => {
    using proxy = startProxy();
    await using engine = await startEngine();
    await using gateway = await startProcess(["--worker", engine.url, ...flagsOf("http")], { http_proxy: proxy.url });
    await eventually(async () => (await chat(gateway.url)).status === 200, "it serves");
    for (const [what, line] of [
      ["the issuer", `GET http://${NOBODY}/issuer/.well-known/openid-configuration HTTP/1.1`],
      ["the cluster", `GET http://${NOBODY}/api/v1/pods?`],
      ["the collector", `POST http://${NOBODY}/v1/traces HTTP/1.1`],
    ] as const) {
      await eventually(() => proxy.asked.some((one) => one.startsWith(line)), `${what} is asked by the proxy`);
    }
    expect(proxy.asked.every((line) => line.includes(NOBODY))).toBe(true);
  }, 30_000);

  test("have a tunnel for each of these over TLS", async () => {
    using proxy = startProxy();
    await using engine = await startEngine();
    await using gateway = await startProcess(["--worker", engine.url, ...flagsOf("https")], { https_proxy: proxy.url });
    await eventually(async () => (await chat(gateway.url)).status === 200, "it serves");
    // The issuer's, the cluster's and the collector's.
    await eventually(() => proxy.asked.length >= 3, "all three are asked by the proxy");
    expect(new Set(proxy.asked)).toEqual(new Set([`CONNECT ${NOBODY} HTTP/1.1`]));
  }, 30_000);

  test("have none of it where no_proxy names its address, its network or its port", async () => {
    for (const names of ["127.0.0.1", "10.0.0.0/8, 127.0.0.0/8", NOBODY]) {
      using proxy = startProxy();
      await using engine = await startEngine();
      const env = { http_proxy: proxy.url, no_proxy: names };
      await using gateway = await startProcess(["--worker", engine.url, ...flagsOf("http")], env);
      await eventually(async () => (await chat(gateway.url)).status === 200, "it serves");
      await eventually(
        () => gateway.lines().some(({ msg }) => String(msg).startsWith("traces are not taken")),
        "the collector was asked",
      );
      expect([names, proxy.asked]).toEqual([names, []]);
    }
  }, 60_000);

  test("have nothing of workers, neither over HTTP nor gRPC, nor their KV events, nor spans over gRPC", async () => {
    using proxy = startProxy();
    await using http = await startEngine({ kind: "vllm", model: "sim-1" });
    await using grpc = await startGrpcEngine({ kind: "sglang", model: "tokens" });
    using publisher = new KvPublisher();
    const { endpoint, replayEndpoint, topic, ranks } = publisher.settings;
    const file = join(mkdtempSync(join(tmpdir(), "pointsman-proxies-")), "pointsman.yaml");
    const kvEvents = { endpoint, replay_endpoint: replayEndpoint, topic, ranks };
    writeFileSync(
      file,
      JSON.stringify({
        enable_igw: true,
        traces_endpoint: `grpc://${NOBODY}`,
        initial_workers: [{ url: http.url, kv_events: kvEvents }, { url: grpc.url }],
      }),
    );
    const all = { http_proxy: proxy.url, https_proxy: proxy.url, HTTP_PROXY: proxy.url, ALL_PROXY: proxy.url };
    await using gateway = await startProcess(["--config", file], all);
    await eventually(async () => (await chat(gateway.url)).status === 200, "it serves over HTTP");
    await eventually(async () => {
      const { workers } = (await (await fetch(`${gateway.url}/workers`)).json()) as {
        workers: Record<string, unknown>[];
      };
      return workers.length === 2 && workers.every(({ status }) => status === "ready");
    }, "the worker over gRPC answers its probes");
    await eventually(
      async () => (await (await fetch(`${gateway.url}/metrics`)).text()).includes("pointsman_kv_events"),
      "KV events are followed",
    );
    await eventually(
      () => gateway.lines().some(({ msg }) => String(msg).startsWith("traces are not taken")),
      "the collector was asked",
    );
    expect(proxy.asked).toEqual([]);
  }, 30_000);

  test("have nothing of the commands that is not over TLS, and a tunnel for what is", async () => {
    using proxy = startProxy();
    await using gateway = await startProcess([]);
    const list = async (url: string, env: Readonly<Record<string, string>>): Promise<number> => {
      const child = Bun.spawn([BIN, "workers", "list", "--url", url], {
        env: { ...process.env, POINTSMAN_ADMIN_API_KEY: "hush", ...env },
        stdout: "ignore",
        stderr: "ignore",
      });
      return child.exited;
    };
    for (const name of ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]) {
      expect([name, await list(gateway.url, { [name]: proxy.url }), proxy.asked]).toEqual([name, 0, []]);
    }
    expect([await list(`https://${NOBODY}`, { https_proxy: proxy.url }), proxy.asked]).toEqual([
      2,
      [`CONNECT ${NOBODY} HTTP/1.1`],
    ]);
  }, 30_000);
});
