import { GatewayError } from "../errors/errors.ts";
import type { PolicyModule } from "../policy/policy-module.ts";
import type { WorkerType } from "../util/worker-type.ts";
import { closest } from "../util/suggest.ts";
import { runLoad } from "./driver.ts";
import type { Fault, Load, Slo } from "./loads/load.ts";
import { LOADS } from "./loads/loads.ts";
import { policyFrom } from "./named-policies.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";
import type { Trace } from "./traces/trace-file.ts";
import { traceLoad } from "./traces/trace-load.ts";

/** The situation that all runs of a study share. */
export interface Situation {
  readonly durationSecs: number;
  /** Size of the fleet; undefined for that of the load. */
  readonly workers: number | undefined;
  /** Workers that only prefill, the first ones of the fleet, while the others decode; 0 where each does both. */
  readonly prefillWorkers: number;
  /** Time to hand the KV cache of a token over from prefill to decode, us. */
  readonly handOverUs: number;
  readonly gateways: number;
  /** How late gateways hear of each other's requests, ms; undefined for never. */
  readonly newsMs: number | undefined;
  /** Tokens of each worker's KV cache; undefined for those of the load. */
  readonly kvTokens: number | undefined;
  /** Steps of all engines take this many times as long. */
  readonly slowness: number;
  /** Only a trace's requests for this model; undefined for all. */
  readonly model: string | undefined;
  /** Whether sessions of a trace wait for the answer before; made-up sessions always do. */
  readonly isClosedLoop: boolean;
  readonly isStream: boolean;
  readonly reportsUsage: boolean;
  /** What engines report of their KV cache, as a multiple of the truth; undefined for engines that report nothing. */
  readonly kvReportFactor: number | undefined;
  readonly faults: readonly Fault[];
  /** In place of the load's own; undefined for that. */
  readonly slo: Slo | undefined;
}

/** One gateway before an undivided fleet of the load's own size, where nothing goes wrong. */
export const USUAL_SITUATION: Omit<Situation, "durationSecs"> = {
  workers: undefined,
  kvTokens: undefined,
  slowness: 1,
  prefillWorkers: 0,
  handOverUs: 10,
  gateways: 1,
  newsMs: undefined,
  model: undefined,
  isClosedLoop: false,
  isStream: true,
  reportsUsage: true,
  kvReportFactor: 1,
  faults: [],
  slo: undefined,
};

/** One run: a load, a policy, a seed and a rate. Plain data, so that threads can send it each other. */
export interface Job extends Situation {
  /** Name of a load, or name of a trace among those that were read. */
  readonly load: string;
  readonly isTrace: boolean;
  readonly policy: string;
  readonly seed: number;
  readonly rate: number;
}

/**
 * The traces of a study by their names. Each is read once, before the first run: a pipe can be read only once, and a recording that is still
 * being written would be another load for each policy.
 */
export type Traces = ReadonlyMap<string, Trace>;

/** What the jobs of a study are made of, beside what they say themselves. */
export interface JobSources {
  readonly traces: Traces;
  /** The operator's policy, where there is one. */
  readonly own: PolicyModule | undefined;
}

/** The load of a job. Throws invalid_request for an unknown load, and for one that is too large. */
export function loadOf(job: Omit<Job, "policy">, traces: Traces): Load {
  const made = job.isTrace ? replayed(job, traces) : named(job.load).create(sizeOf(job));
  const workers = made.workers.map((worker, index) => ({
    ...worker,
    role: roleOf(index, job.prefillWorkers),
    kvTokens: job.kvTokens ?? worker.kvTokens,
    slowness: worker.slowness * job.slowness,
  }));
  return { ...made, workers, faults: [...made.faults, ...job.faults], slo: job.slo ?? made.slo };
}

function replayed(job: Omit<Job, "policy">, traces: Traces): Load {
  const trace = traces.get(job.load);
  if (!trace) throw new RangeError(`the trace ${job.load} was not read`);
  return traceLoad(trace, job.load, job);
}

function roleOf(worker: number, prefillWorkers: number): WorkerType {
  if (prefillWorkers === 0) return "regular";
  return worker < prefillWorkers ? "prefill" : "decode";
}

function named(load: string): (typeof LOADS)[number] {
  const names = LOADS.map(({ name }) => name);
  const row = LOADS.find(({ name }) => name === load);
  if (row) return row;
  const near = closest(load, names);
  const hint = near === undefined ? `the loads are ${names.join(", ")}` : `did you mean ${near}?`;
  throw new GatewayError("invalid_request", `unknown load ${JSON.stringify(load)}; ${hint}`);
}

function sizeOf({ seed, durationSecs, rate, workers }: Omit<Job, "policy">) {
  return { seed, durationSecs, rate, ...(workers === undefined ? {} : { workers }) };
}

/** Part of a hand-over of a KV cache that does not depend on its length, ms. */
const HAND_OVER_MS = 3;

/** Runs a job. `onProgress` gets the share of the virtual time that is over, 0 to 1. Throws policy_failed where the operator's policy fails. */
export function runJob(job: Job, { traces, own }: JobSources, onProgress: (share: number) => void): Outcome {
  const load = loadOf(job, traces);
  const { gateways, newsMs, isStream, reportsUsage, kvReportFactor, handOverUs, seed } = job;
  const startedAt = performance.now();
  const result = runLoad({
    load,
    policy: policyFrom(job.policy, own),
    seed,
    gateways,
    newsDelayMs: newsMs,
    isStream,
    reportsUsage,
    kvReportFactor,
    handOver: { fixedMs: HAND_OVER_MS, tokenMs: handOverUs / 1000 },
    onProgress: (atMs) => onProgress(Math.min(1, atMs / load.durationMs)),
  });
  return outcomeOf(result, job.rate, performance.now() - startedAt);
}
