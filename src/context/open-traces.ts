import type { Config } from "../config/schema.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import { wallNow } from "../observability/recorded-request.ts";
import type { Attributes } from "../observability/traces/span.ts";
import { type ExportSettings, SpanExporter } from "../observability/traces/span-exporter.ts";
import { Tracer } from "../observability/traces/tracer.ts";
import type { Clock } from "../util/clock.ts";
import { VERSION } from "../util/version.ts";

type Env = Readonly<Record<string, string | undefined>>;
export type TraceConfig = Pick<Config, "tracesEndpoint" | "tracesSampleRatio">;

/** What the configuration and OpenTelemetry's own variables say of traces. */
export interface TraceSettings extends ExportSettings {
  readonly ratio: number;
  readonly isParentBased: boolean;
}

const DEFAULT_SAMPLER = "parentbased_always_on";

/**
 * Settings of traces; undefined where there are none. The configuration comes before the variables of the OpenTelemetry specification
 * (`OTEL_EXPORTER_OTLP_*`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_SDK_DISABLED`).
 */
export function traceSettings({ tracesEndpoint, tracesSampleRatio }: TraceConfig, env: Env): TraceSettings | undefined {
  const url = tracesEndpoint === undefined ? endpointOf(env) : tracesUrl(tracesEndpoint);
  if (url === undefined || env["OTEL_SDK_DISABLED"]?.toLowerCase() === "true") return undefined;
  const sampler = env["OTEL_TRACES_SAMPLER"] ?? DEFAULT_SAMPLER;
  return {
    url,
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

/** Variables name the collector, and the one for traces its whole address. */
function endpointOf(env: Env): string | undefined {
  const whole = env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
  if (whole) return whole;
  const base = env["OTEL_EXPORTER_OTLP_ENDPOINT"];
  return base ? `${base.replace(/\/+$/, "")}/v1/traces` : undefined;
}

/** The address of the option: a host and port, a collector, or a whole address. */
function tracesUrl(text: string): string {
  const url = new URL(text.includes("://") ? text : `http://${text}`);
  return url.pathname === "/" ? new URL("/v1/traces", url).href : url.href;
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
  const exporter = new SpanExporter({ settings, clock, logger, onCount });
  stack.defer(() => exporter.close());
  logger.info({ url: settings.url, ratio: settings.ratio }, "traces are sent");
  return exporter;
}

/** Decides which requests of a thread are traced, and gives their spans to `exporter`; undefined where none is. */
export function tracerOf(config: TraceConfig, exporter: Pick<SpanExporter, "add"> | undefined): Tracer | undefined {
  const settings = exporter && traceSettings(config, process.env);
  return settings && new Tracer({ ...settings, exporter, wallNow });
}
