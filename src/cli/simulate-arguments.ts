import { Command, Option } from "commander";
import { ConfigError } from "../config/config-error.ts";
import { splitList } from "../config/options.ts";
import { asGatewayError } from "../errors/errors.ts";
import { type Job, loadOf, type Situation } from "../simulate/job.ts";
import type { Fault, Slo } from "../simulate/loads/load.ts";
import { LOADS } from "../simulate/loads/loads.ts";
import { expandGroups, NAMED_POLICIES, policyFrom } from "../simulate/named-policies.ts";
import { simulateHelp } from "./simulate-help.ts";

/** The command line of `pointsman simulate`, read and checked. */
export interface SimulateArguments {
  readonly jobs: readonly Job[];
  /** The policy that the others are compared with. */
  readonly baseline: string;
  readonly threads: number;
  /** Path of the JSON file, `-` for standard output; undefined for none. */
  readonly json: string | undefined;
  /** Path of the page with charts; undefined for none. */
  readonly plot: string | undefined;
}

/** The words as the parser of the command line gives them. */
interface Given {
  readonly load?: readonly string[];
  readonly trace?: readonly string[];
  readonly policies?: readonly string[];
  readonly baseline: string;
  readonly oracle: boolean;
  readonly seeds: string;
  readonly seed: string;
  readonly duration?: string;
  readonly rate?: readonly string[];
  readonly workers?: string;
  readonly kvTokens?: string;
  readonly slowness: string;
  readonly pd?: string;
  readonly handOverUs: string;
  readonly gateways: string;
  readonly newsMs?: string;
  readonly stream: boolean;
  readonly usage: boolean;
  readonly kvReport: string;
  readonly fault?: readonly string[];
  readonly slo?: string;
  readonly threads?: string;
  readonly json?: string;
  readonly plot?: string;
}

/** Where the text of the help goes. */
export interface HelpOutput {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly columns: number | undefined;
}

const USUAL_LOADS = ["chat", "agent", "rag"];
const USUAL_POLICIES = ["own", "smg", "gie", "llmd"];
const USUAL_DURATION_SECS = 120;
/** A trace is replayed to its end. */
const WHOLE_TRACE_SECS = 1e9;
const ORACLE = "oracle";

/**
 * Reads the command line of `pointsman simulate`. `cores` is the number of threads that run by default. Throws ConfigError for a wrong
 * value, and CommanderError for an unknown option and after the help.
 */
export function readSimulateArguments(argv: readonly string[], cores: number, output: HelpOutput): SimulateArguments {
  const command = createCommand(output);
  command.parse(argv, { from: "user" });
  return argumentsOf(command.opts<Given>(), cores);
}

function createCommand({ out, err, columns }: HelpOutput): Command {
  const list = (value: string, before: readonly string[] = []): readonly string[] => [...before, ...splitList(value)];
  const lists = (flags: string, description: string): Option => new Option(flags, description).argParser(list);
  return new Command("pointsman simulate")
    .description("Judges policies in virtual time: no worker, no network, the product's own policies.")
    .exitOverride()
    .allowExcessArguments(false)
    .configureOutput({
      writeOut: out,
      writeErr: err,
      getOutHelpWidth: () => columns ?? 120,
      outputError: (text, write) => write(text.replace(/^error: /, "pointsman: ")),
    })
    .addOption(
      lists("--load <names>", `made-up loads, or all (default: ${USUAL_LOADS.join(",")})`).helpGroup("Traffic:"),
    )
    .addOption(
      lists("--trace <files>", "recordings of serve --record, or files in Mooncake's format").helpGroup("Traffic:"),
    )
    .addOption(
      new Option(
        "--duration <secs>",
        `time in which requests arrive (default: ${USUAL_DURATION_SECS}; traces: all)`,
      ).helpGroup("Traffic:"),
    )
    .addOption(
      lists(
        "--rate <factors>",
        "requests as multiples of the load's own rate; several draw goodput by rate (default: 1)",
      ).helpGroup("Traffic:"),
    )
    .addOption(
      new Option("--seeds <n>", "runs with seeds of their own; several give confidence")
        .default("3")
        .helpGroup("Traffic:"),
    )
    .addOption(new Option("--seed <n>", "the first seed").default("1").helpGroup("Traffic:"))
    .addOption(
      new Option("--no-stream", "clients ask for whole answers: gateways see no first token").helpGroup("Traffic:"),
    )
    .addOption(
      lists(
        "--policies <names>",
        `policies, or the groups own, peers, all (default: ${USUAL_POLICIES.join(",")})`,
      ).helpGroup("Policies:"),
    )
    .addOption(
      new Option("--baseline <name>", "the policy that the others are compared with")
        .default(ORACLE)
        .helpGroup("Policies:"),
    )
    .addOption(new Option("--no-oracle", "leave the oracle out; it takes most of the time").helpGroup("Policies:"))
    .addOption(
      new Option("--workers <n>", "size of the fleet; made-up loads grow with it (default: 8)").helpGroup("Fleet:"),
    )
    .addOption(
      new Option("--kv-tokens <n>", "tokens of each worker's KV cache (default: as in the load)").helpGroup("Fleet:"),
    )
    .addOption(
      new Option("--slowness <factor>", "steps of engines take this many times as long")
        .default("1")
        .helpGroup("Fleet:"),
    )
    .addOption(
      lists("--fault <faults>", "what goes wrong: slow:0@60=3, freeze:1@30=6, die:2@40, restart:3@50").helpGroup(
        "Fleet:",
      ),
    )
    .addOption(
      new Option("--kv-report <factor>", "what engines say of their KV cache, as a multiple of the truth, or none")
        .default("1")
        .helpGroup("Fleet:"),
    )
    .addOption(new Option("--no-usage", "engines report neither prompt_tokens nor cached_tokens").helpGroup("Fleet:"))
    .addOption(
      new Option("--pd <prefill>", "so many of the workers only prefill, and the others decode").helpGroup("Fleet:"),
    )
    .addOption(
      new Option("--hand-over-us <us>", "time to hand the KV cache of a token over from prefill to decode")
        .default("10")
        .helpGroup("Fleet:"),
    )
    .addOption(new Option("--gateways <n>", "gateways that share the traffic").default("1").helpGroup("Fleet:"))
    .addOption(
      new Option("--news-ms <ms>", "gateways hear of each other's requests this late (default: never)").helpGroup(
        "Fleet:",
      ),
    )
    .addOption(
      new Option("--slo <ttft,tpot>", "bounds of a good answer, ms (default: as in the load)").helpGroup("Report:"),
    )
    .addOption(
      new Option("--json <file>", "write all figures; - for standard output, without tables").helpGroup("Report:"),
    )
    .addOption(
      new Option("--plot <file.html>", "write one page with charts, which needs nothing else").helpGroup("Report:"),
    )
    .addOption(
      new Option("--threads <n>", "runs at the same time (default: one for each core)")

        .helpGroup("Report:"),
    )
    .addHelpText("after", simulateHelp);
}

function argumentsOf(given: Given, cores: number): SimulateArguments {
  const situation = situationOf(given);
  if (situation.newsMs !== undefined && situation.gateways === 1)
    throw new ConfigError("--news-ms", "needs --gateways of at least 2: a gateway that is alone hears of nobody");
  const policies = policiesOf(given);
  const rates = [...new Set(given.rate?.map((rate) => positive("--rate", rate)) ?? [1])];
  const seeds = seedsOf(given);
  const traffic = trafficOf(given);
  if (situation.prefillWorkers === 0) refusePairs(policies);
  const jobs = traffic.flatMap(({ load, isTrace }) =>
    rates.flatMap((rate) => {
      const durationSecs =
        given.duration === undefined ? usualDuration(isTrace) : positive("--duration", given.duration);
      const base = { ...situation, load, isTrace, rate, durationSecs };
      checked(isTrace ? "--trace" : "--load", () => loadOf({ ...base, seed: seeds[0] ?? 1 }));
      return policies.flatMap((policy) => seeds.map((seed): Job => ({ ...base, policy, seed })));
    }),
  );
  const threads = optional(given.threads, (text) => whole("--threads", text, 1, 256)) ?? cores;
  const { baseline, json, plot } = given;
  return { jobs, baseline, threads, json, plot };
}

function usualDuration(isTrace: boolean): number {
  return isTrace ? WHOLE_TRACE_SECS : USUAL_DURATION_SECS;
}

function trafficOf({ load, trace = [] }: Given): { readonly load: string; readonly isTrace: boolean }[] {
  const named = load ?? (trace.length === 0 ? USUAL_LOADS : []);
  const loads = named.includes("all") ? LOADS.map(({ name }) => name) : named;
  return [
    ...new Set(loads).values().map((name) => ({ load: name, isTrace: false })),
    ...new Set(trace).values().map((path) => ({ load: path, isTrace: true })),
  ];
}

function policiesOf({ policies, baseline, oracle }: Given): string[] {
  const asked = expandGroups(policies ?? USUAL_POLICIES);
  const all = new Set([...(oracle ? [ORACLE] : []), ...asked, ...(oracle || baseline !== ORACLE ? [baseline] : [])]);
  for (const policy of all) checked(asked.includes(policy) ? "--policies" : "--baseline", () => policyFrom(policy));
  return [...all];
}

/** A way to choose pairs says nothing of a fleet without pairs. */
function refusePairs(policies: readonly string[]): void {
  const pair = NAMED_POLICIES.find(({ name, kind }) => kind === "pair" && policies.includes(name));
  if (pair) throw new ConfigError("--policies", `${pair.name} chooses pairs: it needs --pd`);
}

function seedsOf({ seed, seeds }: Given): number[] {
  const first = whole("--seed", seed, 0, 2 ** 31);
  return Array.from({ length: whole("--seeds", seeds, 1, 1000) }, (_, index) => first + index);
}

function situationOf(given: Given): Omit<Situation, "durationSecs"> {
  return {
    workers: optional(given.workers, (text) => whole("--workers", text, 1, 1024)),
    kvTokens: optional(given.kvTokens, (text) => whole("--kv-tokens", text, 1024, 1e9)),
    slowness: positive("--slowness", given.slowness),
    prefillWorkers: optional(given.pd, (text) => whole("--pd", text, 1, 1023)) ?? 0,
    handOverUs: atLeast0("--hand-over-us", given.handOverUs),
    gateways: whole("--gateways", given.gateways, 1, 64),
    newsMs: optional(given.newsMs, (text) => atLeast0("--news-ms", text)),
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

function whole(flag: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new ConfigError(flag, `must be a whole number from ${least} to ${most}, not ${JSON.stringify(text)}`);
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
