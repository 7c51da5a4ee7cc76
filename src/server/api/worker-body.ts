import { z } from "zod";
import { camelKeys } from "../../config/config-file.ts";
import { ConfigError } from "../../config/config-error.ts";
import { asWritten, type Complaint, complaintsOf, dotted, sentence } from "../../config/describe-issue.ts";
import { workerLabels, workerSchema } from "../../config/schema.ts";
import { healthOf, kvEventsOf, labelledPolicy, specOf } from "../../config/worker-config.ts";
import { GatewayError } from "../../errors/errors.ts";
import { isRecord } from "../../util/objects.ts";
import { MAX_RANKS } from "../../util/parse-worker-url.ts";
import { API_SOURCE, type WorkerSpec } from "../../worker/worker-spec.ts";

type Body = Readonly<Record<string, unknown>>;

/** Reads a worker from the body of `POST` or `PUT`, keys in snake case. Throws invalid_request with the field. */
export function readWorkerSpec(body: Body): WorkerSpec {
  const spec = specOf(parse(workerSchema, withPathAsLabel(body)), API_SOURCE);
  withoutFiles(spec.tls);
  return spec;
}

const { shape } = workerSchema;

const rankSchema = z.strictObject({
  url: shape.url,
  dpRank: z
    .int()
    .min(0)
    .max(MAX_RANKS - 1),
});

/**
 * Reads the data-parallel rank that a body of `POST` brings back: `url` and `dp_rank`, and nothing else. Undefined for a body without
 * `dp_rank`. Throws invalid_request with the field.
 */
export function readRank(body: Body): { readonly url: string; readonly index: number } | undefined {
  if (body["dp_rank"] === undefined || body["dp_rank"] === null) return undefined;
  const { url, dpRank } = parse(rankSchema, body);
  return { url, index: dpRank };
}

/** The changeable fields of `workerSchema` with the same bounds. An absent field stays unchanged. */
export const patchSchema = z.strictObject({
  url: shape.url.optional(),
  modelId: shape.modelId,
  apiKey: shape.apiKey,
  workerType: shape.workerType.unwrap().optional(),
  bootstrapPort: shape.bootstrapPort,
  policy: shape.policy,
  labels: shape.labels.unwrap().optional(),
  priority: shape.priority.unwrap().optional(),
  cost: shape.cost.unwrap().optional(),
  cordoned: shape.cordoned.unwrap().optional(),
  kvCapacityTokens: shape.kvCapacityTokens,
  health: shape.health.unwrap().optional(),
  kvEvents: shape.kvEvents,
  tls: shape.tls,
  dpSize: shape.dpSize,
} satisfies Record<keyof typeof shape, z.ZodType>);

const mergedSchema = z.strictObject({ labels: workerLabels });

/**
 * Applies a `PATCH` body to a worker's spec: labels and health settings are merged, other fields replaced. Throws
 * invalid_request with the field.
 */
export function patchWorkerSpec(before: WorkerSpec, body: Body): WorkerSpec {
  const change = parse(patchSchema, withPathAsLabel(body));
  // The merged labels are at most 64, even if each change adds only a few.
  const { labels } = parse(mergedSchema, { labels: { ...before.labels, ...change.labels } });
  return {
    url: change.url ?? before.url,
    source: before.source,
    modelId: change.modelId ?? before.modelId,
    apiKey: change.apiKey ?? before.apiKey,
    workerType: change.workerType ?? before.workerType,
    bootstrapPort: change.bootstrapPort ?? before.bootstrapPort,
    policyHint: change.policy ?? labelledPolicy(change.labels ?? {}) ?? before.policyHint,
    labels,
    priority: change.priority ?? before.priority,
    cost: change.cost ?? before.cost,
    isCordoned: change.cordoned ?? before.isCordoned,
    kvCapacityTokens: change.kvCapacityTokens ?? before.kvCapacityTokens,
    health: { ...before.health, ...healthOf(change.health ?? {}) },
    kvEvents: change.kvEvents === undefined ? before.kvEvents : kvEventsOf(change.kvEvents),
    tls: change.tls === undefined ? before.tls : { ...before.tls, ...withoutFiles(change.tls) },
    dpSize: change.dpSize ?? before.dpSize,
  };
}

/** Returns the TLS of a body. Throws invalid_request where it names files: the gateway may read files that its caller may not. */
function withoutFiles(tls: WorkerSpec["tls"]): WorkerSpec["tls"] {
  const { caCertPath, clientCertPath, clientKeyPath } = tls ?? {};
  if (caCertPath === undefined && clientCertPath === undefined && clientKeyPath === undefined) return tls;
  throw new GatewayError(
    "invalid_request",
    "tls: files are named in the configuration alone; over the API a worker may have server_name and insecure_skip_verify",
    { param: "tls" },
  );
}

/** Turns SGLang's `tokenizer_path` into a label. */
function withPathAsLabel(body: Body): Body {
  const { tokenizer_path: path, ...rest } = body;
  if (path === undefined || path === null) return body;
  const labels = isRecord(rest["labels"]) ? rest["labels"] : {};
  return { ...rest, labels: { ...labels, tokenizer_path: path } };
}

function parse<T>(schema: z.ZodType<T>, body: Body): T {
  const values = keysOf(body);
  const result = schema.safeParse(values);
  if (result.success) return result.data;
  const complaints = complaintsOf(result.error.issues, schema, values);
  const told = complaints.slice(0, MAX_TOLD).map((one) => sentence(one) + elsewhere(one));
  const param = paramOf(complaints[0]);
  throw new GatewayError("invalid_request", told.join("; "), param === undefined ? {} : { param });
}

/** Turns keys into camel case. Throws invalid_request if the body is nested too deep. */
function keysOf(body: Body): Body {
  try {
    return camelKeys(body);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const [problem] = error.problems;
    throw new GatewayError("invalid_request", `the body has ${problem?.message ?? "too many levels"}`, {
      cause: error,
    });
  }
}

/** Fields of a worker in SGLang's API, and where they are set in this gateway. */
const ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ["reasoning_parser", "it is an option of the gateway here (reasoning_parser)"],
  ["tool_call_parser", "it is an option of the gateway here (tool_call_parser)"],
  ["tool_parser", "it is an option of the gateway here (tool_call_parser)"],
  ["chat_template", "it is an option of the gateway here (chat_template)"],
  ["runtime", "the worker is asked which engine it is"],
]);

function elsewhere({ path, unknownKey }: Complaint): string {
  const where = unknownKey === undefined || path.length > 0 ? undefined : ELSEWHERE.get(asWritten(unknownKey));
  return where === undefined ? "" : `, ${where}`;
}

/** Most wrong fields that one answer names. */
const MAX_TOLD = 8;

function paramOf(complaint: Complaint | undefined): string | undefined {
  if (!complaint) return undefined;
  const { path, unknownKey } = complaint;
  return dotted(path, unknownKey === undefined ? undefined : asWritten(unknownKey));
}
