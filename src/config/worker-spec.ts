import { z } from "zod";
import { camelKeys } from "./config-file.ts";
import { GatewayError } from "../errors/errors.ts";
import { snakeCase } from "../util/case.ts";
import type { Secret } from "../util/secret.ts";
import { type WorkerConfig, workerSchema } from "./schema.ts";

/** What is configured of a worker, in the shape that the registry takes. */
export interface WorkerSettings {
  readonly url: string;
  readonly modelId: string | undefined;
  readonly apiKey: Secret | undefined;
  readonly workerType: "regular" | "prefill" | "decode";
  readonly connectionMode: "http" | "grpc";
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
    connectionMode: "http",
    bootstrapPort: worker.bootstrapPort,
    // A label is how other gateways take the hint.
    policyHint: worker.policy ?? worker.labels["policy"],
    labels: worker.labels,
    priority: worker.priority,
    cost: worker.cost,
    health: healthOf(worker.health),
  };
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
  return workerSpec(parse(workerSchema, body));
}

/** What may change of a worker that is there: its url and what it serves are it. */
const patchSchema = z.strictObject({
  priority: workerSchema.shape.priority.unwrap().optional(),
  cost: workerSchema.shape.cost.unwrap().optional(),
  labels: workerSchema.shape.labels.unwrap().optional(),
  apiKey: workerSchema.shape.apiKey,
  health: workerSchema.shape.health.unwrap().optional(),
});

/** The worker with the fields of the body changed; labels and health settings are merged. Throws invalid_request. */
export function patchWorkerSpec(before: WorkerSettings, body: Body): WorkerSettings {
  const change = parse(patchSchema, body);
  return {
    ...before,
    priority: change.priority ?? before.priority,
    cost: change.cost ?? before.cost,
    labels: { ...before.labels, ...change.labels },
    apiKey: change.apiKey ?? before.apiKey,
    health: { ...before.health, ...healthOf(change.health ?? {}) },
  };
}

function parse<T>(schema: z.ZodType<T>, body: Body): T {
  const result = schema.safeParse(camelKeys(body));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = [...(issue?.path ?? []), ...(issue?.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [])];
  const param = path.map((part) => snakeCase(String(part))).join(".");
  throw new GatewayError("invalid_request", `${param}: ${issue?.message ?? "not valid"}`, { param });
}
