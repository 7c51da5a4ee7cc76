import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import { wallNow } from "../observability/recorded-request.ts";
import { deliverOverHttp } from "../observability/traces/otlp-http.ts";
import { SpanExporter } from "../observability/traces/span-exporter.ts";
import { Tracer } from "../observability/traces/tracer.ts";
import type { Clock } from "../util/clock.ts";
import { lazy } from "../util/lazy.ts";
import type * as GrpcCollector from "./grpc-collector.ts";
import { readCollectorTls, type TraceConfig, traceSettings } from "./trace-settings.ts";

/** Takes gRPC and protobuf, which few need. */
const grpcCollector = lazy((): typeof GrpcCollector => require("./grpc-collector.ts"));

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
  for (const notice of settings.notices) logger.warn({}, notice);
  const tls = readCollectorTls(process.env);
  const target = tls === undefined ? settings : { ...settings, tls };
  const onCount = (outcome: string, spans: number): void => metrics.increment("spans", { outcome }, spans);
  const deliver =
    settings.protocol === "grpc" ? grpcCollector().deliverOverGrpc(target, clock, stack) : deliverOverHttp(target);
  const exporter = new SpanExporter({
    url: settings.url,
    deliver,
    batching: settings.batching,
    clock,
    logger,
    onCount,
  });
  stack.defer(() => exporter.close());
  logger.info({ url: settings.url, protocol: settings.protocol, ratio: settings.ratio }, "traces are sent");
  return exporter;
}

/** Decides which requests of a thread are traced, and gives their spans to `exporter`; undefined where none is. */
export function tracerOf(config: TraceConfig, exporter: Pick<SpanExporter, "add"> | undefined): Tracer | undefined {
  const settings = exporter && traceSettings(config, process.env);
  return settings && new Tracer({ ...settings, exporter, wallNow });
}
