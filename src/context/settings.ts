import { existsSync, readFileSync } from "node:fs";
import { GatewayError } from "../errors/errors.ts";
import type { ModelTextSettings } from "../router/grpc/model-text.ts";
import { bound, ms } from "./bounds.ts";
import { parserComplaints, parserNames } from "./parser-settings.ts";
import { tlsComplaints } from "./tls-files.ts";
import { refusedType } from "../config/check-config.ts";
import { GRPC_LIMITS, type GrpcLimits } from "../transport/grpc/grpc-limits.ts";
import type { Complaint } from "../config/describe-issue.ts";
import type { Config } from "../config/schema.ts";
import type { PolicyOptions } from "../policy/define-policy.ts";
import { POLICIES } from "../policy/policies.ts";
import type { PolicyChoice, PolicyPattern } from "../policy/policy-choice.ts";
import { matchesGlob } from "../policy/glob.ts";
import type { HttpRouterDeps } from "../router/router-factory.ts";
import type { ParsedOutputSettings } from "../router/http/parsed-request.ts";
import type { RouterManagerDeps } from "../router/router-manager.ts";
import type { StreamRelayDeps } from "../router/stream-relay.ts";
import type { BoardSettings } from "../worker/breaker-board.ts";
import type { ProbingSettings } from "../worker/worker-spec.ts";
import type { WorkerType } from "../util/worker-type.ts";

/** The configuration in the units and shapes of routers, policies and the parts that watch over workers. */

export function routerSettings(
  config: Config,
): Pick<
  HttpRouterDeps,
  | "retry"
  | "timeouts"
  | "forwardHeaders"
  | "capacityRetryAfterSecs"
  | "continuesStreams"
  | "parsedOutput"
  | "skipsPrefill"
> {
  return {
    retry: {
      maxAttempts: config.disableRetries || config.retryMaxRetries === 0 ? 1 : 2,
      backoffMs: Math.min(config.retryInitialBackoffMs, config.retryMaxBackoffMs),
      jitterRatio: config.retryJitterFactor,
    },
    timeouts: {
      connectMs: ms(config.connectTimeoutSecs),
      firstByteMs: ms(config.firstByteTimeoutSecs),
      idleMs: ms(config.idleTimeoutSecs),
      totalMs: ms(config.requestTimeoutSecs),
    },
    continuesStreams: (model) => config.continueStreams.some((glob) => matchesGlob(glob, model)),
    skipsPrefill: config.pdSkipPrefill,
    parsedOutput: config.parseOutput.length > 0 ? parsedOutput(config) : undefined,
    forwardHeaders: config.forwardHeaders,
    // Within this time a worker that is out is probed again.
    capacityRetryAfterSecs: Math.max(1, Math.ceil(config.healthCheckIntervalSecs)),
  };
}

function parsedOutput(config: Config): ParsedOutputSettings {
  return {
    parsesOutput: (model) => config.parseOutput.some((glob) => matchesGlob(glob, model)),
    ...parserNames(config),
  };
}

/** How long streams and their clients may be silent. */
export function streamSettings(config: Config): Pick<StreamRelayDeps, "keepAliveMs" | "clientStallMs"> {
  return {
    keepAliveMs: ms(bound(config.streamKeepAliveSecs)),
    clientStallMs: ms(config.clientStallTimeoutSecs),
  };
}

/** When breakers open, workers are ejected, and how slowly they come back. */
export function boardSettings(config: Config): BoardSettings {
  const windowMs = ms(config.cbWindowDurationSecs);
  return {
    breaker: {
      failureThreshold: config.cbFailureThreshold,
      successThreshold: config.cbSuccessThreshold,
      openMs: ms(config.cbTimeoutDurationSecs),
      ejectionMs: ms(config.outlierEjectionSecs),
      windowMs,
      disabled: config.disableCircuitBreaker,
    },
    outliers: {
      failureThreshold: config.outlierFailureThreshold,
      maxShare: config.outlierMaxEjectionPercent / 100,
      windowMs,
    },
    slowStartMs: ms(config.slowStartSecs),
  };
}

/** How workers are probed. */
export function healthSettings(config: Config): ProbingSettings {
  return {
    defaults: {
      endpoint: config.healthCheckEndpoint,
      intervalMs: ms(config.healthCheckIntervalSecs),
      timeoutMs: ms(config.healthCheckTimeoutSecs),
      failureThreshold: config.healthFailureThreshold,
      successThreshold: config.healthSuccessThreshold,
      disabled: config.disableHealthCheck,
    },
    startupIntervalMs: ms(config.workerStartupCheckInterval),
    startupTimeoutMs: ms(config.workerStartupTimeoutSecs),
    modelFallback: config.modelPath,
  };
}

/** Settings for workers that leave. */
export function departureSettings(config: Config): Pick<RouterManagerDeps, "drainTimeoutMs" | "removesUnhealthy"> {
  return { drainTimeoutMs: ms(config.drainTimeoutSecs), removesUnhealthy: config.removeUnhealthyWorkers };
}

/** Whether data-parallel ranks are workers of their own. */
export function rankSettings({ dpAware, dpSize }: Config): RouterManagerDeps["ranks"] {
  return { isDpAware: dpAware, dpSize };
}

/** The policies of models and roles, with their options. */
export function policySettings(config: Config): PolicyChoice {
  return {
    options: optionsOfPolicies(config),
    sessions: config.stickySessions
      ? {
          maxIdleSecs: config.maxIdleSecs,
          maxSessions: config.maxSessions,
          overrideSecs: config.stickyOverrideSecs,
        }
      : undefined,
    defaultPolicy: { policy: config.defaultPolicy, config: {} },
    roleDefaults: {
      ...(config.prefillPolicy === undefined ? {} : { prefill: { policy: config.prefillPolicy, config: {} } }),
      ...(config.decodePolicy === undefined ? {} : { decode: { policy: config.decodePolicy, config: {} } }),
    },
    patterns: patternsOf(config.modelPolicies.patterns),
    shadows: [
      ...patternsOf(config.shadowPolicies),
      ...(config.shadowPolicy === undefined
        ? []
        : [{ match: "*", policy: { policy: config.shadowPolicy, config: {} } }]),
    ],
  };
}

function patternsOf(patterns: Config["modelPolicies"]["patterns"]): readonly PolicyPattern[] {
  return patterns.map(({ match, policy, config }) => ({ match, policy: { policy, config: given(config) } }));
}

/** Limits of gRPC. A message may be as large as a client's request. */
export function grpcLimits(config: Config): GrpcLimits {
  return { ...GRPC_LIMITS, maxMessageBytes: Math.max(GRPC_LIMITS.maxMessageBytes, config.maxPayloadSize) };
}

/** Throws invalid_request if a parser is unknown, or the template's file cannot be read. */
export function modelTextSettings(config: Config): ModelTextSettings {
  return {
    tokenizerPath: config.tokenizerPath,
    chatTemplate: config.chatTemplate === undefined ? undefined : readTemplate(config.chatTemplate),
    ...parserNames(config),
    cacheBytes: config.tokenizerCacheBytes,
  };
}

function readTemplate(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new GatewayError("invalid_request", `chat_template: the file ${path} cannot be read`, { cause });
  }
}

/** Finds wrong names of parsers and files, before anything is made of them. */
export function settingsComplaints(config: Config): Complaint[] {
  const { chatTemplate } = config;
  const complaints = parserComplaints(config);
  if (chatTemplate !== undefined && !existsSync(chatTemplate)) {
    complaints.push({ path: ["chatTemplate"], text: `there is no file ${chatTemplate}`, isSentence: true });
  }
  return [...complaints, ...tlsComplaints(config)];
}

/** Why a worker of this type is refused; undefined where it is accepted. */
export function acceptedTypes(config: Config): (type: WorkerType) => string | undefined {
  return (type) => (config.enableIgw ? undefined : refusedType(type, config.pdDisaggregation));
}

/** The configured options of each policy. */
function optionsOfPolicies(config: Readonly<Record<string, unknown>>): Record<string, PolicyOptions> {
  return Object.fromEntries(
    POLICIES.map(({ name, options }) => [
      name,
      Object.fromEntries(Object.keys(options.shape).map((key) => [key, config[key]])),
    ]),
  );
}

/** The options that are set. */
function given(options: PolicyOptions): PolicyOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** Settings of the registry: which models workers serve, and how many of them may be ejected. */
export function registrySettings(config: Config): {
  readonly maxEjectedShare: number;
  readonly unlistedServeAny: boolean;
} {
  return { maxEjectedShare: config.outlierMaxEjectionPercent / 100, unlistedServeAny: !config.enableIgw };
}

/** How often engines are asked for their load where `metrics_compat` is set and the interval is not, s. Prometheus scrapes every 15 to 60 s as a rule. */
const USUAL_LOAD_INTERVAL_SECS = 10;

/** Time between two questions to engines for their load, ms; 0: they are not asked. */
export function loadIntervalMs(config: Pick<Config, "engineLoadIntervalSecs" | "metricsCompat">): number {
  const usual = config.metricsCompat.length > 0 ? USUAL_LOAD_INTERVAL_SECS : 0;
  return (config.engineLoadIntervalSecs ?? usual) * 1000;
}
