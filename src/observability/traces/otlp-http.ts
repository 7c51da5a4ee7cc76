import { exportBody } from "./otlp-json.ts";
import type { Attributes, Span } from "./span.ts";

/** Where spans go, and what they come with. */
export interface ExportSettings {
  /** How they are written: `http/json` and `http/protobuf` are OTLP over HTTP. */
  readonly protocol: TraceProtocol;
  /** `http(s)://HOST:PORT/v1/traces`; over gRPC `grpc(s)://HOST:PORT`. */
  readonly url: string;
  /** Further headers, such as a key of the collector's. */
  readonly headers: Readonly<Record<string, string>>;
  readonly resource: Attributes;
  readonly version: string;
}

/** Values of `OTEL_EXPORTER_OTLP_PROTOCOL` (OpenTelemetry specification, "Specify Protocol"). */
export type TraceProtocol = "http/json" | "http/protobuf" | "grpc";

/** Why a collector has not taken a batch, and whether it may take the same batch later. */
export interface Refusal {
  readonly reason: string;
  readonly mayRepeat: boolean;
}

/** Sends a batch to the collector. Undefined: it was taken. Never rejects. */
export type Deliver = (batch: readonly Span[]) => Promise<Refusal | undefined>;

/** Time for the collector to answer, ms. */
export const DELIVERY_MS = 10_000;
/** Answers that mean "try again" (OTLP, "Retryable Response Codes"). */
const RETRYABLE = new Set([429, 502, 503, 504]);

type Send = (url: string, init: RequestInit & { readonly body: string | Uint8Array<ArrayBuffer> }) => Promise<Response>;

/** OTLP over HTTP. */
export function deliverOverHttp(settings: ExportSettings, send: Send = fetch): Deliver {
  const { protocol, url, resource, version } = settings;
  const isJson = protocol === "http/json";
  const headers = { "content-type": isJson ? "application/json" : "application/x-protobuf", ...settings.headers };
  return async (batch) => {
    try {
      const body = isJson
        ? exportBody(batch, resource, version)
        : (await import("./otlp-protobuf.ts")).exportMessage(batch, resource, version);
      const reply = await send(url, { method: "POST", headers, body, signal: AbortSignal.timeout(DELIVERY_MS) });
      await reply.arrayBuffer();
      if (reply.ok) return undefined;
      return { reason: `the collector answered ${reply.status}`, mayRepeat: RETRYABLE.has(reply.status) };
    } catch (error) {
      return { reason: error instanceof Error ? error.message : String(error), mayRepeat: true };
    }
  };
}
