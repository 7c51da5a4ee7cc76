import { resolve } from "node:path";
import { ConfigError } from "../config/config-error.ts";
import { splitList } from "../config/options.ts";
import { asGatewayError } from "../errors/errors.ts";
import { type Job, type JobSources, loadOf, type Situation, type Traces } from "../simulate/job.ts";
import type { Fault, Load, Slo } from "../simulate/loads/load.ts";
import { LOADS } from "../simulate/loads/loads.ts";
import { expandGroups, NAMED_POLICIES, policyFrom } from "../simulate/named-policies.ts";
import { LATE_ORACLE, ORACLE } from "../simulate/oracle.ts";
import { readTrace } from "../simulate/traces/trace-file.ts";
import type { Terminal } from "./command-output.ts";
import { readWhole } from "./read-whole.ts";
import {
  createSimulateCommand,
  type Given,
  USUAL_DURATION_SECS,
  USUAL_HAND_OVER_US,
  USUAL_LOADS,
  USUAL_POLICIES,
} from "./simulate-command.ts";

/** The command line of `pointsman simulate`, read and checked. */
export interface SimulateArguments {
  readonly jobs: readonly Job[];
  /** The traces of the jobs, by their names. */
  readonly traces: Traces;
  /** The policy that the others are compared with. */
  readonly baseline: string;
  readonly threads: number;
  /** Path of the JSON file, `-` for standard output; undefined for none. */
  readonly json: string | undefined;
  /** Path of the page with charts; undefined for none. */
  readonly plot: string | undefined;
}

/** A trace is replayed to its end. */
const WHOLE_TRACE_SECS = 1e9;

/** The words of the command line of `pointsman simulate`. Throws CommanderError for an unknown option and after the help. */
export function readSimulateWords(argv: readonly string[], output: Terminal): Given {
  const command = createSimulateCommand(output);
  command.parse(argv, { from: "user" });
  return command.opts<Given>();
}

/**
 * What the words come to. `cores` is the number of threads that run by default, `own` the policy of `--policy-module`. Throws ConfigError for a
 * wrong value.
 */
export function simulateArguments(given: Given, cores: number, own?: JobSources["own"]): SimulateArguments {
  const situation = situationOf(given);
  refuseIdleOptions(given, situation);
  const baseline = baselineOf(given);
  const policies = policiesOf(given, baseline, own);
  const rates = [...new Set(given.rate?.map((rate) => positive("--rate", rate)) ?? [1])];
  const seeds = seedsOf(given);
  const { traffic, traces } = trafficOf(given);
  if (situation.prefillWorkers === 0) refusePairs(policies);
  if (policies.some((policy) => policyFrom(policy, own).isLate)) refuseLate(situation);
  const jobs = traffic.flatMap(({ load, isTrace }) =>
    rates.flatMap((rate) => {
      const durationSecs =
        given.duration === undefined ? usualDuration(isTrace) : positive("--duration", given.duration);
      const base = { ...situation, load, isTrace, rate, durationSecs };
      checkFleet(
        base,
        checked(isTrace ? "--trace" : "--load", () => loadOf({ ...base, seed: seeds[0] ?? 1 }, traces)),
      );
      return policies.flatMap((policy) => seeds.map((seed): Job => ({ ...base, policy, seed })));
    }),
  );
  const threads = optional(given.threads, (text) => readWhole("--threads", text, 1, 256)) ?? cores;
  return { jobs, traces, baseline, threads, json: given.json, plot: given.plot };
}

/** An option that would change nothing, or what another one has done, is a mistake. */
function refuseIdleOptions(
  { handOverUs, json, plot, closedLoop, model, trace }: Given,
  { newsMs, gateways, prefillWorkers }: Omit<Situation, "durationSecs">,
): void {
  if (newsMs !== undefined && gateways === 1)
    throw new ConfigError("--news-ms", "needs --gateways of at least 2: a gateway that is alone hears of nobody");
  if (handOverUs !== undefined && prefillWorkers === 0)
    throw new ConfigError("--hand-over-us", "needs --pd: workers that do both hand nothing over");
  if (model !== undefined && trace === undefined)
    throw new ConfigError("--model", "needs --trace: made-up loads are for one model");
  if (closedLoop && trace === undefined)
    throw new ConfigError(
      "--closed-loop",
      "needs --trace: the sessions of made-up loads always wait for their answers",
    );
  if (json !== undefined && plot !== undefined && resolve(json) === resolve(plot))
    throw new ConfigError("--plot", "names the file of --json");
}

/** Refuses a load without requests, a fault that never happens, and a fleet where nobody decodes. */
function checkFleet({ faults, prefillWorkers, durationSecs }: Situation, load: Load): void {
  const { name, workers, durationMs, sessions } = load;
  if (sessions.length === 0)
    throw new ConfigError("--duration", `no request of ${name} comes in ${durationSecs} s at this rate`);
  for (const { worker, atMs } of faults) {
    if (worker >= workers.length)
      throw new ConfigError("--fault", `worker ${worker}: ${name} has only ${workers.length}, from 0`);
    if (atMs >= durationMs)
      throw new ConfigError("--fault", `second ${atMs / 1000}: ${name} ends at second ${durationMs / 1000}`);
  }
  refuseFaultsOfNobody(load);
  if (prefillWorkers >= workers.length)
    throw new ConfigError("--pd", `${name} has ${workers.length} workers: at least one of them must decode`);
}

/** Refuses a fault of a worker that is not there then: it is dead, or has not joined. */
function refuseFaultsOfNobody({ name, workers, faults }: Load): void {
  const dead = new Set<number>();
  for (const { kind, worker, atMs } of faults.toSorted((a, b) => a.atMs - b.atMs)) {
    const says = `worker ${worker} at second ${atMs / 1000}: ${name}`;
    const joinsAtMs = workers[worker]?.joinsAtMs ?? 0;
    if (atMs < joinsAtMs) throw new ConfigError("--fault", `${says} gets it at second ${joinsAtMs / 1000} only`);
    if (kind === "restart") dead.delete(worker);
    else if (dead.has(worker)) throw new ConfigError("--fault", `${says} has lost it before; restart brings it back`);
    if (kind === "die") dead.add(worker);
  }
}

/** The oracle; without it the first of the policies. */
function baselineOf({ baseline, oracle, policies }: Given): string {
  if (baseline === ORACLE.name && !oracle) throw new ConfigError("--baseline", "--no-oracle leaves the oracle out");
  return baseline ?? (oracle ? ORACLE.name : (expandGroups(policies ?? USUAL_POLICIES)[0] ?? ORACLE.name));
}

function usualDuration(isTrace: boolean): number {
  return isTrace ? WHOLE_TRACE_SECS : USUAL_DURATION_SECS;
}

/** The loads and the traces to run, and the traces, read. */
function trafficOf({ load, trace = [] }: Given): {
  readonly traffic: readonly Pick<Job, "load" | "isTrace">[];
  readonly traces: Traces;
} {
  const named = load ?? (trace.length === 0 ? USUAL_LOADS : []);
  const loads = named.includes("all") ? LOADS.map(({ name }) => name) : named;
  const traces = new Map(
    [...new Set(trace)].map((path) => [traceName(path), checked("--trace", () => readTrace(path))] as const),
  );
  return {
    traffic: [
      ...new Set(loads).values().map((name) => ({ load: name, isTrace: false })),
      ...traces.keys().map((name) => ({ load: name, isTrace: true })),
    ],
    traces,
  };
}

/** The path of a trace; one that is called like a made-up load has a dot before it, or reports would take both for one. */
function traceName(path: string): string {
  return LOADS.some(({ name }) => name === path) ? `./${path}` : path;
}

function policiesOf({ policies, oracle }: Given, baseline: string, own: JobSources["own"]): string[] {
  const asked = [...expandGroups(policies ?? USUAL_POLICIES), ...unasked(policies ?? [], own)];
  const all = new Set([...(oracle ? [ORACLE.name] : []), ...asked, baseline]);
  for (const policy of all)
    checked(asked.includes(policy) ? "--policies" : "--baseline", () => policyFrom(policy, own));
  return [...all];
}

/** The operator's policy, where the list does not have it, with or without options. */
function unasked(policies: readonly string[], own: JobSources["own"]): string[] {
  if (own === undefined) return [];
  if (NAMED_POLICIES.some(({ name }) => name === own.name))
    throw new ConfigError("--policy-module", `${own.name} is the name of a policy that is there already`);
  return policies.some((policy) => policy.split(":", 1)[0] === own.name) ? [] : [own.name];
}

/** A way to choose pairs says nothing of a fleet without pairs. */
function refusePairs(policies: readonly string[]): void {
  const pair = NAMED_POLICIES.find(({ name, kind }) => kind === "pair" && policies.includes(name));
  if (pair) throw new ConfigError("--policies", `${pair.name} chooses pairs: it needs --pd`);
}

function refuseLate({ newsMs, prefillWorkers }: Pick<Situation, "newsMs" | "prefillWorkers">): void {
  const { name } = LATE_ORACLE;
  if (newsMs === undefined) {
    throw new ConfigError("--policies", `${name} hears late of other gateways: it needs --gateways and --news-ms`);
  }
  if (prefillWorkers > 0) throw new ConfigError("--policies", `${name} chooses no pairs: leave --pd out`);
}

function seedsOf({ seed, seeds }: Given): number[] {
  const first = readWhole("--seed", seed, 0, 2 ** 31);
  return Array.from({ length: readWhole("--seeds", seeds, 1, 1000) }, (_, index) => first + index);
}

function situationOf(given: Given): Omit<Situation, "durationSecs"> {
  return {
    workers: optional(given.workers, (text) => readWhole("--workers", text, 1, 1024)),
    kvTokens: optional(given.kvTokens, (text) => readWhole("--kv-tokens", text, 1024, 1e9)),
    slowness: positive("--slowness", given.slowness),
    prefillWorkers: optional(given.pd, (text) => readWhole("--pd", text, 1, 1023)) ?? 0,
    handOverUs: optional(given.handOverUs, (text) => atLeast0("--hand-over-us", text)) ?? USUAL_HAND_OVER_US,
    gateways: readWhole("--gateways", given.gateways, 1, 64),
    newsMs: optional(given.newsMs, (text) => atLeast0("--news-ms", text)),
    model: given.model,
    isClosedLoop: given.closedLoop ?? false,
    isStream: given.stream,
    reportsUsage: given.usage,
    kvReportFactor: given.kvReport === "none" ? undefined : positive("--kv-report", given.kvReport),
    faults: given.fault?.map(faultOf) ?? [],
    slo: optional(given.slo, sloOf),
  };
}

const FAULT = /^(slow|freeze|die|restart):(\d+)@(\d+(?:\.\d+)?)(?:=(\d+(?:\.\d+)?))?$/;

function faultOf(text: string): Fault {
  const [, kind, place = "", at = "", value] = FAULT.exec(text) ?? [];
  const facts = { worker: Number(place), atMs: Number(at) * 1000 };
  if ((kind === "die" || kind === "restart") && value === undefined) return { kind, ...facts };
  if (kind === "slow" && Number(value) > 0) return { kind, ...facts, slowness: Number(value) };
  if (kind === "freeze" && Number(value) > 0) return { kind, ...facts, ms: Number(value) * 1000 };
  throw new ConfigError(
    "--fault",
    `${JSON.stringify(text)} must be slow:WORKER@SECS=FACTOR, freeze:WORKER@SECS=SECS, die:WORKER@SECS or restart:WORKER@SECS`,
  );
}

function sloOf(text: string): Slo {
  const [ttftMs = Number.NaN, tpotMs = Number.NaN, ...more] = splitList(text).map(Number);
  if (ttftMs > 0 && tpotMs > 0 && more.length === 0) return { ttftMs, tpotMs };
  throw new ConfigError("--slo", `must be two times in ms, as 2000,100, not ${JSON.stringify(text)}`);
}

function optional<T>(text: string | undefined, read: (text: string) => T): T | undefined {
  return text === undefined ? undefined : read(text);
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new ConfigError(flag, `must be a number above 0, not ${JSON.stringify(text)}`);
}

function atLeast0(flag: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= 0) return value;
  throw new ConfigError(flag, `must be a number from 0, not ${JSON.stringify(text)}`);
}

/** Does something that names a wrong value with a GatewayError; the flag says where it stands. */
function checked<T>(flag: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new ConfigError(flag, asGatewayError(error).message);
  }
}
