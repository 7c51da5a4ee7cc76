import { z } from "zod";
import { workerSchema } from "../src/config/schema.ts";
import { type ERRORS, errorRow } from "../src/errors/errors.ts";
import { changedKeySchema, newKeySchema, rotationSchema } from "../src/keys/key-wish.ts";
import { PRIORITIES, ROLES } from "../src/keys/principal.ts";
import type { Access } from "../src/server/route.ts";
import { patchSchema } from "../src/server/api/worker-body.ts";
import { VERSION } from "../src/util/version.ts";
import { jsonSchemaOf } from "./json-schema.ts";

/** What is said of a route that the gateway answers itself. */
export interface RouteText {
  readonly access: Access;
  readonly summary: string;
  /** Parameters of the query, and what each is. */
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: z.ZodType;
  /** How the body may come: YAML as well as JSON, or not at all, because a parameter or a default says the same. */
  readonly bodyMay?: readonly ("be YAML" | "be left out")[];
  /** Status of success, and what is in its body; a text is the type of one that is not JSON. */
  readonly answers: Readonly<Record<number, z.ZodType | string>>;
  /** Codes of errors that belong to this route, beside those of every route. */
  readonly errors?: readonly ErrorCode[];
}

const worker = z.looseObject({
  id: z.string(),
  url: z.string(),
  source: z.string(),
  model_id: z.string().nullable(),
  models: z.array(z.string()),
  worker_type: z.enum(["regular", "prefill", "decode"]),
  connection_mode: z.enum(["http", "grpc"]),
  runtime_type: z.string(),
  status: z.enum(["pending", "ready", "not_ready", "failed", "draining"]),
  since: z.iso.datetime(),
  trouble: z.string().nullable(),
  last_error: z.object({ code: z.string(), message: z.string(), at: z.iso.datetime() }).nullable(),
  is_healthy: z.boolean(),
  breaker: z.string(),
  cordoned: z.boolean(),
  load: z.int(),
  pending_prompt_tokens: z.number(),
  policy: z.string().nullable(),
  labels: z.record(z.string(), z.string()),
  kv_capacity_tokens: z.number().nullable(),
  cache_trust: z.number().nullable(),
  has_api_key: z.boolean(),
});
const workers = z.looseObject({
  workers: z.array(worker),
  total: z.int(),
  stats: z.object({ prefill_count: z.int(), decode_count: z.int(), regular_count: z.int() }),
  sources: z.array(z.looseObject({ reason: z.string().nullable() })),
});
const done = z.looseObject({ success: z.boolean(), message: z.string() });
const fanOut = z.looseObject({
  status: z.enum(["success", "partial_success"]),
  message: z.string(),
  total_workers: z.int(),
  successful: z.array(z.string()),
  failed: z.array(z.looseObject({ worker: z.string() })),
});
const keyShape = z.object({
  id: z.string(),
  name: z.string(),
  origin: z.enum(["store", "configuration"]),
  state: z.enum(["valid", "revoked", "expired"]),
  roles: z.array(z.enum(ROLES)),
  models: z.array(z.string()).nullable(),
  requests_per_minute: z.number().nullable(),
  tokens_per_minute: z.number().nullable(),
  max_concurrent_requests: z.number().nullable(),
  priority: z.enum(PRIORITIES),
  created_at: z.iso.datetime().nullable(),
  expires_at: z.iso.datetime().nullable(),
  revoked_at: z.iso.datetime().nullable(),
  previous_valid_until: z.iso.datetime().nullable(),
});
const accepted = z.looseObject({ status: z.string(), worker_id: z.string(), url: z.string() });
const tokenizer = z.looseObject({ id: z.string(), name: z.string(), source: z.string(), status: z.string() });
const anything = z.looseObject({});
const difference = z.looseObject({ path: z.string(), kind: z.string(), text: z.string() });
const changed = z.object({
  version: z.int(),
  changes: z.array(difference),
  waits_for_restart: z.array(difference),
  notices: z.array(z.string()),
});
const pastConfig = z.looseObject({
  version: z.int(),
  at: z.string(),
  by: z.string(),
  read_from: z.string(),
  changes: z.array(z.string()),
  waits_for_restart: z.array(z.string()),
});
const CHANGE_QUERY = {
  dry_run: "`true`: say what would change, and change nothing",
  partial: "`true`: take what needs no restart, in place of refusing the whole change",
};
const WAIT = { wait: "`true`: answer when it is done" };
const URL_QUERY = { url: "address of the worker, in place of a body" };
const ONE_ADDRESS = { url: "only the workers at this address" };
const onlyUrl = z.looseObject({ url: z.string() });

/** Each route that the gateway answers itself, by method and path. A test compares them with the route table. */
export const ROUTE_TEXTS: Readonly<Record<string, RouteText>> = {
  "GET /health": { access: "public", summary: "Whether the process lives", answers: { 200: "text/plain" } },
  "GET /liveness": { access: "public", summary: "Whether the process lives", answers: { 200: "text/plain" } },
  "GET /readiness": {
    access: "public",
    summary: "Whether a request could be served",
    answers: { 200: z.looseObject({ status: z.string() }), 503: z.looseObject({ status: z.string() }) },
  },
  "GET /health_generate": {
    access: "public",
    summary: "Asks a worker for a token",
    answers: { 200: "text/plain" },
    errors: ["no_available_workers"],
  },
  "GET /get_model_info": {
    access: "serving",
    summary: "A worker's own page on its model",
    answers: { 200: anything },
    errors: ["no_available_workers"],
  },
  "GET /model_info": {
    access: "serving",
    summary: "As /get_model_info",
    answers: { 200: anything },
    errors: ["no_available_workers"],
  },
  "GET /get_server_info": {
    access: "serving",
    summary: "A worker's own page on its state",
    answers: { 200: anything },
    errors: ["no_available_workers"],
  },
  "GET /server_info": {
    access: "serving",
    summary: "As /get_server_info",
    answers: { 200: anything },
    errors: ["no_available_workers"],
  },
  "GET /metrics": { access: "public", summary: "Metrics in Prometheus' text form", answers: { 200: "text/plain" } },
  "GET /v1/models": {
    access: "serving",
    summary: "The models that workers serve",
    answers: { 200: z.looseObject({ data: z.array(z.looseObject({ id: z.string() })) }) },
  },
  "GET /v1/models/*": {
    access: "serving",
    summary: "One model",
    answers: { 200: anything },
    errors: ["model_not_found"],
  },
  "GET /workers": {
    access: "viewer",
    summary: "All workers, with their states",
    query: { model: "only the workers of this model" },
    answers: { 200: workers },
  },
  "POST /workers": {
    access: "operator",
    summary: "Adds a worker",
    query: WAIT,
    body: workerSchema,
    answers: { 201: worker, 202: accepted },
    errors: ["invalid_request", "worker_not_found", "worker_exists"],
  },
  "GET /workers/:id": {
    access: "viewer",
    summary: "One worker",
    answers: { 200: worker },
    errors: ["worker_not_found"],
  },
  "PUT /workers/:id": {
    access: "operator",
    summary: "Replaces a worker's settings; its address stays",
    query: WAIT,
    body: workerSchema,
    answers: { 200: worker, 202: accepted },
    errors: ["invalid_request", "worker_not_found"],
  },
  "PATCH /workers/:id": {
    access: "operator",
    summary: "Changes the settings that are named; labels and health are merged",
    query: WAIT,
    body: patchSchema,
    answers: { 200: worker, 202: accepted },
    errors: ["invalid_request", "worker_not_found"],
  },
  "DELETE /workers/:id": {
    access: "operator",
    summary: "Drains a worker and removes it",
    query: WAIT,
    answers: { 200: accepted, 202: accepted },
    errors: ["worker_not_found"],
  },
  "POST /workers/:id/cordon": {
    access: "operator",
    summary: "The worker gets no new request, and keeps those that it has",
    answers: { 200: worker },
    errors: ["worker_not_found"],
  },
  "POST /workers/:id/uncordon": {
    access: "operator",
    summary: "The worker gets new requests again",
    answers: { 200: worker },
    errors: ["worker_not_found"],
  },
  "POST /add_worker": {
    access: "operator",
    summary: "Adds a worker, as sglang-router does",
    query: URL_QUERY,
    body: workerSchema,
    bodyMay: ["be left out"],
    answers: { 200: done },
    errors: ["invalid_request", "worker_not_found", "worker_exists"],
  },
  "POST /remove_worker": {
    access: "operator",
    summary: "Drains a worker and removes it, as sglang-router does",
    query: URL_QUERY,
    body: onlyUrl,
    bodyMay: ["be left out"],
    answers: { 200: done },
    errors: ["invalid_request", "worker_not_found"],
  },
  "GET /list_workers": {
    access: "viewer",
    summary: "All workers, as sglang-router lists them",
    answers: { 200: done.extend({ urls: z.array(z.string()) }) },
  },
  "GET /keys": {
    access: "viewer",
    summary: "Keys of the configuration and of the key store",
    query: { limit: "most keys of the store, 1000 by default", after: "the id behind which the list goes on" },
    answers: { 200: z.object({ keys: z.array(keyShape) }) },
    errors: ["invalid_request"],
  },
  "POST /keys": {
    access: "admin",
    summary: "Makes a key; the answer is the only place where it is shown",
    body: newKeySchema,
    answers: { 201: keyShape.extend({ key: z.string() }) },
    errors: ["invalid_request", "key_exists", "no_key_store", "too_many_keys"],
  },
  "GET /keys/:id": {
    access: "viewer",
    summary: "One key, by its id or name",
    answers: { 200: keyShape },
    errors: ["key_not_found"],
  },
  "PATCH /keys/:id": {
    access: "admin",
    summary: "Changes a key; null takes a limit, the expiry or the choice of models away",
    body: changedKeySchema,
    answers: { 200: keyShape },
    errors: ["invalid_request", "key_not_found", "key_exists", "key_is_fixed", "no_key_store"],
  },
  "POST /keys/:id/rotate": {
    access: "admin",
    summary: "Gives a key a new text; the old one stays valid for `grace_secs`, a day by default",
    body: rotationSchema,
    bodyMay: ["be left out"],
    answers: { 200: keyShape.extend({ key: z.string() }) },
    errors: ["invalid_request", "key_not_found", "key_is_fixed", "no_key_store"],
  },
  "DELETE /keys/:id": {
    access: "admin",
    summary: "Revokes a key, in its new and its old text",
    answers: { 200: keyShape },
    errors: ["key_not_found", "key_is_fixed", "no_key_store"],
  },
  "GET /usage": {
    access: "viewer",
    summary: "What keys have used, by key, model and time",
    query: {
      window: "`minute` (kept for two days) or `day` (UTC, kept for 400 days), the default",
      from: "begin, a time such as 2026-11-30T00:00:00Z; the last hour, or 30 days, by default",
      to: "end",
      by: "some of key, model and time, with commas between them; `key` by default",
      key: "only this key, by name",
      model: "only this model",
      limit: "most rows, 1000 by default",
    },
    answers: {
      200: z.object({
        window: z.string(),
        from: z.string(),
        to: z.string(),
        usage: z.array(anything),
        is_cut: z.boolean(),
      }),
    },
    errors: ["invalid_request", "no_key_store"],
  },
  "GET /policies": { access: "viewer", summary: "The policy of each model, and why", answers: { 200: anything } },
  "DELETE /sessions/:key": {
    access: "serving",
    summary: "A session is over",
    answers: { 200: z.object({ finished: z.boolean() }) },
  },
  "POST /finish_session": {
    access: "serving",
    summary: "A session is over, as vllm-router takes it",
    query: { session_id: "the session" },
    answers: { 200: z.object({ finished: z.boolean() }) },
    errors: ["invalid_request"],
  },
  "GET /debug/decisions": {
    access: "viewer",
    summary: "The last choices of workers, the newest first",
    query: {
      request_id: "only those of this request",
      model: "only those of this model",
      worker: "only those of this worker's address",
      limit: "at most so many; 100",
    },
    answers: { 200: z.looseObject({ decisions: z.array(anything), log_size: z.int() }) },
    errors: ["invalid_request"],
  },
  "GET /config": {
    access: "viewer",
    summary: "The configuration in force, secrets redacted",
    answers: {
      200: z.looseObject({
        version: z.int(),
        differs_from_file: z.boolean(),
        waits_for_restart: z.array(difference),
        notices: z.array(z.string()),
        config: z.record(z.string(), z.unknown()),
      }),
    },
  },
  "GET /config/history": {
    access: "viewer",
    summary: "The changes of the configuration, and who made them",
    answers: { 200: z.looseObject({ version: z.int(), history: z.array(pastConfig) }) },
  },
  "POST /config": {
    access: "admin",
    summary: "Takes another configuration, whole or not at all; the body has the form of the file, YAML or JSON",
    query: CHANGE_QUERY,
    body: z.looseObject({}).meta({ description: "in the form of the file: config.schema.json" }),
    bodyMay: ["be YAML"],
    answers: { 200: changed },
    errors: ["invalid_request", "config_needs_restart", "config_version_mismatch", "config_not_applied", "overloaded"],
  },
  "POST /config/reload": {
    access: "admin",
    summary: "Reads the file again",
    query: CHANGE_QUERY,
    answers: { 200: changed },
    errors: ["invalid_request", "config_needs_restart", "config_version_mismatch", "config_not_applied", "overloaded"],
  },
  "POST /config/rollback": {
    access: "admin",
    summary: "Takes an earlier configuration again",
    query: { ...CHANGE_QUERY, version: "the version to go back to; the one before" },
    answers: { 200: changed },
    errors: ["invalid_request", "config_needs_restart", "config_version_mismatch", "config_not_applied", "overloaded"],
  },
  "POST /flush_cache": {
    access: "operator",
    summary: "Asks all workers to empty their caches",
    query: ONE_ADDRESS,
    answers: { 200: fanOut, 206: fanOut },
    errors: ["worker_not_found"],
  },
  "GET /get_loads": { access: "viewer", summary: "The load that the engines report", answers: { 200: anything } },
  "POST /start_profile": {
    access: "operator",
    summary: "Starts the engines' own profilers",
    query: ONE_ADDRESS,
    body: z
      .looseObject({
        output_dir: z.string().optional(),
        start_step: z.int().optional(),
        num_steps: z.int().optional(),
        activities: z.array(z.string()).optional(),
        with_stack: z.boolean().optional(),
        record_shapes: z.boolean().optional(),
        profile_by_stage: z.boolean().optional(),
      })
      .meta({ description: "options of SGLang's profiler" }),
    bodyMay: ["be left out"],
    answers: { 200: fanOut, 206: fanOut },
    errors: ["worker_not_found", "invalid_request"],
  },
  "POST /stop_profile": {
    access: "operator",
    summary: "Stops the engines' own profilers",
    query: ONE_ADDRESS,
    answers: { 200: fanOut, 206: fanOut },
    errors: ["worker_not_found"],
  },
  "GET /v1/tokenizers": {
    access: "viewer",
    summary: "The tokenizers that were added by name",
    answers: { 200: z.object({ tokenizers: z.array(tokenizer) }) },
  },
  "POST /v1/tokenizers": {
    access: "admin",
    summary: "Loads a tokenizer from a folder of the gateway's machine",
    body: z.looseObject({ name: z.string(), source: z.string(), chat_template_path: z.string().optional() }),
    answers: { 202: z.looseObject({ id: z.string(), status: z.string() }) },
    errors: ["invalid_request"],
  },
  "GET /v1/tokenizers/:id": {
    access: "viewer",
    summary: "One tokenizer",
    answers: { 200: tokenizer },
    errors: ["tokenizer_not_found"],
  },
  "GET /v1/tokenizers/:id/status": {
    access: "viewer",
    summary: "Whether it is loaded",
    answers: { 200: anything },
    errors: ["tokenizer_not_found"],
  },
  "DELETE /v1/tokenizers/:id": {
    access: "admin",
    summary: "Removes a tokenizer",
    answers: { 200: done },
    errors: ["tokenizer_not_found"],
  },
};

const error = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string(),
  }),
});

/** OpenAPI 3.1 of the routes that the gateway answers itself; those that workers answer are in the APIs of their makers. */
export function openApi(): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const [key, text] of Object.entries(ROUTE_TEXTS)) {
    const [method = "", path = ""] = key.split(" ");
    const written = path.replace(/:(\w+)/g, "{$1}").replace("/*", "/{id}");
    paths[written] = { ...paths[written], [method.toLowerCase()]: operation(method, written, text) };
  }
  return {
    openapi: "3.1.0",
    info: { title: "pointsman", version: VERSION, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    paths,
    components: {
      schemas: { Error: jsonSchemaOf(error) },
      securitySchemes: {
        serving: { type: "http", scheme: "bearer", description: "A key of a client" },
        viewer: { type: "http", scheme: "bearer", description: "A key with the role viewer, operator or admin" },
        operator: { type: "http", scheme: "bearer", description: "A key with the role operator or admin" },
        admin: { type: "http", scheme: "bearer", description: "The admin_api_key, or a key with the role admin" },
      },
    },
  };
}

function operation(method: string, path: string, text: RouteText): object {
  const inPath = Array.from(path.matchAll(/\{(\w+)\}/g), ([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  const inQuery = Object.entries(text.query ?? {}).map(([name, description]) => ({
    name,
    in: "query",
    description,
    schema: { type: "string" },
  }));
  return {
    operationId: `${method.toLowerCase()}${path.replace(/\W+(\w?)/g, (_whole, next: string) => next.toUpperCase())}`,
    summary: text.summary,
    ...(text.access === "public" ? { security: [] } : { security: [{ [text.access]: [] }] }),
    parameters: [...inPath, ...inQuery],
    ...bodyOf(text),
    responses: {
      ...errorsOf(text),
      ...answersOf(text),
      default: { description: "Any other error: docs/errors.md", ...ERROR },
    },
  };
}

function bodyOf({ body, bodyMay = [] }: RouteText): object {
  if (!body) return {};
  const content = { schema: jsonSchemaOf(body) };
  const yaml = bodyMay.includes("be YAML") ? { "application/yaml": content } : {};
  return {
    requestBody: { required: !bodyMay.includes("be left out"), content: { "application/json": content, ...yaml } },
  };
}

function answersOf({ answers }: RouteText): Record<string, object> {
  return Object.fromEntries(
    Object.entries(answers).map(([status, body]) => [
      status,
      {
        description: Number(status) < 300 ? "Success" : "Not now",
        content: typeof body === "string" ? { [body]: {} } : { "application/json": { schema: jsonSchemaOf(body) } },
      },
    ]),
  );
}

const ERROR = { content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } } };

type ErrorCode = keyof typeof ERRORS;

/** Why a caller is not let in. */
const OF_CALLERS: readonly ErrorCode[] = [
  "invalid_api_key",
  "forbidden",
  "too_many_wrong_keys",
  "token_keys_unavailable",
];
/** What may be wrong with a body. */
const OF_BODIES: readonly ErrorCode[] = [
  "invalid_json",
  "invalid_body",
  "invalid_request",
  "request_timeout",
  "request_too_large",
  "unsupported_media_type",
  "bad_content_encoding",
];

/** Codes of errors with which a route may answer, beside those that any request may get. */
export function errorCodesOf({ access, body, errors = [] }: RouteText): ReadonlySet<ErrorCode> {
  return new Set([...errors, ...(body ? OF_BODIES : []), ...(access === "public" ? [] : OF_CALLERS)]);
}

function errorsOf(text: RouteText): Record<string, object> {
  const byStatus = Map.groupBy(errorCodesOf(text), (code) => String(errorRow(code).http));
  return Object.fromEntries(
    Array.from(byStatus, ([status, named]) => [status, { description: named.join(", "), ...ERROR }]),
  );
}
