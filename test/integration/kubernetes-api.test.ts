import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiClient, ApiError } from "../../src/kubernetes/api-client.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { startProcess } from "../support/process.ts";
import { TEST_CERT, TEST_KEY, TEST_PAIRS, type TestPair } from "../support/tls.ts";
import { eventually } from "../faults/observe.ts";

type Handler = (request: Request) => Response | Promise<Response>;
let handler: Handler = () => new Response("", { status: 500 });
let server: ReturnType<typeof Bun.serve>;
beforeEach(() => {
  server = Bun.serve({ port: 0, hostname: "127.0.0.1", idleTimeout: 0, fetch: (request) => handler(request) });
});
afterEach(() => server.stop(true));

const signal = new AbortController().signal;
const client = (token?: string, bounds?: { headMs: number; wholeMs: number }): ApiClient =>
  new ApiClient({ url: server.url.origin, namespace: "default", tls: () => ({}), token: () => token }, bounds);

async function failureOf(work: Promise<unknown>): Promise<[number, string]> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ApiError) return [error.status, error.message];
  }
  throw new Error("it did not fail as expected");
}

describe("the API server", () => {
  test("is asked with the token and the query", async () => {
    handler = (request) =>
      Response.json({ url: new URL(request.url).search, key: request.headers.get("authorization") });
    expect(await client("hush").get("/api/v1/pods", { labelSelector: "app=vllm,tier!=x" }, signal)).toEqual({
      url: "?labelSelector=app%3Dvllm%2Ctier%21%3Dx",
      key: "Bearer hush",
    });
  });

  test("says in a refusal which right is missing, and the token is in no message", async () => {
    const message = 'pods is forbidden: User "system:serviceaccount:default:pointsman" cannot list resource "pods"';
    handler = () => Response.json({ kind: "Status", message }, { status: 403 });
    expect(await failureOf(client("hush").get("/api/v1/pods", {}, signal))).toEqual([
      403,
      `/api/v1/pods: 403, ${message}`,
    ]);
    handler = () => new Response("<html>", { status: 502 });
    expect(await failureOf(client("hush").get("/api/v1/pods", {}, signal))).toEqual([502, "/api/v1/pods: 502"]);
  });

  test("sends the token nowhere else", async () => {
    handler = () => Response.redirect("http://127.0.0.1:1/stolen");
    const [status, message] = await failureOf(client("hush").get("/api/v1/pods", {}, signal));
    expect([status, message.includes("hush")]).toEqual([0, false]);
  });

  test("tells events that come in pieces, several at once, and empty lines between them", async () => {
    const pieces = ['{"type":"A', 'DDED"}\n{"type":"MODIFIED"}\n', "\n", '{"type":"BOOKMARK"}\n{"type":"rest'];
    handler = () =>
      new Response(
        new ReadableStream({
          async start(controller) {
            for (const piece of pieces) {
              controller.enqueue(new TextEncoder().encode(piece));
              await Bun.sleep(2);
            }
            controller.close();
          },
        }),
      );
    const types: unknown[] = [];
    for await (const event of await client().open("/watch", {}, signal)) types.push(Object(event).type);
    expect(types).toEqual(["ADDED", "MODIFIED", "BOOKMARK"]);
  });

  test("that falls silent within a list or a refusal is left, and one that is silent within a watch is not", async () => {
    const begun = '{"metadata":{"resourceVersion":"1"},"items":[';
    const silent = (status: number): Response =>
      new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(new TextEncoder().encode(begun)),
          pull: () => new Promise<void>(() => undefined),
        }),
        { status },
      );
    handler = () => silent(200);
    const quick = { headMs: 10_000, wholeMs: 50 };
    const late = "/api/v1/pods: the answer was not there within 0.05 s";
    expect(await failureOf(client(undefined, quick).get("/api/v1/pods", {}, signal))).toEqual([0, late]);
    handler = () => silent(503);
    const hasty = { headMs: 50, wholeMs: 10_000 };
    expect(await failureOf(client(undefined, hasty).get("/api/v1/pods", {}, signal))).toEqual([
      503,
      "/api/v1/pods: 503",
    ]);
    handler = () => silent(200);
    const end = new AbortController();
    const events = (await client(undefined, { headMs: 50, wholeMs: 50 }).open("/watch", {}, end.signal))[
      Symbol.asyncIterator
    ]();
    const next = events.next().then(
      () => "an event",
      () => "over",
    );
    expect(await Promise.race([next, Bun.sleep(150).then(() => "silent")])).toBe("silent");
    end.abort();
    expect(await next).toBe("over");
  });

  test("that sends an event without end is left", async () => {
    const piece = new Uint8Array(1024 * 1024).fill(97);
    handler = () => new Response(new ReadableStream({ pull: (controller) => controller.enqueue(piece) }));
    const read = async (): Promise<void> => {
      for await (const _ of await client().open("/watch", {}, signal));
    };
    expect(await failureOf(read())).toEqual([0, "/watch: an event of more than 8 MiB"]);
  });

  test("that answers with more than any list has is left before it is read whole", async () => {
    const piece = new Uint8Array(8 * 1024 * 1024).fill(32);
    let sent = 0;
    handler = () =>
      new Response(
        new ReadableStream({
          pull(controller) {
            sent += piece.length;
            controller.enqueue(piece);
          },
        }),
      );
    const told = "/api/v1/pods: an answer of more than 262144 KiB";
    expect(await failureOf(client().get("/api/v1/pods", {}, signal))).toEqual([0, told]);
    expect(sent).toBeLessThan(400 * 1024 * 1024);
  });

  test("whose refusal is very long is told by its status, or by the begin of its words", async () => {
    handler = () => Response.json({ message: "x".repeat(50_000) }, { status: 429 });
    const [status, message] = await failureOf(client().get("/api/v1/pods", {}, signal));
    expect([status, message]).toEqual([429, `/api/v1/pods: 429, ${"x".repeat(1000)}`]);
    handler = () => Response.json({ message: "x".repeat(500_000) }, { status: 500 });
    expect(await failureOf(client().open("/api/v1/pods", {}, signal))).toEqual([500, "/api/v1/pods: 500"]);
  });

  test("that says no JSON, in a list or in an event, is a failure that shows nothing of it", async () => {
    handler = () => new Response("<html>hush</html>\n");
    const told = "/api/v1/pods: what it says is no JSON";
    expect(await failureOf(client().get("/api/v1/pods", {}, signal))).toEqual([0, told]);
    const read = async (): Promise<void> => {
      for await (const _ of await client().open("/api/v1/pods", {}, signal));
    };
    expect(await failureOf(read())).toEqual([0, told]);
  });

  test("tells each character of an event that is cut within one", async () => {
    const event = new TextEncoder().encode(`${JSON.stringify({ type: "GRÜN" })}\n`);
    handler = () =>
      new Response(
        new ReadableStream({
          async start(controller) {
            for (const byte of event) {
              controller.enqueue(new Uint8Array([byte]));
              await Bun.sleep(0);
            }
            controller.close();
          },
        }),
      );
    const events: unknown[] = [];
    for await (const one of await client().open("/watch", {}, signal)) events.push(one);
    expect(events).toEqual([{ type: "GRÜN" }]);
  });

  test("is trusted, and asked, with what the files of authority and token say at the time of each question", async () => {
    let authority = TEST_CERT;
    let token = "old";
    const begin = (pair: TestPair, port = 0): ReturnType<typeof Bun.serve> =>
      Bun.serve({
        port,
        hostname: "127.0.0.1",
        tls: pair,
        fetch: ({ headers }) =>
          new Response("{}", { status: headers.get("authorization") === "Bearer new" ? 200 : 401 }),
      });
    let secured = begin({ cert: TEST_CERT, key: TEST_KEY });
    const { port } = secured;
    const api = new ApiClient({
      url: `https://127.0.0.1:${port}`,
      namespace: "default",
      tls: () => ({ ca: authority }),
      token: () => token,
    });
    expect(await failureOf(api.get("/api/v1/pods", {}, signal))).toEqual([401, "/api/v1/pods: 401"]);
    token = "new";
    expect(await api.get("/api/v1/pods", {}, signal)).toEqual({});
    await secured.stop(true);
    secured = begin(TEST_PAIRS.nameless, port);
    expect((await failureOf(api.get("/api/v1/pods", {}, signal)))[1]).toContain("authority");
    authority = TEST_PAIRS.nameless.cert;
    expect(await api.get("/api/v1/pods", {}, signal)).toEqual({});
    await secured.stop(true);
  });

  test("that breaks off is a failure, and not an end", async () => {
    handler = () =>
      new Response(
        new ReadableStream({
          async start(controller) {
            controller.enqueue(new TextEncoder().encode('{"type":"ADDED"}\n'));
            await Bun.sleep(5);
            void server.stop(true);
          },
        }),
      );
    const read = async (): Promise<void> => {
      for await (const _ of await client().open("/watch", {}, signal));
    };
    expect((await failureOf(read()))[0]).toBe(0);
  });
});

/** A pod behind an engine of this process. */
function podOf(uid: string, port: string, version: number, more: object = {}): object {
  return {
    metadata: {
      uid,
      name: uid,
      namespace: "default",
      resourceVersion: String(version),
      annotations: { "smg.ai/worker-ports": port },
      ...more,
    },
    spec: { containers: [] },
    status: { phase: "Running", podIP: "127.0.0.1", conditions: [{ type: "Ready", status: "True" }] },
  };
}

/** A kubeconfig of the server, in a folder of its own. */
function writeKubeconfig(): string {
  const kubeconfig = join(mkdtempSync(join(tmpdir(), "pointsman-kube-")), "config");
  const file = {
    "current-context": "c",
    contexts: [{ name: "c", context: { cluster: "c" } }],
    clusters: [{ name: "c", cluster: { server: server.url.origin } }],
  };
  writeFileSync(kubeconfig, JSON.stringify(file));
  return kubeconfig;
}

test("the program finds pods, serves from them, and drains one that is deleted, while a server lies and goes away", async () => {
  await using one = await startEngine({ model: "sim-1" });
  await using two = await startEngine({ model: "sim-1" });
  const portOf = (url: string): string => new URL(url).port;
  const listed = { metadata: { resourceVersion: "5" }, items: [podOf("a", portOf(one.url), 4)] };
  let say: (event: object) => void = () => undefined;
  let isAway = false;
  handler = (request) => {
    if (isAway) return new Response("", { status: 503 });
    if (!request.url.includes("watch=true")) return Response.json(listed);
    return new Response(
      new ReadableStream({
        start(controller) {
          say = (event) => controller.enqueue(new TextEncoder().encode(`${JSON.stringify(event)}\n`));
        },
      }),
    );
  };
  const kubeconfig = writeKubeconfig();
  const flags = [
    "--service-discovery",
    "--selector",
    "app=vllm",
    "tier=gpu",
    "--service-discovery-namespace",
    "default",
  ];
  await using gateway = await startProcess([...flags, "--kubeconfig", kubeconfig, "--shutdown-delay-secs", "0"]);
  const urls = async (): Promise<string[]> => {
    const { workers } = (await (await fetch(`${gateway.url}/workers`)).json()) as { workers: Record<string, string>[] };
    return workers.filter(({ status }) => status === "ready").map(({ url = "" }) => url);
  };
  await eventually(async () => (await urls()).includes(one.url), "the listed pod serves");
  const second = podOf("b", portOf(two.url), 7);
  for (const type of ["ADDED", "ADDED", "MODIFIED"]) say({ type, object: second });
  await eventually(async () => (await urls()).includes(two.url), "the added pod serves");
  // Late news of a pod that is gone brings nothing back.
  say({ type: "DELETED", object: podOf("a", portOf(one.url), 8) });
  say({ type: "MODIFIED", object: podOf("a", portOf(one.url), 6) });
  await eventually(async () => !(await urls()).includes(one.url), "the deleted pod leaves");
  isAway = true;
  void server.stop(true);
  await eventually(
    () => gateway.lines().some(({ msg }) => String(msg).includes("is away")),
    "it is told that the server is away",
  );
  expect(await urls()).toEqual([two.url]);
  expect(await gateway.metric("pointsman_worker_source_up", { source: "kubernetes" })).toBe(0);
  expect(await gateway.metric("pointsman_kubernetes_pods", { state: "chosen" })).toBe(1);
});

test("a reload gives the program another selector and other keys for its pods, and turns discovery off and on", async () => {
  await using one = await startEngine({ model: "sim-1" });
  await using two = await startEngine({ model: "sim-1" });
  const podsBy: Readonly<Record<string, object>> = {
    "app=one": podOf("a", new URL(one.url).port, 4),
    "app=two": podOf("b", new URL(two.url).port, 4),
  };
  handler = ({ url }) => {
    const { searchParams } = new URL(url);
    if (searchParams.get("watch") === "true") return new Response(new ReadableStream({}));
    const item = podsBy[searchParams.get("labelSelector") ?? ""];
    return Response.json({ metadata: { resourceVersion: "5" }, items: item ? [item] : [] });
  };
  const kubeconfig = writeKubeconfig();
  const file = join(kubeconfig, "../pointsman.yaml");
  const on = (app: string, key: string): string =>
    `service_discovery: true\nselector: [app=${app}]\nworker_api_key: ${key}\nkubeconfig: ${kubeconfig}\n`;
  writeFileSync(file, on("one", "first"));
  await using gateway = await startProcess(["--config", file, "--shutdown-delay-secs", "0"]);
  const reload = (text: string): void => {
    writeFileSync(file, text);
    gateway.signal("SIGHUP");
  };
  const serving = async (): Promise<string[]> => {
    const { workers } = (await (await fetch(`${gateway.url}/workers`)).json()) as { workers: Record<string, string>[] };
    return workers.filter(({ status }) => status === "ready").map(({ url = "" }) => url);
  };
  const serves = (...urls: string[]): Promise<void> =>
    eventually(async () => (await serving()).join() === urls.join(), `${urls.join(" and ")} serve`);
  const keyOfRequest = async (engine: typeof one): Promise<string | undefined> => {
    await (await post(`${gateway.url}/v1/chat/completions`, HELLO)).text();
    return engine.requests.at(-1)?.headers["authorization"];
  };
  await serves(one.url);
  expect(await keyOfRequest(one)).toBe("Bearer first");
  reload(on("one", "second"));
  await eventually(async () => (await keyOfRequest(one)) === "Bearer second", "the worker gets the other key");
  reload(on("two", "second"));
  await serves(two.url);
  expect(await keyOfRequest(two)).toBe("Bearer second");
  reload(`${on("two", "second")}service_discovery_port: 0\n`);
  await eventually(() => gateway.output.includes("service_discovery_port"), "a mistake is told");
  reload(`worker_api_key: second\n`);
  await serves();
  reload(on("one", "third"));
  await serves(one.url);
  expect(await keyOfRequest(one)).toBe("Bearer third");
});

test("pods whose engines have data-parallel ranks bring a worker for each rank, and take all of them with them", async () => {
  await using engine = await startEngine({ kind: "vllm", model: "sim-1", dpSize: 3 });
  await using other = await startEngine({ kind: "vllm", model: "sim-1", dpSize: 2 });
  const pods = [podOf("a", new URL(engine.url).port, 4), podOf("b", new URL(other.url).port, 4)];
  let say: (event: object) => void = () => undefined;
  handler = ({ url }) => {
    if (new URL(url).searchParams.get("watch") !== "true")
      return Response.json({ metadata: { resourceVersion: "5" }, items: pods });
    return new Response(
      new ReadableStream({
        start(controller) {
          say = (event) => controller.enqueue(new TextEncoder().encode(`${JSON.stringify(event)}\n`));
        },
      }),
    );
  };
  const flags = ["--service-discovery", "--selector", "app=vllm", "--kubeconfig", writeKubeconfig(), "--dp-aware"];
  await using gateway = await startProcess([...flags, "--shutdown-delay-secs", "0"]);
  const serving = async (): Promise<string> => {
    const { workers } = (await (await fetch(`${gateway.url}/workers`)).json()) as {
      workers: { url: string; status: string; cordoned: boolean }[];
    };
    const able = workers.filter(({ status, cordoned }) => status === "ready" && !cordoned);
    const names = able.map(({ url }) => url.replace(engine.url, "a").replace(other.url, "b"));
    return names.toSorted().join();
  };
  await eventually(async () => (await serving()) === "a@0,a@1,a@2,b@0,b@1", "each rank serves");
  for (let count = 0; count < 30; count += 1) {
    const answer = await post(`${gateway.url}/v1/chat/completions`, HELLO);
    expect([answer.status, (await answer.text()) !== ""]).toEqual([200, true]);
  }
  expect(new Set(engine.requests.map(({ rank }) => rank)).size).toBe(3);
  // Late and doubled news of a pod that is not ready, and then is, are for all of its ranks.
  const notReady = { phase: "Running", podIP: "127.0.0.1", conditions: [{ type: "Ready", status: "False" }] };
  const unready = { ...podOf("a", new URL(engine.url).port, 7), status: notReady };
  for (let count = 0; count < 2; count += 1) say({ type: "MODIFIED", object: unready });
  await eventually(async () => (await serving()) === "b@0,b@1", "no rank of the pod gets requests");
  say({ type: "MODIFIED", object: podOf("a", new URL(engine.url).port, 8) });
  await eventually(async () => (await serving()) === "a@0,a@1,a@2,b@0,b@1", "all ranks are back");
  say({ type: "DELETED", object: podOf("a", new URL(engine.url).port, 9) });
  await eventually(async () => (await serving()) === "b@0,b@1", "all ranks of the pod leave");
  // The pod of the same address is another engine, with another number of ranks.
  await engine.stop();
  await using next = await startEngine({
    kind: "vllm",
    model: "sim-1",
    dpSize: 1,
    port: Number(new URL(engine.url).port),
  });
  say({ type: "ADDED", object: podOf("c", new URL(next.url).port, 10) });
  await eventually(async () => (await serving()) === "a@0,b@0,b@1", "its one rank serves");
}, 30_000);
