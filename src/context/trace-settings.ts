import { readFileSync } from "node:fs";
import type { Config } from "../config/schema.ts";
import { GatewayError } from "../errors/errors.ts";
import {
  type CollectorTls,
  DELIVERY_MS,
  type ExportSettings,
  type TraceProtocol,
} from "../observability/traces/otlp-http.ts";
import type { Attributes } from "../observability/traces/span.ts";
import { type Batching, BATCHING } from "../observability/traces/span-exporter.ts";
import { CARRIES_USER, carriesUser, parseAddress, withoutUser } from "../util/address-user.ts";
import { VERSION } from "../util/version.ts";

export type Env = Readonly<Record<string, string | undefined>>;
export type TraceConfig = Pick<Config, "tracesEndpoint" | "tracesSampleRatio">;

/** What the configuration and OpenTelemetry's own variables say of traces. */
export interface TraceSettings extends ExportSettings {
  readonly ratio: number;
  readonly isParentBased: boolean;
  readonly batching: Batching;
  /** Variables that are not taken as they are, each as one sentence for the log. */
  readonly notices: readonly string[];
}

const DEFAULT_SAMPLER = "parentbased_always_on";
/** Values of `OTEL_TRACES_SAMPLER` (OpenTelemetry specification, "Environment Variable Specification"), without those of a server of its own. */
const SAMPLERS: readonly string[] = ["always_on", "always_off", "traceidratio"].flatMap((name) => [
  name,
  `parentbased_${name}`,
]);
/** Most that a variable may set, so that a slip of the hand does not let the gateway hold gigabytes of spans, or wait for hours. */
const MOST = { spans: 1_000_000, ms: 3_600_000 };
const PROTOCOLS: readonly string[] = ["http/json", "http/protobuf", "grpc"] satisfies TraceProtocol[];
/** The port of OTLP over gRPC. */
const GRPC_PORT = "4317";

/**
 * Settings of traces; undefined where there are none. The configuration comes before the variables of the OpenTelemetry specification
 * (docs/traces.md lists those that are read). As the specification asks, an empty variable is none, names are read whatever their case, and a
 * value that is not understood is told and left out. Only a protocol that there is not and an address that is none throw invalid_request,
 * because without them nothing could be sent.
 */
export function traceSettings({ tracesEndpoint, tracesSampleRatio }: TraceConfig, env: Env): TraceSettings | undefined {
  const given = tracesEndpoint ?? endpointOf(env);
  if (given === undefined || isOff(env)) return undefined;
  const address = addressOf(given);
  const protocol = protocolOf(address, env);
  const reader = new VariableReader(env);
  noticeExporter(reader, env);
  const sampler = reader.oneOf("OTEL_TRACES_SAMPLER", SAMPLERS) ?? DEFAULT_SAMPLER;
  const argument = sampler.endsWith("traceidratio") ? reader.ratio("OTEL_TRACES_SAMPLER_ARG") : undefined;
  return {
    protocol,
    url: protocol === "grpc" ? grpcOrigin(address) : httpUrl(address),
    headers: {
      ...pairs(env["OTEL_EXPORTER_OTLP_HEADERS"]),
      ...pairs(env["OTEL_EXPORTER_OTLP_TRACES_HEADERS"]),
    },
    resource: resourceOf(env),
    version: VERSION,
    ratio: tracesSampleRatio ?? (sampler.endsWith("always_off") ? 0 : (argument ?? 1)),
    isParentBased: sampler.startsWith("parentbased_"),
    timeoutMs: reader.count(ofTraces(env, "TIMEOUT"), MOST.ms) ?? DELIVERY_MS,
    isCompressed: reader.oneOf(ofTraces(env, "COMPRESSION"), ["none", "gzip"]) === "gzip",
    batching: batchingOf(reader),
    notices: reader.notices,
  };
}

function isOff(env: Env): boolean {
  return env["OTEL_SDK_DISABLED"]?.toLowerCase() === "true" || env["OTEL_TRACES_EXPORTER"]?.toLowerCase() === "none";
}

/** Another exporter than that of OTLP, such as `console`, is not there, and must not be thought to be. */
function noticeExporter(reader: VariableReader, env: Env): void {
  const text = env["OTEL_TRACES_EXPORTER"]?.trim().toLowerCase();
  if (!text || text.split(/\s*,\s*/).includes("otlp")) return;
  reader.notices.push(
    `OTEL_TRACES_EXPORTER is ${JSON.stringify(text)}: spans are sent by OTLP all the same, or not at all with "none"`,
  );
}

/** The name of a variable of the exporter: the one for traces where it is set, and otherwise the one for all signals. */
function ofTraces(env: Env, name: string): string {
  const own = `OTEL_EXPORTER_OTLP_TRACES_${name}`;
  return env[own] ? own : `OTEL_EXPORTER_OTLP_${name}`;
}

function batchingOf(reader: VariableReader): Batching {
  const maxWaiting = reader.count("OTEL_BSP_MAX_QUEUE_SIZE", MOST.spans) ?? BATCHING.maxWaiting;
  const batch = reader.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", MOST.spans) ?? BATCHING.maxBatch;
  return {
    gatherMs: reader.count("OTEL_BSP_SCHEDULE_DELAY", MOST.ms) ?? BATCHING.gatherMs,
    // A batch that is larger than the queue would never be full.
    maxBatch: Math.min(batch, maxWaiting),
    maxWaiting,
    exportMs: reader.count("OTEL_BSP_EXPORT_TIMEOUT", MOST.ms) ?? BATCHING.exportMs,
  };
}

/** Reads variables, and keeps a notice of each that it does not understand. */
class VariableReader {
  readonly notices: string[] = [];
  readonly #env: Env;

  constructor(env: Env) {
    this.#env = env;
  }

  oneOf(name: string, values: readonly string[]): string | undefined {
    const text = this.#env[name]?.trim().toLowerCase();
    if (!text || values.includes(text)) return text === "" ? undefined : text;
    return this.#leaveOut(name, `one of ${values.join(", ")}`);
  }

  /** A whole number from 1. */
  count(name: string, most: number): number | undefined {
    const text = this.#env[name]?.trim();
    if (!text) return undefined;
    const value = Number(text);
    return Number.isInteger(value) && value >= 1 && value <= most
      ? value
      : this.#leaveOut(name, `a whole number from 1 to ${most}`);
  }

  ratio(name: string): number | undefined {
    const text = this.#env[name]?.trim();
    if (!text) return undefined;
    const value = Number(text);
    return value >= 0 && value <= 1 ? value : this.#leaveOut(name, "a number from 0 to 1");
  }

  #leaveOut(name: string, expected: string): undefined {
    this.notices.push(`${name} is ${JSON.stringify(this.#env[name])} and not ${expected}: it is left out`);
    return undefined;
  }
}

/**
 * The certificates for the way to the collector, from the files that the variables name: its authority, and what the gateway shows. Throws
 * invalid_request where a file cannot be read, or one of a pair is missing.
 */
export function readCollectorTls(env: Env): CollectorTls | undefined {
  const read = (name: string): string | undefined => {
    const variable = ofTraces(env, name);
    const path = env[variable];
    if (!path) return undefined;
    try {
      return readFileSync(path, "utf8");
    } catch (cause) {
      throw new GatewayError("invalid_request", `${variable}: the file ${path} cannot be read`, { cause });
    }
  };
  const [ca, cert, key] = [read("CERTIFICATE"), read("CLIENT_CERTIFICATE"), read("CLIENT_KEY")];
  if ((cert === undefined) !== (key === undefined)) {
    const [given, missing] =
      cert === undefined ? ["CLIENT_KEY", "CLIENT_CERTIFICATE"] : ["CLIENT_CERTIFICATE", "CLIENT_KEY"];
    throw new GatewayError("invalid_request", `${ofTraces(env, given)} needs ${ofTraces(env, missing)}`);
  }
  if (ca === undefined && cert === undefined) return undefined;
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { pair: { cert, key } }),
  };
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
  const url = parseAddress(text);
  const isCollector = url !== null && /^(https?|grpcs?):$/.test(url.protocol) && url.host !== "";
  const shown = withoutUser(JSON.stringify(text));
  if (!isCollector) throw new GatewayError("invalid_request", `${shown} is not the address of a collector of traces`);
  if (carriesUser(url))
    throw new GatewayError(
      "invalid_request",
      `${shown} ${CARRIES_USER}: give it as a header in OTEL_EXPORTER_OTLP_HEADERS`,
    );
  return url;
}

/** What the address says by its scheme comes first, then the variables, then its port. */
function protocolOf(address: URL, env: Env): TraceProtocol {
  if (address.protocol.startsWith("grpc")) return "grpc";
  const name = ofTraces(env, "PROTOCOL");
  const given = env[name]?.trim().toLowerCase();
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

function resourceOf(env: Env): Attributes {
  const given = pairs(env["OTEL_RESOURCE_ATTRIBUTES"]);
  return {
    "service.version": VERSION,
    "process.pid": process.pid,
    ...given,
    "service.name": env["OTEL_SERVICE_NAME"] || (given["service.name"] ?? "pointsman"),
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
