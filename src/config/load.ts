import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { z } from "zod";
import { camelCase, snakeCase } from "../util/case.ts";
import { closest } from "../util/suggest.ts";
import { ConfigError } from "./config-error.ts";
import { type ConfigFile, MAX_BYTES, parseConfigFile, type RawObject } from "./config-file.ts";
import { readEnvironment } from "./environment.ts";
import { coerce, flagName, knownKeys, optionDefault, splitList } from "./options.ts";
import { type Config, type ConfigKey, configSchema, POLICY_NAMES } from "./schema.ts";

/** What was given on the command line: option values as text, and the workers of all flags that name some. */
export interface GivenFlags {
  readonly values: ReadonlyMap<ConfigKey, string | boolean | readonly string[]>;
  /** Urls of regular workers, or more of what a flag says. */
  readonly workers: readonly (string | GivenWorker)[];
}

/** A worker as a flag names it; whether its parts are right is for the schema to say. */
export interface GivenWorker {
  readonly flag: string;
  readonly url: string;
  readonly workerType?: "prefill" | "decode";
  readonly bootstrapPort?: number | string;
}

export interface ConfigSources {
  /** Path of the file, as it was given. */
  readonly file?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly flags: GivenFlags;
}

export interface LoadedConfig {
  readonly config: Config;
  /** Sentences for the operator: what was given and is taken otherwise. */
  readonly notices: readonly string[];
}

export const NO_FLAGS: GivenFlags = { values: new Map(), workers: [] };

/** Flags over env over file over defaults. Throws ConfigError, for the first thing that is wrong. */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const file = sources.file === undefined ? undefined : readFile(sources.file);
  const merged: RawObject = { ...file?.values };
  const origin = new Map<string, string>();
  const environment = readEnvironment(sources.env);
  for (const { key, name, value } of environment.values) {
    merged[key] = value;
    origin.set(key, name);
  }
  for (const [key, given] of sources.flags.values) {
    merged[key] = fromFlag(key, given);
    origin.set(key, flagName(key));
  }
  const listed = merged["initialWorkers"] ?? [];
  const listedCount = Array.isArray(listed) ? listed.length : 0;
  // What is no list is left for the schema to refuse.
  const named = sources.flags.workers.map((worker) =>
    typeof worker === "string" ? { flag: "--worker", url: worker } : worker,
  );
  if (Array.isArray(listed)) {
    merged["initialWorkers"] = [...listed, ...named.map(({ flag: _flag, ...worker }) => worker)];
  }
  const locate = (path: readonly PropertyKey[]): string => {
    const [key, index] = path;
    if (key === "initialWorkers" && typeof index === "number" && index >= listedCount) {
      return named[index - listedCount]?.flag ?? "--worker";
    }
    return origin.get(String(key)) ?? file?.locate(path) ?? String(key);
  };
  const result = configSchema.safeParse(merged);
  if (!result.success) throw describe(result.error.issues[0], locate, file);
  checkWorkers(result.data, locate);
  checkPolicies(result.data, locate);
  checkAdmin(result.data, locate);
  return { config: result.data, notices: [...environment.notices, ...noticesOn(result.data)] };
}

function readFile(path: string): ConfigFile {
  let text: string;
  try {
    // One byte more than is taken, so that a larger one is told as such without being read.
    text = readStart(path, MAX_BYTES + 1);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw new ConfigError(path, code === "ENOENT" ? "there is no such file" : `the file cannot be read (${code})`);
  }
  return parseConfigFile(path, text);
}

function readStart(path: string, bytes: number): string {
  const file = openSync(path, "r");
  try {
    const buffer = Buffer.alloc(Math.min(fstatSync(file).size || bytes, bytes));
    let length = 0;
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      read = readSync(file, buffer, length, buffer.length - length, null);
    }
    return buffer.toString("utf8", 0, length);
  } finally {
    closeSync(file);
  }
}

function fromFlag(key: ConfigKey, given: string | boolean | readonly string[]): unknown {
  if (typeof given === "boolean") return given;
  return typeof given === "string" ? coerce(key, given) : given.flatMap(splitList);
}

function describe(
  issue: z.core.$ZodIssue | undefined,
  locate: (path: readonly PropertyKey[]) => string,
  file: ConfigFile | undefined,
): ConfigError {
  if (!issue) return new ConfigError("config", "the configuration is not valid");
  if (issue.code === "unrecognized_keys") {
    const [key = ""] = issue.keys;
    const known = knownKeys(issue.path);
    // The file's keys were turned into camel case, and those that were in it already into snake case.
    const written = /[A-Z]/.test(key) ? snakeCase(key) : camelCase(key);
    const near = closest(snakeCase(key), known);
    const hint = near === undefined ? "" : `; did you mean ${near}?`;
    const where = file?.locateKey(issue.path, key) ?? locate([...issue.path, key]);
    return new ConfigError(where, `unknown key ${dotted(issue.path, written)}${hint}`);
  }
  return new ConfigError(locate(issue.path), `${dotted(issue.path)}: ${issue.message}`);
}

/** `initial_workers[0].model_id`; `last` stands as it is. */
function dotted(path: readonly PropertyKey[], last?: string): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else text += `${text === "" ? "" : "."}${snakeCase(String(part))}`;
  }
  return last === undefined ? text : `${text}${text === "" ? "" : "."}${last}`;
}

function checkWorkers(config: Config, locate: (path: readonly PropertyKey[]) => string): void {
  const seen = new Set<string>();
  for (const [index, { url }] of config.initialWorkers.entries()) {
    if (seen.has(url))
      throw new ConfigError(locate(["initialWorkers", index, "url"]), `the worker ${url} is given twice`);
    seen.add(url);
  }
  if (config.enableIgw) return;
  for (const [index, { workerType }] of config.initialWorkers.entries()) {
    const refusal = refusedType(workerType, config.pdDisaggregation);
    if (refusal !== undefined) throw new ConfigError(locate(["initialWorkers", index, "workerType"]), refusal);
  }
}

/** Why a gateway for one kind of workers does not take this one; undefined where it does. */
export function refusedType(type: "regular" | "prefill" | "decode", isPd: boolean): string | undefined {
  if ((type === "regular") !== isPd) return undefined;
  return isPd
    ? "with --pd-disaggregation workers are --prefill and --decode (worker_type prefill or decode); regular ones besides them need --enable-igw"
    : `a ${type} worker needs --pd-disaggregation, or --enable-igw where there are others besides`;
}

/** Names of built-in policies. A module brings a name that is known only when it is loaded. */
function checkPolicies(config: Config, locate: (path: readonly PropertyKey[]) => string): void {
  if (config.policyModule !== undefined) return;
  for (const { name, path } of namedPolicies(config)) {
    if (isBuiltIn(name)) continue;
    const near = closest(name, POLICY_NAMES);
    const hint = near === undefined ? `the policies are ${POLICY_NAMES.join(", ")}` : `did you mean ${near}?`;
    throw new ConfigError(locate(path), `unknown policy ${JSON.stringify(name)}; ${hint}`);
  }
}

function isBuiltIn(name: string): boolean {
  return POLICY_NAMES.some((known) => known === name);
}

/** Every policy that the configuration names, and where. */
function namedPolicies(config: Config): { readonly name: string; readonly path: readonly PropertyKey[] }[] {
  const named: [name: string | undefined, path: readonly PropertyKey[]][] = [
    [config.defaultPolicy, ["defaultPolicy"]],
    [config.prefillPolicy, ["prefillPolicy"]],
    [config.decodePolicy, ["decodePolicy"]],
  ];
  for (const [index, { policy }] of config.modelPolicies.patterns.entries()) {
    named.push([policy, ["modelPolicies", "patterns", index, "policy"]]);
  }
  for (const [index, { policy, labels }] of config.initialWorkers.entries()) {
    named.push([policy, ["initialWorkers", index, "policy"]]);
    named.push([labels["policy"], ["initialWorkers", index, "labels", "policy"]]);
  }
  return named.flatMap(([name, path]) => (name === undefined ? [] : [{ name, path }]));
}

/** A client's key must not open the administration from anywhere. */
function checkAdmin(config: Config, locate: (path: readonly PropertyKey[]) => string): void {
  const serving = [config.apiKey, ...config.apiKeys.map(({ key }) => key)];
  if (serving.some((key) => key && key.reveal() === config.adminApiKey?.reveal())) {
    throw new ConfigError(locate(["adminApiKey"]), "the admin key must be another than those of clients");
  }
}

function noticesOn(config: Config): string[] {
  const notices: string[] = [];
  if (config.retryMaxRetries > 1) {
    notices.push(`retry_max_retries ${config.retryMaxRetries} is taken as 1: a generation is started at most twice`);
  }
  if (config.retryBackoffMultiplier !== optionDefault("retryBackoffMultiplier")) {
    notices.push("retry_backoff_multiplier changes nothing: there is at most one second attempt");
  }
  if (config.apiKey === undefined && config.apiKeys.length === 0 && !LOOPBACK.test(config.host)) {
    notices.push(`listening on ${config.host} without an api_key: everybody who reaches it may call`);
  }
  if (config.policyModule !== undefined && namedPolicies(config).every(({ name }) => isBuiltIn(name))) {
    notices.push(
      "policy_module is loaded and nothing names its policy: give that name as --policy, or to a model or worker",
    );
  }
  const adminHost = config.adminPort === undefined ? config.host : config.adminHost;
  if (config.adminApiKey === undefined && !LOOPBACK.test(adminHost)) {
    notices.push(
      `the administration on ${adminHost} is open to this machine only: set admin_api_key to use it from elsewhere`,
    );
  }
  return notices;
}

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/;
