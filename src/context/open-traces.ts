import type { Config } from "../config/schema.ts";
import { GatewayError } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import { wallNow } from "../observability/recorded-request.ts";
import type { Attributes } from "../observability/traces/span.ts";
import { deliverOverHttp, type ExportSettings, type TraceProtocol } from "../observability/traces/otlp-http.ts";
import { SpanExporter } from "../observability/traces/span-exporter.ts";
import { Tracer } from "../observability/traces/tracer.ts";
import type { Clock } from "../util/clock.ts";
import { lazy } from "../util/lazy.ts";
import { VERSION } from "../util/version.ts";
import type * as GrpcCollector from "./grpc-collector.ts";

type Env = Readonly<Record<string, string | undefined>>;
export type TraceConfig = Pick<Config, "tracesEndpoint" | "tracesSampleRatio">;

/** What the configuration and OpenTelemetry's own variables say of traces. */
export interface TraceSettings extends ExportSettings {
  readonly ratio: number;
  readonly isParentBased: boolean;
}

/** Takes gRPC and protobuf, which few need. */
const grpcCollector = lazy((): typeof GrpcCollector => require("./grpc-collector.ts"));

const DEFAULT_SAMPLER = "parentbased_always_on";
const PROTOCOLS: readonly string[] = ["http/json", "http/protobuf", "grpc"] satisfies TraceProtocol[];
/** The port of OTLP over gRPC. */
const GRPC_PORT = "4317";

/**
 * Settings of traces; undefined where there are none. The configuration comes before the variables of the OpenTelemetry specification
 * (`OTEL_EXPORTER_OTLP_*`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_EXPORTER`, `OTEL_SDK_DISABLED`).
 * Throws invalid_request where a variable names a protocol that there is not, or an address that is none.
 */
export function traceSettings({ tracesEndpoint, tracesSampleRatio }: TraceConfig, env: Env): TraceSettings | undefined {
  const given = tracesEndpoint ?? endpointOf(env);
  if (given === undefined || isOff(env)) return undefined;
  const address = addressOf(given);
  const protocol = protocolOf(address, env);
  const sampler = env["OTEL_TRACES_SAMPLER"] ?? DEFAULT_SAMPLER;
  return {
    protocol,
    url: protocol === "grpc" ? grpcOrigin(address) : httpUrl(address),
    headers: {
      ...pairs(env["OTEL_EXPORTER_OTLP_HEADERS"]),
      ...pairs(env["OTEL_EXPORTER_OTLP_TRACES_HEADERS"]),
    },
    resource: resourceOf(env),
    version: VERSION,
    ratio: tracesSampleRatio ?? ratioOf(sampler, env["OTEL_TRACES_SAMPLER_ARG"]),
    isParentBased: sampler.startsWith("parentbased_"),
  };
}

function isOff(env: Env): boolean {
  return env["OTEL_SDK_DISABLED"]?.toLowerCase() === "true" || env["OTEL_TRACES_EXPORTER"] === "none";
}

/** Variables name the collector, to whose path `/v1/traces` is added over HTTP, and the one for traces its whole address. */
function endpointOf(env: Env): string | undefined {
  const whole = env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
  if (whole) return whole;
  const base = env["OTEL_EXPORTER_OTLP_ENDPOINT"];
  return base ? `${base.replace(/\/+$/, "")}/v1/traces` : undefined;
}

/** A host and port, a collector, or a whole address. */
function addressOf(text: string): URL {
  const url = URL.parse(text.includes("://") ? text : `http://${text}`);
  if (url && /^(https?|grpcs?):$/.test(url.protocol) && url.host !== "") return url;
  throw new GatewayError("invalid_request", `${JSON.stringify(text)} is not the address of a collector of traces`);
}

/** What the address says by its scheme comes first, then the variables, then its port. */
function protocolOf(address: URL, env: Env): TraceProtocol {
  if (address.protocol.startsWith("grpc")) return "grpc";
  const name = env["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"]
    ? "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
    : "OTEL_EXPORTER_OTLP_PROTOCOL";
  const given = env[name];
  if (!given) return address.port === GRPC_PORT ? "grpc" : "http/json";
  if (isProtocol(given)) return given;
  throw new GatewayError(
    "invalid_request",
    `${name}: there is no protocol ${JSON.stringify(given)}; one of ${PROTOCOLS.join(", ")}`,
  );
}

function isProtocol(text: string): text is TraceProtocol {
  return PROTOCOLS.includes(text);
}

/** Collectors of vendors are `https://HOST` with its usual port; all others wait on the port of the protocol. */
function grpcOrigin({ protocol, hostname, port }: URL): string {
  const usual = protocol === "https:" ? "443" : GRPC_PORT;
  return `${protocol.endsWith("s:") ? "grpcs" : "grpc"}://${hostname}:${port || usual}`;
}

function httpUrl(address: URL): string {
  return address.pathname === "/" ? new URL("/v1/traces", address).href : address.href;
}

function ratioOf(sampler: string, argument: string | undefined): number {
  if (sampler.endsWith("always_off")) return 0;
  const ratio = Number(argument ?? "1");
  return sampler.endsWith("traceidratio") && ratio >= 0 && ratio <= 1 ? ratio : 1;
}

function resourceOf(env: Env): Attributes {
  const given = pairs(env["OTEL_RESOURCE_ATTRIBUTES"]);
  return {
    "service.version": VERSION,
    "process.pid": process.pid,
    ...given,
    "service.name": env["OTEL_SERVICE_NAME"] ?? given["service.name"] ?? "pointsman",
  };
}

/** `a=1,b=2`, with percent-encoded values (W3C Baggage). */
function pairs(text = ""): Record<string, string> {
  const found = text.split(",").flatMap((pair): [string, string][] => {
    const at = pair.indexOf("=");
    return at < 1 ? [] : [[pair.slice(0, at).trim(), decoded(pair.slice(at + 1).trim())]];
  });
  return Object.fromEntries(found);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export interface OpenTracesParts {
  readonly config: TraceConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Opens the way to the collector, for the spans of all threads. `stack` closes it, and what waits is sent before. */
export function openTraces(
  { config, clock, logger, metrics }: OpenTracesParts,
  stack: AsyncDisposableStack,
): SpanExporter | undefined {
  const settings = traceSettings(config, process.env);
  if (!settings) return undefined;
  const onCount = (outcome: string, spans: number): void => metrics.increment("spans", { outcome }, spans);
  const deliver =
    settings.protocol === "grpc" ? grpcCollector().deliverOverGrpc(settings, clock, stack) : deliverOverHttp(settings);
  const exporter = new SpanExporter({ url: settings.url, deliver, clock, logger, onCount });
  stack.defer(() => exporter.close());
  logger.info({ url: settings.url, protocol: settings.protocol, ratio: settings.ratio }, "traces are sent");
  return exporter;
}

/** Decides which requests of a thread are traced, and gives their spans to `exporter`; undefined where none is. */
export function tracerOf(config: TraceConfig, exporter: Pick<SpanExporter, "add"> | undefined): Tracer | undefined {
  const settings = exporter && traceSettings(config, process.env);
  return settings && new Tracer({ ...settings, exporter, wallNow });
}
