import { asGatewayError, type ErrorCode } from "../errors/errors.ts";
import { type Deliver, DELIVERY_MS, type ExportSettings } from "../observability/traces/otlp-http.ts";
import { exportMessage } from "../observability/traces/otlp-protobuf.ts";
import { GrpcTransport } from "../transport/grpc/grpc-transport.ts";
import type { Clock } from "../util/clock.ts";

const EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/** With these the collector would refuse the same batch again. */
const FINAL: ReadonlySet<ErrorCode> = new Set(["upstream_rejected", "upstream_auth_failed", "upstream_unimplemented"]);

/** OTLP over gRPC: each batch is one call. `stack` closes the connections. */
export function deliverOverGrpc(
  { url, headers, resource, version }: ExportSettings,
  clock: Clock,
  stack: AsyncDisposableStack,
): Deliver {
  const grpc = stack.use(new GrpcTransport(undefined, clock));
  const metadata = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  const timeouts = { connectMs: DELIVERY_MS, firstByteMs: DELIVERY_MS, idleMs: DELIVERY_MS };
  return async (batch) => {
    const message = exportMessage(batch, resource, version);
    try {
      await grpc.unary(url, EXPORT, message, { deadline: clock.now() + DELIVERY_MS, timeouts, metadata });
      return undefined;
    } catch (thrown) {
      const { code, message: words } = asGatewayError(thrown);
      return { reason: `${code}: ${words}`, mayRepeat: !FINAL.has(code) };
    }
  };
}
