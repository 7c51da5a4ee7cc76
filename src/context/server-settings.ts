import { SESSION_HEADERS } from "../util/session-headers.ts";
import type { Config } from "../config/schema.ts";
import { isWritten } from "../observability/logger.ts";
import type { DataPlaneSettings } from "../server/data-plane.ts";
import type { GateSettings } from "../server/gate.ts";
import type { InferencePortSettings } from "../server/inference-port.ts";
import type { ListenerSettings } from "../server/listener.ts";
import type { PressureSettings } from "../server/pressure.ts";
import type { DrainTimes } from "../server/drain.ts";
import type { ServerSettings } from "../server/server.ts";
import { memoryLimitBytes } from "../util/memory-limit.ts";
import { bound, ms } from "./bounds.ts";
import { modelPlans } from "./model-plans.ts";

/** The configuration in the units and shapes of the server. */

export function serverSettings(config: Config): ServerSettings {
  const { adminPort, prometheusPort } = config;
  // With an admin port, metrics are on that port only.
  const hasMetricsPort = prometheusPort !== 0 && adminPort === undefined;
  return {
    hostname: config.host,
    admin: adminPort === undefined ? undefined : { hostname: config.adminHost, port: adminPort },
    metrics: hasMetricsPort ? { hostname: config.prometheusHost ?? config.host, port: prometheusPort } : undefined,
    reusePort: config.reusePort,
    gate: gateSettings(config),
    listener: listenerSettings(config),
    maxBodyBytes: config.maxPayloadSize,
    tokenizerFolder: config.tokenizerFolder,
    plans: modelPlans(config),
    skipsPrefill: config.pdSkipPrefill,
    decisionLogSize: config.decisionLogSize,
    metricsCompat: config.metricsCompat,
  };
}

function gateSettings(config: Config): GateSettings {
  const ofModel = bound(config.maxConcurrentRequestsPerModel);
  return {
    maxConcurrent: bound(config.maxConcurrentRequests),
    maxConcurrentOf: () => ofModel,
    queueSize: config.queueSize,
    queueTimeoutMs: ms(config.queueTimeoutSecs),
  };
}

/** `containerBytes`: memory limit of the process's container. */
export function inferencePortSettings(config: Config, containerBytes = memoryLimitBytes()): InferencePortSettings {
  return {
    listener: listenerSettings(config),
    dataPlane: dataPlaneSettings(config),
    pressure: pressureSettings(config, containerBytes),
  };
}

function listenerSettings(config: Config): ListenerSettings {
  return {
    corsAllowedOrigins: config.corsAllowedOrigins,
    requestIdHeaders: config.requestIdHeaders,
    idleMs: ms(bound(config.clientIdleTimeoutSecs)),
    maxPerAddress: bound(config.maxConnectionsPerClient),
  };
}

function dataPlaneSettings(config: Config): DataPlaneSettings {
  return {
    keepAliveMs: ms(bound(config.streamKeepAliveSecs)),
    totalMs: ms(config.requestTimeoutSecs),
    bodyStallMs: ms(config.bodyStallTimeoutSecs),
    maxBodyBytes: config.maxPayloadSize,
    isModelRequired: config.enableIgw,
    sessionHeaders: [...new Set([...config.sessionHeaders, ...SESSION_HEADERS])],
    logsDecisions: isWritten("debug", config.logLevel),
    explainRatio: config.decisionLogSize === 0 ? 0 : config.decisionExplainRatio,
  };
}

/** The bounds on pressure. Without a configured bound, memory is bounded by a share of the container's limit, at which the kernel ends the process. */
function pressureSettings(config: Config, containerBytes: number | undefined): PressureSettings {
  const { maxEventLoopDelayMs, maxResidentBytes } = config;
  return {
    maxLoopDelayMs: bound(maxEventLoopDelayMs),
    maxResidentBytes:
      maxResidentBytes === undefined
        ? (containerBytes ?? Number.POSITIVE_INFINITY) * CONTAINER_SHARE
        : bound(maxResidentBytes),
  };
}

const CONTAINER_SHARE = 0.9;

/** The times of a drain. SIGINT has no delay, because a gateway that is stopped by hand has no load balancer in front of it. */
export function drainTimes(config: Config, signal: NodeJS.Signals): DrainTimes {
  return {
    delayMs: signal === "SIGINT" ? 0 : ms(config.shutdownDelaySecs),
    graceMs: ms(config.shutdownGracePeriodSecs),
  };
}
