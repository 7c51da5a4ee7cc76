import { z } from "zod";
import { camelKeys } from "./config-file.ts";
import { GatewayError } from "../errors/errors.ts";
import { isRecord } from "../util/objects.ts";
import type { Secret } from "../util/secret.ts";
import type { WorkerType } from "../util/worker-type.ts";
import { ConfigError } from "./config-error.ts";
import { asWritten, type Complaint, complaintsOf, dotted, sentence } from "./describe-issue.ts";
import { canonicalPolicy, type WorkerConfig, workerLabels, workerSchema } from "./schema.ts";

/** What is configured of a worker, in the shape that the registry takes. */
export interface WorkerSettings {
  readonly url: string;
  readonly modelId: string | undefined;
  readonly apiKey: Secret | undefined;
  readonly workerType: WorkerType;
  readonly bootstrapPort: number | undefined;
  readonly policyHint: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly priority: number;
  readonly cost: number;
  readonly health: {
    readonly endpoint?: string;
    readonly intervalMs?: number;
    readonly timeoutMs?: number;
    readonly failureThreshold?: number;
    readonly successThreshold?: number;
    readonly disabled?: boolean;
  };
}

const MS = 1000;

export function workerSpec(worker: WorkerConfig): WorkerSettings {
  return {
    url: worker.url,
    modelId: worker.modelId,
    apiKey: worker.apiKey,
    workerType: worker.workerType,
    bootstrapPort: worker.bootstrapPort,
    // A label is how other gateways take the hint.
    policyHint: worker.policy ?? labelledPolicy(worker),
    labels: worker.labels,
    priority: worker.priority,
    cost: worker.cost,
    health: healthOf(worker.health),
  };
}

function labelledPolicy({ labels }: Pick<WorkerConfig, "labels">): string | undefined {
  const label = labels["policy"];
  return label === undefined ? undefined : canonicalPolicy(label);
}

function healthOf(health: WorkerConfig["health"]): WorkerSettings["health"] {
  const { endpoint, checkIntervalSecs, timeoutSecs, failureThreshold, successThreshold, disableHealthCheck } = health;
  return {
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(checkIntervalSecs === undefined ? {} : { intervalMs: checkIntervalSecs * MS }),
    ...(timeoutSecs === undefined ? {} : { timeoutMs: timeoutSecs * MS }),
    ...(failureThreshold === undefined ? {} : { failureThreshold }),
    ...(successThreshold === undefined ? {} : { successThreshold }),
    ...(disableHealthCheck === undefined ? {} : { disabled: disableHealthCheck }),
  };
}

type Body = Readonly<Record<string, unknown>>;

/** A worker in the body of an API call, keys in snake case. Throws invalid_request with the field. */
export function readWorkerSpec(body: Body): WorkerSettings {
  return workerSpec(parse(workerSchema, asLabels(body)));
}

/** SGLang's `tokenizer_path` is a label here. */
function asLabels(body: Body): Body {
  const { tokenizer_path: path, ...rest } = body;
  if (path === undefined || path === null) return body;
  const labels = isRecord(rest["labels"]) ? rest["labels"] : {};
  return { ...rest, labels: { ...labels, tokenizer_path: path } };
}

/** What may change of a worker that is there: its url and what it serves are it. */
const patchSchema = z.strictObject({
  priority: workerSchema.shape.priority.unwrap().optional(),
  cost: workerSchema.shape.cost.unwrap().optional(),
  labels: workerLabels.optional(),
  apiKey: workerSchema.shape.apiKey,
  health: workerSchema.shape.health.unwrap().optional(),
});

const mergedSchema = z.strictObject({ labels: workerLabels });

/** The worker with the fields of the body changed; labels and health settings are merged. Throws invalid_request. */
export function patchWorkerSpec(before: WorkerSettings, body: Body): WorkerSettings {
  const change = parse(patchSchema, body);
  // Each change may be small, and what they come to is bounded all the same.
  const { labels } = parse(mergedSchema, { labels: { ...before.labels, ...change.labels } });
  return {
    ...before,
    priority: change.priority ?? before.priority,
    cost: change.cost ?? before.cost,
    labels,
    policyHint: labelledPolicy({ labels: change.labels ?? {} }) ?? before.policyHint,
    apiKey: change.apiKey ?? before.apiKey,
    health: { ...before.health, ...healthOf(change.health ?? {}) },
  };
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

/** A body that is nested too deep is the caller's mistake here, and not one of the configuration. */
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

/** Where SGLang has a field of a worker for what is said elsewhere here. */
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

/** Complaints in one answer: a body may have any number of wrong fields. */
const MAX_TOLD = 8;

function paramOf(complaint: Complaint | undefined): string | undefined {
  if (!complaint) return undefined;
  const { path, unknownKey } = complaint;
  return dotted(path, unknownKey === undefined ? undefined : asWritten(unknownKey));
}
