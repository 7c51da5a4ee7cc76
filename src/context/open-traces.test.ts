import { expect, test } from "bun:test";
import { type TraceSettings, traceSettings } from "./open-traces.ts";

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
