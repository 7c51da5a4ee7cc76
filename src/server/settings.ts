import type { Config } from "../config/schema.ts";
import { memoryLimitBytes } from "../util/memory-limit.ts";
import type { AdminAccess, AuthSettings, TenantKey } from "./auth.ts";
import type { GateSettings } from "./gate.ts";

/** The configuration in the units and shapes of the server. */

export function authSettings(config: Config): AuthSettings {
  const unlimited = { maxConcurrent: Number.POSITIVE_INFINITY, requestsPerMinute: Number.POSITIVE_INFINITY };
  const keys: TenantKey[] = config.apiKeys.map((entry) => ({
    name: entry.name,
    key: entry.key,
    priority: entry.priority,
    maxConcurrent: entry.maxConcurrentRequests ?? unlimited.maxConcurrent,
    requestsPerMinute: entry.requestsPerMinute ?? unlimited.requestsPerMinute,
  }));
  if (config.apiKey) keys.push({ name: "default", key: config.apiKey, priority: "normal", ...unlimited });
  return {
    keys,
    admin: adminAccess(config, keys.length > 0),
    hosts: [config.host.toLowerCase(), config.adminHost.toLowerCase()],
  };
}

/** A key before the serving routes and none before the administration would be a door beside the gate. */
function adminAccess(config: Config, hasKeys: boolean): AdminAccess {
  if (config.adminApiKey) return { by: "admin_key", key: config.adminApiKey };
  if (config.adminPort !== undefined || !hasKeys) return { by: "this_machine" };
  return config.apiKey ? { by: "api_key", key: config.apiKey } : { by: "nobody" };
}

export function gateSettings(config: Config): GateSettings {
  const ofModel = bound(config.maxConcurrentRequestsPerModel);
  return {
    maxConcurrent: bound(config.maxConcurrentRequests),
    maxConcurrentOf: () => ofModel,
    queueSize: config.queueSize,
    queueTimeoutMs: config.queueTimeoutSecs * 1000,
  };
}

export function maxLoopDelayMs({ maxEventLoopDelayMs }: Config): number {
  return bound(maxEventLoopDelayMs);
}

/** Without a number of the operator's, what a container leaves before its kernel ends the process. */
export function maxResidentBytes({ maxResidentBytes: given }: Config, limit = memoryLimitBytes()): number {
  return given === undefined ? (limit ?? Number.POSITIVE_INFINITY) * CONTAINER_SHARE : bound(given);
}

const CONTAINER_SHARE = 0.9;

/** 0 stands for no bound. */
export function bound(most: number): number {
  return most > 0 ? most : Number.POSITIVE_INFINITY;
}
