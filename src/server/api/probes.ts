import type { Fleet } from "../../engine/fleet.ts";
import type { InfoPage } from "../../engine/voice.ts";
import type { Worker } from "../../worker/worker.ts";
import { systemClock } from "../../util/clock.ts";
import type { Route } from "../route.ts";
import { SharedAnswer } from "../shared-answer.ts";
import { type ReadinessDeps, readinessReply } from "./readiness.ts";
import { publicPart } from "./worker-page.ts";
import { jsonReply, type Reply, textReply } from "../../transport/downstream.ts";

/** How long an answer of `/health_generate` is shared, ms. A worker generates a token for it, and callers need no key. */
const GENERATES_KEPT_MS = 1000;

/** Routes that say whether the process lives, and whether it may get traffic. */
export function stateProbeRoutes(deps: ReadinessDeps): Route[] {
  const alive = (): Reply => textReply("OK");
  return [
    { method: "GET", path: "/health", access: "public", handle: alive },
    { method: "GET", path: "/liveness", access: "public", handle: alive },
    { method: "GET", path: "/readiness", access: "public", handle: () => readinessReply(deps) },
  ];
}

/** Routes that ask engines: whether one generates, and what they are. */
export function engineProbeRoutes(fleet: Fleet): Route[] {
  const generates = new SharedAnswer(() => fleet.isAnyHealthy(), GENERATES_KEPT_MS, systemClock);
  return [
    { method: "GET", path: "/health_generate", access: "public", handle: () => healthGenerate(generates) },
    info("/get_model_info", "modelInfo", modelInfo, fleet),
    info("/model_info", "modelInfo", modelInfo, fleet),
    info("/get_server_info", "serverInfo", serverInfo, fleet),
    info("/server_info", "serverInfo", serverInfo, fleet),
  ];
}

async function healthGenerate(generates: SharedAnswer<boolean>): Promise<Reply> {
  const isHealthy = await generates.get();
  return textReply(isHealthy ? "OK" : "the worker is not healthy", { status: isHealthy ? 200 : 503 });
}

/** Answers with a page of the first available worker; where its engine has none, with the registry's facts. */
function info(path: string, what: InfoPage, known: (worker: Worker) => object, fleet: Fleet): Route {
  return {
    method: "GET",
    path,
    access: "serving",
    handle: async () => {
      const { worker, page } = await fleet.info(what);
      return jsonReply((page && publicPart(page)) ?? known(worker));
    },
  };
}

function modelInfo(worker: Worker): object {
  return {
    model_path: worker.modelId,
    served_model_name: worker.modelId,
    engine: worker.info.engine ?? null,
    max_model_len: worker.info.maxModelLen ?? null,
  };
}

function serverInfo(worker: Worker): object {
  return { ...modelInfo(worker), version: worker.info.engineVersion ?? null };
}
