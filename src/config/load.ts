import { isRecord } from "../util/objects.ts";
import { leftOutNotice } from "../util/parse-worker-url.ts";
import { checkConfig } from "./check-config.ts";
import { type ConfigFile, parseConfigFile, readConfigText, type RawObject } from "./config-file.ts";
import { ConfigError, type ConfigProblem, throwProblems } from "./config-error.ts";
import { type Complaint, complaintsOf, MAX_COMPLAINTS, sentence } from "./describe-issue.ts";
import { type Environment, readEnvironment } from "./environment.ts";
import type { GivenWorker, WorkerOrigin } from "./given-workers.ts";
import { coerce, flagName, splitList } from "./options.ts";
import { noticesOn } from "./notices.ts";
import { type Config, type ConfigKey, configSchema } from "./schema.ts";
import { threadCount } from "./thread-count.ts";

/** The given command line: option values as text, and the workers of all flags that name some. */
export interface GivenFlags {
  readonly values: ReadonlyMap<ConfigKey, string | boolean | readonly string[]>;
  /** URLs of regular workers, or workers with more details from a flag. */
  readonly workers: readonly (string | GivenWorker)[];
  /** The flag that the user wrote, where it is not the option's own name. */
  readonly names?: ReadonlyMap<ConfigKey, string>;
  /** Mistakes in the words of the command line. */
  readonly problems?: readonly ConfigProblem[];
  /** Notices about flags that are accepted and change nothing. */
  readonly notices?: readonly string[];
}

export type { GivenWorker } from "./given-workers.ts";

/** Everything that a configuration is merged from. */
export interface ConfigSources {
  /** Path of the file, as the user gave it. */
  readonly file?: string | undefined;
  /** The text that stands in for the file: then none is read. */
  readonly document?: ConfigText | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly flags: GivenFlags;
  /** Further checks, which the schema cannot make. */
  readonly check?: (config: Config) => readonly Complaint[];
}

/** A text of configuration, and what messages call it. */
export interface ConfigText {
  readonly name: string;
  readonly text: string;
}

export interface LoadedConfig {
  readonly config: Config;
  /** The text of the file; undefined where there is none. */
  readonly document: ConfigText | undefined;
  /** Notices for the operator: settings that the gateway takes in another way than they were given. */
  readonly notices: readonly string[];
}

/** A command line without flags. */
export const NO_FLAGS: GivenFlags = { values: new Map(), workers: [] };

/** Merges flags over environment over file over defaults. Throws ConfigError with all mistakes. */
export function loadConfig({
  file: flagFile,
  document: given,
  env,
  flags,
  check = () => [],
}: ConfigSources): LoadedConfig {
  const environment = readEnvironment(env);
  const problems = [...(flags.problems ?? []), ...environment.problems];
  const document = given ?? tryRead(flagFile ?? environment.file, problems);
  const file = document === "unreadable" ? document : document && tryParse(document, problems);
  const merged = merge(file, environment, flags);
  const locate = locator(file, merged.origins, merged.named, merged.listed);
  const { complaints, config, indexOf } = judge(merged.values);
  const wrong = [...complaints];
  // The unreadable file may have the missing options.
  if (config && file !== "unreadable") {
    for (const complaint of [...checkConfig(config), ...check(config)]) {
      wrong.push({ ...complaint, path: indexOf(complaint.path) });
    }
  }
  const told = new Set(problems.map(({ where }) => where));
  problems.push(...wrong.map(locate).filter(({ where }) => !(told.has(where) && where.includes(":"))));
  if (complaints.length === MAX_COMPLAINTS) problems.push({ where: "config", message: "and more is wrong" });
  throwProblems(problems);
  if (!config) throw new ConfigError("config", "the configuration is not valid");
  const { config: keyed, notices } = withWorkers(config, merged);
  return {
    config: { ...keyed, threads: threadCount(keyed.threads) },
    document: typeof document === "object" ? document : undefined,
    notices: [
      ...environment.notices,
      ...(flags.notices ?? []),
      ...urlNotices(merged.values["initialWorkers"]),
      ...notices,
      ...noticesOn(config, merged.values),
    ],
  };
}

/** The merged values of all sources, before the checks. */
interface Merged {
  readonly values: RawObject;
  /** The flag or variable of each option that was set by one. */
  readonly origins: ReadonlyMap<string, string>;
  /** Workers of variables and then of flags. They stand at the end of the list, after `listed` others. */
  readonly named: readonly GivenWorker[];
  readonly listed: number;
  /** How many of `named` come from variables. */
  readonly inEnvironment: number;
}

function tryRead(path: string | undefined, problems: ConfigProblem[]): ConfigText | "unreadable" | undefined {
  if (path === undefined) return undefined;
  return orUnreadable(problems, () => ({ name: path, text: readConfigText(path) }));
}

function tryParse({ name, text }: ConfigText, problems: ConfigProblem[]): ConfigFile | "unreadable" {
  return orUnreadable(problems, () => {
    const file = parseConfigFile(name, text);
    problems.push(...file.problems);
    return file;
  });
}

function orUnreadable<T>(problems: ConfigProblem[], read: () => T): T | "unreadable" {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
    return "unreadable";
  }
}

function merge(file: ConfigFile | "unreadable" | undefined, environment: Environment, flags: GivenFlags): Merged {
  const values: RawObject = typeof file === "object" ? { ...file.values } : {};
  const origins = new Map<string, string>();
  for (const { key, name, value } of environment.values) {
    values[key] = value;
    origins.set(key, name);
  }
  for (const [key, given] of flags.values) {
    values[key] = fromFlag(key, given);
    origins.set(key, flags.names?.get(key) ?? flagName(key));
  }
  const list = environment.workers === undefined ? (values["initialWorkers"] ?? []) : [];
  const ofEnvironment = environment.workers ?? [];
  const named = [
    ...ofEnvironment,
    ...flags.workers.map((worker) => (typeof worker === "string" ? { flag: "--worker", url: worker } : worker)),
  ];
  // The schema refuses a value that is not a list.
  if (!Array.isArray(list)) return { values, origins, named: [], listed: 0, inEnvironment: 0 };
  const entries: unknown[] = [...list, ...named.map(({ flag: _flag, ...worker }) => worker)];
  values["initialWorkers"] = entries;
  return { values, origins, named, listed: list.length, inEnvironment: ofEnvironment.length };
}

function fromFlag(key: ConfigKey, given: string | boolean | readonly string[]): unknown {
  if (typeof given === "boolean") return given;
  return typeof given === "string" ? coerce(key, given) : given.flatMap(splitList);
}

/** Returns a function that turns a complaint into a line: the place of the value, and the rest of the sentence. */
function locator(
  file: ConfigFile | "unreadable" | undefined,
  origins: Merged["origins"],
  named: Merged["named"],
  listed: number,
): (complaint: Complaint) => ConfigProblem {
  return (complaint) => {
    const [key, index, part] = complaint.path;
    if (key === "initialWorkers" && typeof index === "number" && index >= listed) {
      const flag = named[index - listed]?.flag ?? "--worker";
      return { where: flag, message: sentence(complaint, part === "url" ? 3 : 2) };
    }
    const origin = origins.get(String(key));
    if (origin !== undefined) return { where: origin, message: sentence(complaint, complaint.path.length) };
    const { path, unknownKey } = complaint;
    const inFile = typeof file === "object" ? file : undefined;
    const where = unknownKey === undefined ? inFile?.locate(path) : inFile?.locateKey(path, unknownKey);
    return { where: where ?? "config", message: sentence(complaint) };
  };
}

interface Judged {
  readonly complaints: readonly Complaint[];
  /** undefined where even the valid values alone make no configuration. */
  readonly config: Config | undefined;
  /** Maps a path in `config` to the path in the given values, because `config` does not have invalid list entries. */
  readonly indexOf: (path: readonly PropertyKey[]) => readonly PropertyKey[];
}

/** Checks the values by the schema. If some are invalid, it checks the rest without them, so that all mistakes come out together. */
function judge(values: RawObject): Judged {
  const result = configSchema.safeParse(values);
  if (result.success) return { complaints: [], config: result.data, indexOf: (path) => path };
  const complaints = complaintsOf(result.error.issues, configSchema, values);
  const rest = { ...values };
  const wrongEntries = new Map<string, Set<number>>();
  for (const { path, unknownKey } of complaints) {
    const [key = unknownKey ?? "", index] = path;
    const entries = wrongEntries.get(String(key)) ?? new Set<number>();
    if (typeof index === "number") wrongEntries.set(String(key), entries.add(index));
    else delete rest[String(key)];
  }
  const kept = new Map<string, number[]>();
  for (const [key, wrong] of wrongEntries) {
    const list = rest[key];
    if (!Array.isArray(list)) continue;
    kept.set(
      key,
      [...list.keys()].filter((index) => !wrong.has(index)),
    );
    rest[key] = list.filter((_entry, index) => !wrong.has(index));
  }
  return {
    complaints,
    config: configSchema.safeParse(rest).data,
    indexOf: ([key, index, ...more]) => {
      const original = typeof index === "number" ? kept.get(String(key))?.[index] : undefined;
      return [key, original ?? index, ...more].filter((part) => part !== undefined);
    },
  };
}

/**
 * Sets the source of each worker. Gives workers without a key the `worker_api_key`; without one, workers of flags and variables
 * get the `api_key`, if that is a flag or a variable too. A file gives each worker its own key.
 */
function withWorkers(
  config: Config,
  { origins, named, listed, inEnvironment }: Merged,
): Pick<LoadedConfig, "config" | "notices"> {
  const inherited = origins.has("apiKey") && named.length > 0 ? config.apiKey : undefined;
  const keyOf = (index: number): Config["workerApiKey"] =>
    config.workerApiKey ?? (index < listed ? undefined : inherited);
  const sourceOf = (index: number): WorkerOrigin => {
    if (index < listed) return "file";
    return index < listed + inEnvironment ? "environment" : "command_line";
  };
  const initialWorkers = config.initialWorkers.map((worker, index) => {
    const apiKey = worker.apiKey ?? keyOf(index);
    return { ...worker, source: sourceOf(index), ...(apiKey === undefined ? {} : { apiKey }) };
  });
  const isSaid = inherited !== undefined && config.workerApiKey === undefined;
  const notice = `${origins.get("apiKey")} is also sent to the workers that ${named[0]?.flag} names; --worker-api-key gives them another key`;
  return { config: { ...config, initialWorkers }, notices: isSaid ? [notice] : [] };
}

function urlNotices(workers: unknown): string[] {
  if (!Array.isArray(workers)) return [];
  return workers.flatMap((worker: unknown) => {
    const url = isRecord(worker) ? worker["url"] : undefined;
    return typeof url === "string" ? (leftOutNotice(url) ?? []) : [];
  });
}
