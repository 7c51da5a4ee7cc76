import { expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readCollectorTls, type TraceSettings, traceSettings } from "./trace-settings.ts";

const NOT_SET = { tracesEndpoint: undefined, tracesSampleRatio: undefined };

function settings(env: Record<string, string>, tracesEndpoint?: string): TraceSettings | undefined {
  return traceSettings({ ...NOT_SET, tracesEndpoint }, env);
}

function target(env: Record<string, string>, endpoint?: string): string {
  const { protocol, url } = settings(env, endpoint) ?? {};
  return `${protocol} ${url}`;
}

test("without an address nothing is traced, and neither where the variables turn it off", () => {
  expect(settings({})).toBeUndefined();
  expect(settings({ OTEL_EXPORTER_OTLP_ENDPOINT: "" })).toBeUndefined();
  for (const off of [{ OTEL_SDK_DISABLED: "TRUE" }, { OTEL_TRACES_EXPORTER: "none" }])
    expect(settings({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:4318", ...off }, "http://c:4318")).toBeUndefined();
});

test("the protocol is what the scheme says, then the variables, then the port", () => {
  expect(target({}, "c:4318")).toBe("http/json http://c:4318/v1/traces");
  expect(target({}, "c:4317")).toBe("grpc grpc://c:4317");
  expect(target({}, "https://c:4317")).toBe("grpc grpcs://c:4317");
  expect(target({}, "grpc://c")).toBe("grpc grpc://c:4317");
  expect(target({}, "grpc://[::1]:9")).toBe("grpc grpc://[::1]:9");
  expect(target({ OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }, "https://vendor")).toBe("grpc grpcs://vendor:443");
  expect(target({ OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf" }, "http://c:4317")).toBe(
    "http/protobuf http://c:4317/v1/traces",
  );
  expect(target({ OTEL_EXPORTER_OTLP_PROTOCOL: "grpc", OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/json" }, "c")).toBe(
    "http/json http://c/v1/traces",
  );
});

test("the variables name the collector, and the one for traces the whole address", () => {
  expect(target({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:4318/otlp/" })).toBe("http/json http://c:4318/otlp/v1/traces");
  expect(target({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:4317" })).toBe("grpc grpc://c:4317");
  expect(
    target({
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:4318",
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "https://d/in?x=1",
    }),
  ).toBe("http/json https://d/in?x=1");
});

test("headers, resource and sampler are those of the variables", () => {
  const found = settings(
    {
      OTEL_EXPORTER_OTLP_HEADERS: "a=1,b=two%20words",
      OTEL_EXPORTER_OTLP_TRACES_HEADERS: "b=3",
      OTEL_SERVICE_NAME: "edge",
      OTEL_RESOURCE_ATTRIBUTES: "service.name=other,deployment.environment=prod",
      OTEL_TRACES_SAMPLER: "traceidratio",
      OTEL_TRACES_SAMPLER_ARG: "0.25",
    },
    "c:4318",
  );
  expect(found).toMatchObject({ headers: { a: "1", b: "3" }, ratio: 0.25, isParentBased: false });
  expect(found?.resource).toMatchObject({ "service.name": "edge", "deployment.environment": "prod" });
});

test("a protocol that there is not, and an address that is none, are refused by name", () => {
  expect(() => settings({ OTEL_EXPORTER_OTLP_PROTOCOL: "zipkin" }, "c:4318")).toThrow(
    'OTEL_EXPORTER_OTLP_PROTOCOL: there is no protocol "zipkin"; one of http/json, http/protobuf, grpc',
  );
  expect(() => settings({ OTEL_EXPORTER_OTLP_ENDPOINT: "unix:///tmp/s" })).toThrow("is not the address of a collector");
});

test("an address with a password is refused, and does not show it", () => {
  for (const OTEL_EXPORTER_OTLP_ENDPOINT of [
    "http://someone:hunter2@c:4318",
    "grpc://:hunter2@c",
    "unix://u:hunter2@c",
  ])
    expect(() => settings({ OTEL_EXPORTER_OTLP_ENDPOINT })).toThrow(
      /^"\w+:\/\/\[redacted\]@\S+" (must not carry|is not)/,
    );
});

test("an empty variable is none, and names are read whatever their case", () => {
  const empty = {
    OTEL_TRACES_SAMPLER: "",
    OTEL_TRACES_SAMPLER_ARG: "",
    OTEL_SERVICE_NAME: "",
    OTEL_EXPORTER_OTLP_PROTOCOL: "",
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: "",
    OTEL_BSP_SCHEDULE_DELAY: " ",
  };
  expect(settings(empty, "c:4318")).toMatchObject({
    protocol: "http/json",
    ratio: 1,
    isParentBased: true,
    resource: { "service.name": "pointsman" },
    timeoutMs: 10_000,
    batching: { gatherMs: 1000, maxBatch: 512, maxWaiting: 8192, exportMs: 30_000 },
    notices: [],
  });
  expect(target({ OTEL_EXPORTER_OTLP_PROTOCOL: "HTTP/Protobuf" }, "c:4318")).toStartWith("http/protobuf ");
  expect(settings({ OTEL_TRACES_SAMPLER: "Always_Off" }, "c:4318")).toMatchObject({ ratio: 0, isParentBased: false });
  expect(settings({ OTEL_TRACES_EXPORTER: "None" }, "c:4318")).toBeUndefined();
});

test("the ratio of the configuration comes before the sampler's, whose parents decide all the same", () => {
  const env = { OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.25" };
  const found = traceSettings({ tracesEndpoint: "c:4318", tracesSampleRatio: 0.5 }, env);
  expect(found).toMatchObject({ ratio: 0.5, isParentBased: false });
  // Without a sampler that has one, an argument says nothing.
  expect(settings({ OTEL_TRACES_SAMPLER_ARG: "0.25" }, "c:4318")).toMatchObject({ ratio: 1, notices: [] });
});

test("the time of an export and the bounds of batches are those of the variables", () => {
  const env = {
    OTEL_EXPORTER_OTLP_TIMEOUT: "5000",
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: "3000",
    OTEL_BSP_SCHEDULE_DELAY: "250",
    OTEL_BSP_MAX_QUEUE_SIZE: "100",
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "512",
    OTEL_BSP_EXPORT_TIMEOUT: "7000",
  };
  expect(settings(env, "c:4318")).toMatchObject({
    timeoutMs: 3000,
    // A larger batch than the queue would never be full.
    batching: { gatherMs: 250, maxBatch: 100, maxWaiting: 100, exportMs: 7000 },
    notices: [],
  });
});

test("a value that is not understood is told by its variable, and is as if it were not there", () => {
  const env = {
    OTEL_TRACES_SAMPLER: "parentbased_jaeger_remote",
    OTEL_BSP_MAX_QUEUE_SIZE: "-1",
    OTEL_BSP_SCHEDULE_DELAY: "5s",
    OTEL_EXPORTER_OTLP_COMPRESSION: "brotli",
  };
  const found = settings(env, "c:4318");
  expect(found).toMatchObject({
    ratio: 1,
    isParentBased: true,
    isCompressed: false,
    batching: { gatherMs: 1000, maxWaiting: 8192 },
  });
  expect(found?.notices).toEqual([
    'OTEL_TRACES_SAMPLER is "parentbased_jaeger_remote" and not one of always_on, parentbased_always_on, always_off, parentbased_always_off, traceidratio, parentbased_traceidratio: it is left out',
    'OTEL_EXPORTER_OTLP_COMPRESSION is "brotli" and not one of none, gzip: it is left out',
    'OTEL_BSP_MAX_QUEUE_SIZE is "-1" and not a whole number from 1 to 1000000: it is left out',
    'OTEL_BSP_SCHEDULE_DELAY is "5s" and not a whole number from 1 to 3600000: it is left out',
  ]);
  const ratio = { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: "10%" };
  expect(settings(ratio, "c:4318")).toMatchObject({
    ratio: 1,
    notices: ['OTEL_TRACES_SAMPLER_ARG is "10%" and not a number from 0 to 1: it is left out'],
  });
});

test("an exporter that there is not is told, and one list that has OTLP is not", () => {
  expect(settings({ OTEL_TRACES_EXPORTER: "console" }, "c:4318")?.notices).toEqual([
    'OTEL_TRACES_EXPORTER is "console": spans are sent by OTLP all the same, or not at all with "none"',
  ]);
  for (const fine of ["", "otlp", "console, OTLP"])
    expect(settings({ OTEL_TRACES_EXPORTER: fine }, "c:4318")?.notices).toEqual([]);
});

test("exports are compressed where the variables want it, over HTTP and over gRPC", () => {
  expect(settings({ OTEL_EXPORTER_OTLP_COMPRESSION: "gzip" }, "c:4318")).toMatchObject({
    isCompressed: true,
    notices: [],
  });
  expect(settings({ OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: "gzip" }, "c:4317")).toMatchObject({
    isCompressed: true,
    notices: [],
  });
  expect(
    settings({ OTEL_EXPORTER_OTLP_COMPRESSION: "gzip", OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: "none" }, "c:4317"),
  ).toMatchObject({ isCompressed: false });
});

test("the certificates of the way to the collector are read from the files that the variables name", () => {
  const folder = mkdtempSync(join(tmpdir(), "pointsman-otel-"));
  const file = (name: string): string => {
    writeFileSync(join(folder, name), `the ${name}`);
    return join(folder, name);
  };
  expect(readCollectorTls({})).toBeUndefined();
  expect(readCollectorTls({ OTEL_EXPORTER_OTLP_CERTIFICATE: file("ca") })).toEqual({ ca: "the ca" });
  const pair = {
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: file("cert"),
    OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY: file("key"),
  };
  expect(readCollectorTls(pair)).toEqual({ pair: { cert: "the cert", key: "the key" } });
  expect(() => readCollectorTls({ OTEL_EXPORTER_OTLP_CLIENT_KEY: file("key") })).toThrow(
    "OTEL_EXPORTER_OTLP_CLIENT_KEY needs OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
  );
  expect(() => readCollectorTls({ OTEL_EXPORTER_OTLP_CERTIFICATE: join(folder, "none") })).toThrow(
    `OTEL_EXPORTER_OTLP_CERTIFICATE: the file ${join(folder, "none")} cannot be read`,
  );
});
