import {
  HealthCheckRequest,
  HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../../src/transport/grpc/generated/health/health.ts";
import type { EngineCore } from "./engine-core.ts";
import { type RpcCall, type RpcHandler, RpcError, STATUS } from "./rpc-server.ts";

/** The health service that gRPC servers share. */
export const HEALTH = {
  check: "/grpc.health.v1.Health/Check",
  watch: "/grpc.health.v1.Health/Watch",
} as const;

/** How often a watcher looks for a change, ms. */
const WATCH_MS = 20;

/** `grpc.health.v1.Health` for the server as a whole and for its one service. */
export function healthHandlers(core: EngineCore, service: string): Map<string, RpcHandler> {
  const isKnown = (name: string): boolean => name === "" || name === service;
  return new Map<string, RpcHandler>([
    [HEALTH.check, (bytes) => check(core, isKnown(HealthCheckRequest.decode(bytes).service))],
    [HEALTH.watch, (bytes, call) => watch(core, isKnown(HealthCheckRequest.decode(bytes).service), call)],
  ]);
}

async function* check(core: EngineCore, isKnown: boolean): AsyncGenerator<Uint8Array, void, void> {
  if (!isKnown) throw new RpcError(STATUS.notFound, "unknown service");
  yield encode(statusOf(core));
}

async function* watch(core: EngineCore, isKnown: boolean, call: RpcCall): AsyncGenerator<Uint8Array, void, void> {
  let told: ServingStatus | undefined;
  while (!call.signal.aborted) {
    const status = isKnown ? statusOf(core) : ServingStatus.SERVICE_UNKNOWN;
    if (status !== told) yield encode(status);
    told = status;
    await Bun.sleep(WATCH_MS);
  }
}

function statusOf(core: EngineCore): ServingStatus {
  return core.isHealthy ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
}

function encode(status: ServingStatus): Uint8Array {
  return HealthCheckResponse.encode({ status }).finish();
}
