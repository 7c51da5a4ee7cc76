import { fetchFailure } from "../../util/fetch-failure.ts";
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
  /** Longest wait for the collector's answer to a batch, ms. */
  readonly timeoutMs: number;
  /** Whether batches are compressed with gzip. */
  readonly isCompressed: boolean;
  /** undefined: the collector's certificate is checked against the public authorities, and it is shown none. */
  readonly tls?: CollectorTls;
}

/** Certificates (PEM) for the way to the collector. */
export interface CollectorTls {
  /** The authority of the collector's certificate, in place of the public ones over HTTP, and beside them over gRPC. */
  readonly ca?: string;
  /** What the collector is shown. */
  readonly pair?: { readonly cert: string; readonly key: string };
}

/** Values of `OTEL_EXPORTER_OTLP_PROTOCOL` (OpenTelemetry specification, "Specify Protocol"). */
export type TraceProtocol = "http/json" | "http/protobuf" | "grpc";

/** Why a collector has not taken a batch, and whether it may take the same batch later. */
export interface Refusal {
  readonly reason: string;
  readonly mayRepeat: boolean;
}

/** Sends a batch to the collector, and waits for its answer as long as the settings say, and no longer than `withinMs`. Undefined: it was taken. Never rejects. */
export type Deliver = (batch: readonly Span[], withinMs: number) => Promise<Refusal | undefined>;

/** Time for the collector to answer unless a variable says another one, ms (the default of OpenTelemetry). */
export const DELIVERY_MS = 10_000;
/** Answers that mean "try again" (OTLP, "Retryable Response Codes"). */
const RETRYABLE = new Set([429, 502, 503, 504]);

type Body = string | Uint8Array<ArrayBuffer>;
type Send = (url: string, init: BunFetchRequestInit & { readonly body: Body }) => Promise<Response>;

/** OTLP over HTTP. */
export function deliverOverHttp(settings: ExportSettings, send: Send = fetch): Deliver {
  const { protocol, url, resource, version, timeoutMs, isCompressed, tls } = settings;
  const isJson = protocol === "http/json";
  const headers = {
    "content-type": isJson ? "application/json" : "application/x-protobuf",
    ...(isCompressed ? { "content-encoding": "gzip" } : {}),
    ...settings.headers,
  };
  const secure = tls && { tls: { ...(tls.ca === undefined ? {} : { ca: tls.ca }), ...tls.pair } };
  return async (batch, withinMs) => {
    try {
      const written = isJson
        ? exportBody(batch, resource, version)
        : (await import("./otlp-protobuf.ts")).exportMessage(batch, resource, version);
      const body = isCompressed ? Bun.gzipSync(written) : written;
      const signal = AbortSignal.timeout(Math.min(timeoutMs, withinMs));
      const reply = await send(url, { method: "POST", headers, body, signal, ...secure });
      await reply.arrayBuffer();
      if (reply.ok) return undefined;
      return { reason: `the collector answered ${reply.status}`, mayRepeat: RETRYABLE.has(reply.status) };
    } catch (error) {
      return { reason: `the collector cannot be asked: ${fetchFailure(error)}`, mayRepeat: true };
    }
  };
}
