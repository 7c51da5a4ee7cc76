import { GatewayError } from "../../errors/errors.ts";
import { stringField } from "../../protocol/json/json.ts";
import type { RouterManager } from "../../router/router-manager.ts";
import type { HealthChecker } from "../../worker/health-checker.ts";
import type { Worker } from "../../worker/worker.ts";
import type { WorkerSources } from "../../worker/sources/worker-sources.ts";
import { TOKENIZER_PATH_LABEL, type WorkerSpec } from "../../worker/worker-spec.ts";
import type { WorkerRegistry } from "../../worker/worker-registry.ts";
import type { Call, Route } from "../route.ts";
import { leftOutNotice, workerNameOf } from "../../util/parse-worker-url.ts";
import type { FolderOfPaths } from "./folder-of-paths.ts";
import { readJson } from "./json-request.ts";
import { patchWorkerSpec, readRank, readWorkerSpec } from "./worker-body.ts";
import { workerView } from "./worker-view.ts";
import { jsonReply, type Reply } from "../../transport/downstream.ts";

/** Knows the state of the workers' KV events; undefined for a worker whose events are not followed. */
export interface KvEventsViewer {
  view(workerId: string): object | undefined;
}

/** Knows how far what is known of a worker's prefix cache has been right, 0.1 to 1; undefined where no policy keeps it. */
export interface CacheTrustViewer {
  of(worker: Worker): number | undefined;
}

export interface WorkersDeps {
  readonly workerRegistry: WorkerRegistry;
  readonly routerManager: RouterManager;
  readonly healthChecker: HealthChecker;
  readonly workerSources: Pick<WorkerSources, "list">;
  readonly kvEvents: KvEventsViewer;
  readonly cacheTrusts: CacheTrustViewer;
  readonly paths: FolderOfPaths;
  readonly maxBodyBytes: number;
}

/** Routes for workers: the REST API, and the calls `add_worker`, `remove_worker` and `list_workers` for tools that use those. */
export function workerRoutes(deps: WorkersDeps): Route[] {
  const { maxBodyBytes } = deps;
  return [
    { method: "GET", path: "/workers", access: "viewer", handle: (call) => list(deps, call) },
    { method: "POST", path: "/workers", access: "operator", maxBodyBytes, handle: (call) => create(deps, call) },
    { method: "GET", path: "/workers/:id", access: "viewer", handle: (call) => show(deps, call) },
    { method: "PUT", path: "/workers/:id", access: "operator", maxBodyBytes, handle: (call) => replace(deps, call) },
    { method: "PATCH", path: "/workers/:id", access: "operator", maxBodyBytes, handle: (call) => patch(deps, call) },
    { method: "DELETE", path: "/workers/:id", access: "operator", handle: (call) => remove(deps, call) },
    { method: "POST", path: "/workers/:id/cordon", access: "operator", handle: (call) => cordon(deps, call, true) },
    { method: "POST", path: "/workers/:id/uncordon", access: "operator", handle: (call) => cordon(deps, call, false) },
    { method: "POST", path: "/add_worker", access: "operator", maxBodyBytes, handle: (call) => addWorker(deps, call) },
    {
      method: "POST",
      path: "/remove_worker",
      access: "operator",
      maxBodyBytes,
      handle: (call) => removeWorker(deps, call),
    },
    { method: "GET", path: "/list_workers", access: "viewer", handle: () => listWorkers(deps) },
  ];
}

/** With `?model=` only the workers of that model. */
function list(deps: WorkersDeps, { query }: Call): Reply {
  const { workerRegistry, workerSources } = deps;
  const model = query.get("model");
  const workers = workerRegistry.all().filter((worker) => model === null || worker.models.includes(model));
  const count = (type: string): number => workers.filter((worker) => worker.spec.workerType === type).length;
  return jsonReply({
    workers: workers.map((worker) => viewOf(deps, worker)),
    total: workers.length,
    stats: { prefill_count: count("prefill"), decode_count: count("decode"), regular_count: count("regular") },
    sources: workerSources.list().map(({ silentMs, ...source }) => ({
      ...source,
      reason: source.reason ?? null,
      silent_secs: silentMs === undefined ? null : Math.round(silentMs / 1000),
    })),
  });
}

async function create(deps: WorkersDeps, call: Call): Promise<Reply> {
  const body = readJson(call);
  const rank = readRank(body);
  const { worker } = rank
    ? deps.routerManager.addRank(rank.url, rank.index)
    : deps.routerManager.addWorker(await admitted(deps, readWorkerSpec(body)));
  call.note(worker.id);
  if (!wantsToWait(call)) return accepted(worker, withUrlNotice("the worker is being probed", body));
  const settled = await deps.healthChecker.waitUntilSettled(worker.id, call.request.signal);
  return jsonReply(viewOf(deps, settled ?? worker), { status: 201, headers: location(worker.id) });
}

/** Checks that a label which makes the gateway read files names an allowed path. A label that the worker already had was allowed before. */
async function admitted({ paths }: WorkersDeps, spec: WorkerSpec, before?: Worker): Promise<WorkerSpec> {
  const path = spec.labels[TOKENIZER_PATH_LABEL];
  if (path === undefined || path === before?.spec.labels[TOKENIZER_PATH_LABEL]) return spec;
  const resolved = await paths.resolve(path, `labels.${TOKENIZER_PATH_LABEL}`);
  return { ...spec, labels: { ...spec.labels, [TOKENIZER_PATH_LABEL]: resolved } };
}

function viewOf({ kvEvents, cacheTrusts }: WorkersDeps, worker: Worker): object {
  return workerView(worker, { kvEvents: kvEvents.view(worker.id), cacheTrust: cacheTrusts.of(worker) });
}

function show(deps: WorkersDeps, call: Call): Reply {
  return jsonReply(viewOfAll(deps, find(deps, call)));
}

async function replace(deps: WorkersDeps, call: Call): Promise<Reply> {
  const found = findActive(deps, call);
  const { worker } = found;
  call.note(worker.id);
  const given = readWorkerSpec(readJson(call));
  // The worker still belongs to its first source.
  const spec = await admitted(deps, { ...given, source: worker.spec.source });
  return updated(deps, call, change(deps, found, spec));
}

async function patch(deps: WorkersDeps, call: Call): Promise<Reply> {
  const found = findActive(deps, call);
  const { worker } = found;
  call.note(worker.id);
  const spec = await admitted(deps, patchWorkerSpec(worker.spec, readJson(call)), worker);
  return updated(deps, call, change(deps, found, spec));
}

/** Changes the worker, or all data-parallel ranks where the address was named. */
function change({ routerManager }: WorkersDeps, { worker, isWhole }: Found, spec: WorkerSpec): Worker {
  return (isWhole ? routerManager.updateWorker(worker.id, spec) : routerManager.updateRank(worker.id, spec)).worker;
}

/** A cordoned worker gets no new request, and keeps those that it has. */
function cordon(deps: WorkersDeps, call: Call, isCordoned: boolean): Reply {
  const { workerRegistry, routerManager } = deps;
  const found = findActive(deps, call);
  // Each rank keeps its own priority, cost and labels.
  const named = found.isWhole ? workerRegistry.at(found.worker.spec.url) : [found.worker];
  for (const { id, spec } of named) routerManager.updateRank(id, { ...spec, isCordoned });
  return jsonReply(viewOfAll(deps, { ...found, worker: workerRegistry.get(found.worker.id) ?? found.worker }));
}

async function updated(deps: WorkersDeps, call: Call, worker: Worker): Promise<Reply> {
  if (!wantsToWait(call)) return accepted(worker, "the worker is updated");
  const settled = await deps.healthChecker.waitUntilSettled(worker.id, call.request.signal);
  return jsonReply(viewOf(deps, settled ?? worker), { headers: location(worker.id) });
}

async function remove(deps: WorkersDeps, call: Call): Promise<Reply> {
  const found = findActive(deps, call);
  const { worker, isWhole } = found;
  call.note(worker.id);
  const { routerManager } = deps;
  const { gone } = isWhole ? routerManager.removeWorker(worker) : routerManager.removeRank(worker);
  const named = { id: worker.id, url: isWhole ? worker.spec.url : worker.url };
  if (!wantsToWait(call)) return accepted(named, "the worker drains and is removed then");
  await gone;
  return jsonReply({ status: "removed", worker_id: named.id, url: named.url });
}

/** Takes a worker in the body, or its address in `?url=`. */
async function addWorker(deps: WorkersDeps, call: Call): Promise<Reply> {
  const url = call.query.get("url");
  const body = url === null ? readJson(call) : { url };
  const { message, worker } = deps.routerManager.addWorker(await admitted(deps, readWorkerSpec(body)));
  call.note(worker.id);
  return jsonReply({ success: true, message: withUrlNotice(message, body), worker: viewOf(deps, worker) });
}

async function removeWorker(deps: WorkersDeps, call: Call): Promise<Reply> {
  const url = call.query.get("url") ?? stringField(readJson(call), "url");
  if (url === undefined) throw new GatewayError("invalid_request", "url is missing", { param: "url" });
  const name = workerNameOf(url);
  const worker = name === undefined ? undefined : deps.workerRegistry.getByUrl(name);
  if (!worker) throw new GatewayError("worker_not_found", "no worker has this url", { param: "url" });
  call.note(worker.id);
  const { routerManager } = deps;
  const { message } = worker.url === name ? routerManager.removeRank(worker) : routerManager.removeWorker(worker);
  return jsonReply({ success: true, message, worker: null });
}

/** Adds to the answer which part of the worker's address was removed. */
function withUrlNotice(message: string, body: Readonly<Record<string, unknown>>): string {
  const notice = leftOutNotice(stringField(body, "url") ?? "");
  return notice === undefined ? message : `${message}; ${notice}`;
}

function listWorkers(deps: WorkersDeps): Reply {
  const workers = deps.workerRegistry.all();
  return jsonReply({
    success: true,
    message: `${workers.length} workers`,
    worker: null,
    workers: workers.map((worker) => viewOf(deps, worker)),
    urls: workers.map((worker) => worker.url),
  });
}

/** What a caller named: a worker, or with its address all data-parallel ranks, of which this is the lowest. */
interface Found {
  readonly worker: Worker;
  readonly isWhole: boolean;
}

function find({ workerRegistry }: WorkersDeps, { params }: Call): Found {
  const id = params["id"] ?? "";
  const name = workerNameOf(id);
  const byId = workerRegistry.get(id);
  const worker =
    byId ?? (name === undefined ? undefined : (workerRegistry.getByUrl(name) ?? leaving(workerRegistry, name)[0]));
  if (!worker) throw new GatewayError("worker_not_found", "no worker has this id or url");
  return { worker, isWhole: worker.rank !== undefined && !byId && worker.url !== name };
}

/** The workers with this name or at this address, where all of them drain. */
function leaving(workers: WorkersDeps["workerRegistry"], name: string): readonly Worker[] {
  return workers.all().filter(({ url, spec }) => url === name || spec.url === name);
}

/** A worker; for an address with ranks the lowest one, under the name of the address, with the load of all. It is cordoned if all are. */
function viewOfAll(deps: WorkersDeps, { worker, isWhole }: Found): object {
  const view = viewOf(deps, worker);
  if (!isWhole) return view;
  const active = deps.workerRegistry.at(worker.spec.url);
  const ranks = active.length > 0 ? active : leaving(deps.workerRegistry, worker.spec.url);
  const sum = (of: (rank: Worker) => number): number => ranks.reduce((total, rank) => total + of(rank), 0);
  return {
    ...view,
    url: worker.spec.url,
    dp_rank: null,
    cordoned: ranks.every(({ spec }) => spec.isCordoned),
    load: sum(({ requestsInFlight }) => requestsInFlight),
    pending_prompt_tokens: sum(({ promptTokensInFlight }) => promptTokensInFlight),
  };
}

/** Finds a worker that is not leaving; a leaving worker can only be looked at. */
function findActive(deps: WorkersDeps, call: Call): Found {
  const found = find(deps, call);
  if (found.worker.status === "draining") {
    throw new GatewayError("worker_not_found", "this worker is being removed");
  }
  return found;
}

function wantsToWait({ query }: Call): boolean {
  const value = query.get("wait");
  return value !== null && value !== "false" && value !== "0";
}

function accepted(worker: Pick<Worker, "id" | "url">, message: string): Reply {
  const { location: path } = location(worker.id);
  return jsonReply(
    { status: "accepted", worker_id: worker.id, url: worker.url, location: path, message },
    { status: 202, headers: { location: path } },
  );
}

function location(id: string): { readonly location: string } {
  return { location: `/workers/${id}` };
}
