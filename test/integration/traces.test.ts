import { afterEach, beforeEach, expect, test } from "bun:test";
import { z } from "zod";
import { type RpcCall, RpcError, startRpcServer, STATUS } from "../engines/grpc/rpc-server.ts";
import { eventually } from "../faults/observe.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { type GatewayProcess, startProcess } from "../support/process.ts";
import { TEST_CA, TEST_PAIRS } from "../support/tls.ts";
import { mountSecret } from "../support/tls-files.ts";

const attribute = z.strictObject({
  key: z.string().min(1),
  value: z.union([
    z.strictObject({ stringValue: z.string() }),
    z.strictObject({ boolValue: z.boolean() }),
    z.strictObject({ intValue: z.string().regex(/^-?\d+$/) }),
    z.strictObject({ doubleValue: z.number() }),
    z.strictObject({ arrayValue: z.strictObject({ values: z.array(z.strictObject({ stringValue: z.string() })) }) }),
  ]),
});
const nanos = z.string().regex(/^\d{19}$/);
/** OTLP 1.x, JSON, and no member that it does not have. */
const exported = z.strictObject({
  resourceSpans: z.array(
    z.strictObject({
      resource: z.strictObject({ attributes: z.array(attribute) }),
      scopeSpans: z.array(
        z.strictObject({
          scope: z.strictObject({ name: z.string(), version: z.string() }),
          spans: z.array(
            z.strictObject({
              traceId: z.string().regex(/^[0-9a-f]{32}$/),
              spanId: z.string().regex(/^[0-9a-f]{16}$/),
              parentSpanId: z
                .string()
                .regex(/^[0-9a-f]{16}$/)
                .optional(),
              traceState: z.string().optional(),
              flags: z.int(),
              name: z.string().min(1),
              kind: z.int().min(1).max(5),
              startTimeUnixNano: nanos,
              endTimeUnixNano: nanos,
              attributes: z.array(attribute),
              events: z.array(
                z.strictObject({ name: z.string(), timeUnixNano: nanos, attributes: z.array(attribute) }),
              ),
              status: z.strictObject({ code: z.int().optional(), message: z.string().optional() }),
            }),
          ),
        }),
      ),
    }),
  ),
});
type ExportedSpan = z.output<typeof exported>["resourceSpans"][number]["scopeSpans"][number]["spans"][number];

let collector: ReturnType<typeof Bun.serve>;
let spans: ExportedSpan[] = [];
let services: string[] = [];
beforeEach(() => {
  [spans, services] = [[], []];
  collector = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      if (new URL(request.url).pathname !== "/v1/traces") return new Response("", { status: 404 });
      const { resourceSpans } = exported.parse(await request.json());
      for (const { resource, scopeSpans } of resourceSpans) {
        services.push(JSON.stringify(resource.attributes.find(({ key }) => key === "service.name")?.value));
        spans.push(...scopeSpans.flatMap((scope) => scope.spans));
      }
      return Response.json({});
    },
  });
});
afterEach(() => collector.stop(true));

const valueOf = (span: ExportedSpan | undefined, key: string): unknown =>
  Object.values(span?.attributes.find((one) => one.key === key)?.value ?? {})[0];

for (const threads of ["1", "2"]) {
  test(`with ${threads} threads, a request's spans reach the collector and the worker gets their context`, async () => {
    await using engine = await startEngine({ model: "sim-1" });
    const flags = ["--threads", threads, "--otlp-traces-endpoint", collector.url.origin, "--shutdown-delay-secs", "0"];
    await using gateway = await startProcess([...flags, "--worker-urls", engine.url], { OTEL_SERVICE_NAME: "edge" });
    while ((await fetch(`${gateway.url}/readiness`)).status !== 200) await Bun.sleep(20);
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const reply = await post(`${gateway.url}/v1/chat/completions`, { ...HELLO, stream: true }, { traceparent });
    expect(await reply.text()).toContain("[DONE]");
    await eventually(() => spans.length === 2, "both spans are there");
    const server = spans.find(({ kind }) => kind === 2);
    const client = spans.find(({ kind }) => kind === 3);
    expect([server?.parentSpanId, client?.parentSpanId]).toEqual(["00f067aa0ba902b7", server?.spanId]);
    expect(engine.requests.at(-1)?.headers["traceparent"]).toBe(
      `00-4bf92f3577b34da6a3ce929d0e0e4736-${client?.spanId}-01`,
    );
    expect(valueOf(server, "pointsman.request_id")).toBe(reply.headers.get("x-request-id"));
    expect(server?.events.map(({ name }) => name)).toEqual(["pointsman.route", "pointsman.first_token"]);
    expect(services).toContain('{"stringValue":"edge"}');
    expect(JSON.stringify(spans)).not.toContain("Hello there");
    // The last spans are sent before the process ends.
    await (await post(`${gateway.url}/v1/chat/completions`, HELLO)).text();
    gateway.signal("SIGTERM");
    expect(await gateway.exited).toBe(0);
    expect(spans).toHaveLength(4);
  });
}

test("a request whose caller does not sample it, and each one where no collector is named, passes the context on as it came", async () => {
  await using engine = await startEngine({ model: "sim-1" });
  const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
  for (const flags of [["--otlp-traces-endpoint", collector.url.origin], []]) {
    await using gateway = await startProcess([...flags, "--worker-urls", engine.url]);
    while ((await fetch(`${gateway.url}/readiness`)).status !== 200) await Bun.sleep(20);
    await (await post(`${gateway.url}/v1/chat/completions`, HELLO, { traceparent, tracestate: "a=1" })).text();
    const { headers } = engine.requests.at(-1) ?? {};
    expect([headers?.["traceparent"], headers?.["tracestate"]]).toEqual([traceparent, "a=1"]);
  }
  expect(spans).toEqual([]);
});

test("a collector that is away costs spans, and no request", async () => {
  await using engine = await startEngine({ model: "sim-1" });
  void collector.stop(true);
  await using gateway = await startProcess([
    "--enable-trace",
    "--otlp-traces-endpoint",
    collector.url.origin,
    "--worker-urls",
    engine.url,
  ]);
  while ((await fetch(`${gateway.url}/readiness`)).status !== 200) await Bun.sleep(20);
  for (let count = 0; count < 20; count += 1) {
    expect((await post(`${gateway.url}/v1/chat/completions`, HELLO)).status).toBe(200);
  }
  await eventually(
    () => gateway.lines().some(({ msg }) => String(msg).startsWith("traces are not taken")),
    "it is told",
  );
  expect(await gateway.metric("pointsman_spans_total", { outcome: "dropped" })).toBeGreaterThan(0);
}, 20_000);

test("over gRPC each batch is a call with the collector's headers, and a collector that is busy is asked again", async () => {
  const calls: { readonly bytes: number; readonly key: string | undefined; readonly names: boolean }[] = [];
  const handlers = new Map([
    [
      "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
      async function* (request: Uint8Array, { metadata }: RpcCall) {
        const text = new TextDecoder().decode(request);
        calls.push({ bytes: request.length, key: metadata["x-key"], names: /chat sim-1/.test(text) });
        if (calls.length === 1) throw new RpcError(STATUS.unavailable, "busy");
        yield new Uint8Array(0);
      },
    ],
  ]);
  const server = await startRpcServer(0, handlers);
  await using engine = await startEngine({ model: "sim-1" });
  await using gateway = await startProcess(["--worker-urls", engine.url], {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${server.port}`,
    OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
    OTEL_EXPORTER_OTLP_HEADERS: "X-Key=secret",
  });
  while ((await fetch(`${gateway.url}/readiness`)).status !== 200) await Bun.sleep(20);
  await (await post(`${gateway.url}/v1/chat/completions`, HELLO)).text();
  await eventually(() => calls.length === 2, "the batch is sent again");
  await eventually(
    async () => (await gateway.metric("pointsman_spans_total", { outcome: "sent" })) === 2,
    "it is counted",
  );
  expect(calls[1]).toEqual({ bytes: calls[0]?.bytes ?? 0, key: "secret", names: true });
  server.die();
}, 20_000);

test("a collector behind TLS of its own authority, which wants a certificate, gets compressed batches as the variables say", async () => {
  using secret = mountSecret(TEST_PAIRS.client);
  const seen: string[] = [];
  const secure = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    tls: { ...TEST_PAIRS.first, ca: TEST_CA, requestCert: true, rejectUnauthorized: true },
    async fetch(request) {
      const bytes = Bun.gunzipSync(new Uint8Array(await request.arrayBuffer()));
      const { resourceSpans } = exported.parse(JSON.parse(Buffer.from(bytes).toString()));
      const found = resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans));
      seen.push(`${request.headers.get("content-encoding")} ${found.length}`);
      return Response.json({});
    },
  });
  await using engine = await startEngine({ model: "sim-1" });
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: `https://localhost:${secure.port}`,
    OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
    OTEL_EXPORTER_OTLP_CERTIFICATE: secret.caPath,
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: secret.certPath,
    OTEL_EXPORTER_OTLP_CLIENT_KEY: secret.keyPath,
    OTEL_BSP_SCHEDULE_DELAY: "50",
    OTEL_BSP_MAX_QUEUE_SIZE: "many",
  };
  await using gateway = await startProcess(["--worker-urls", engine.url], env);
  while ((await fetch(`${gateway.url}/readiness`)).status !== 200) await Bun.sleep(20);
  await (await post(`${gateway.url}/v1/chat/completions`, HELLO)).text();
  await eventually(() => seen.length > 0, "the batch is there");
  expect(seen).toEqual(["gzip 2"]);
  const told = (): number => gateway.output.split("OTEL_BSP_MAX_QUEUE_SIZE is").length - 1;
  await eventually(() => told() === 1, "it is told that a variable is left out");
  await secure.stop(true);
}, 20_000);

test("a gRPC collector behind TLS of its own authority, which wants a certificate, gets compressed batches; without the certificate it gets none", async () => {
  using secret = mountSecret(TEST_PAIRS.client);
  const calls: { readonly encoding: string | undefined; readonly names: boolean }[] = [];
  const handlers = new Map([
    [
      "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
      async function* (request: Uint8Array, { metadata }: RpcCall) {
        const text = new TextDecoder().decode(request);
        calls.push({ encoding: metadata["grpc-encoding"], names: /chat sim-1/.test(text) });
        yield new Uint8Array(0);
      },
    ],
  ]);
  const server = await startRpcServer(0, handlers, { ...TEST_PAIRS.first, ca: TEST_CA });
  await using engine = await startEngine({ model: "sim-1" });
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: `grpcs://localhost:${server.port}`,
    OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
    OTEL_EXPORTER_OTLP_CERTIFICATE: secret.caPath,
    OTEL_BSP_SCHEDULE_DELAY: "50",
    OTEL_BSP_EXPORT_TIMEOUT: "2500",
  };
  const pair = {
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: secret.certPath,
    OTEL_EXPORTER_OTLP_CLIENT_KEY: secret.keyPath,
  };
  const chat = async (gateway: GatewayProcess): Promise<void> => {
    while ((await fetch(`${gateway.url}/readiness`)).status !== 200) await Bun.sleep(20);
    await (await post(`${gateway.url}/v1/chat/completions`, HELLO)).text();
  };
  {
    await using gateway = await startProcess(["--worker-urls", engine.url], { ...env, ...pair });
    await chat(gateway);
    await eventually(() => calls.length > 0, "the batch is there");
    expect(calls).toEqual([{ encoding: "gzip", names: true }]);
  }
  await using stranger = await startProcess(["--worker-urls", engine.url], env);
  await chat(stranger);
  await eventually(
    () => stranger.lines().some(({ msg }) => String(msg).startsWith("traces are not taken")),
    "it is told",
  );
  expect(calls).toHaveLength(1);
  server.die();
}, 30_000);

test("an address that cannot be one, and a protocol that there is not, are refused at the start", async () => {
  const check = async (endpoint: string): Promise<string> => {
    const child = Bun.spawn(["bin/pointsman", "check", "--otlp-traces-endpoint", endpoint], {
      stderr: "pipe",
      stdout: "ignore",
    });
    return child.stderr.text();
  };
  expect(await check("ftp://x")).toContain("must be the address of a collector");
  await using engine = await startEngine({ model: "sim-1" });
  const wrong = Bun.spawn(["bin/pointsman", "--worker-urls", engine.url, "--port", "0"], {
    env: { ...process.env, OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:4318", OTEL_EXPORTER_OTLP_PROTOCOL: "zipkin" },
    stderr: "pipe",
    stdout: "ignore",
  });
  expect(await wrong.stderr.text()).toContain('OTEL_EXPORTER_OTLP_PROTOCOL: there is no protocol "zipkin"');
  expect(await wrong.exited).not.toBe(0);
}, 30_000);
