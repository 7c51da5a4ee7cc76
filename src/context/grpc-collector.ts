import { asGatewayError, type ErrorCode } from "../errors/errors.ts";
import { type Deliver, type ExportSettings } from "../observability/traces/otlp-http.ts";
import { exportMessage } from "../observability/traces/otlp-protobuf.ts";
import { GrpcTransport } from "../transport/grpc/grpc-transport.ts";
import { PUBLIC_WORKERS, WorkerTls } from "../transport/tls/worker-tls.ts";
import { fetchFailure } from "../util/fetch-failure.ts";
import type { Clock } from "../util/clock.ts";

const EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/** With these the collector would refuse the same batch again. */
const FINAL: ReadonlySet<ErrorCode> = new Set(["upstream_rejected", "upstream_auth_failed", "upstream_unimplemented"]);

/** OTLP over gRPC: each batch is one call. `stack` closes the connections. */
export function deliverOverGrpc(
  { url, headers, resource, version, timeoutMs, isCompressed, tls }: ExportSettings,
  clock: Clock,
  stack: AsyncDisposableStack,
): Deliver {
  const certificates = { ...PUBLIC_WORKERS, authorities: tls?.ca === undefined ? [] : [tls.ca], pair: tls?.pair };
  const grpc = stack.use(new GrpcTransport(undefined, clock, new WorkerTls(certificates, () => undefined)));
  const given = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
  const metadata = { ...Object.fromEntries(given), ...(isCompressed ? { "grpc-encoding": "gzip" } : {}) };
  const timeouts = { connectMs: timeoutMs, firstByteMs: timeoutMs, idleMs: timeoutMs };
  return async (batch, withinMs) => {
    const written = exportMessage(batch, resource, version);
    const message = isCompressed ? Bun.gzipSync(written) : written;
    const deadline = clock.now() + Math.min(timeoutMs, withinMs);
    try {
      await grpc.unary(url, EXPORT, message, { deadline, timeouts, metadata, isCompressed });
      return undefined;
    } catch (thrown) {
      const error = asGatewayError(thrown);
      // The transport speaks of workers; what the collector or the system said of it is behind that.
      const said = error.cause === undefined ? error.message : fetchFailure(error.cause);
      return { reason: `the collector cannot be asked: ${said}`, mayRepeat: !FINAL.has(error.code) };
    }
  };
}
