import { isRecord } from "../util/objects.ts";
import type { Outside } from "./variables.ts";
import { leftOutNotice } from "../util/parse-worker-url.ts";
import { checkConfig } from "./check-config.ts";
import { type ConfigFile, parseConfigFile, readConfigText, type RawObject } from "./config-file.ts";
import { ConfigError, type ConfigProblem, throwProblems } from "./config-error.ts";
import { type Complaint, complaintsOf, MAX_COMPLAINTS } from "./describe-issue.ts";
import { readEnvironment } from "./environment.ts";
import type { WorkerOrigin } from "./given-workers.ts";
import { type GivenFlags, locator, merge, type Merged, type OriginOf, originsIn } from "./merged.ts";
import { noticesOn } from "./notices.ts";
import { type Config, configSchema } from "./schema.ts";
import { readSecretFiles } from "./secret-files.ts";
import { threadCount } from "./thread-count.ts";

export type { GivenWorker } from "./given-workers.ts";

/** Everything that a configuration is merged from. */
export interface ConfigSources {
  /** Path of the file, as the user gave it. */
  readonly file?: string | undefined;
  /** The text that stands in for the file: then none is read. */
  readonly document?: ConfigText | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly flags: GivenFlags;
  /** What the document may take from outside of it, variables as `${NAME}` and files by their paths; undefined: anything. */
  readonly allowed?: ReadonlySet<string> | undefined;
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
  /** What the file takes from outside of it: variables as `${NAME}`, and the paths of files. */
  readonly references: ReadonlySet<string>;
  readonly originOf: OriginOf;
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
  allowed,
  check = () => [],
}: ConfigSources): LoadedConfig {
  const environment = readEnvironment(env);
  const problems = [...(flags.problems ?? []), ...environment.problems];
  const document = given ?? tryRead(flagFile ?? environment.file, problems);
  const parsed = document === "unreadable" ? document : document && tryParse(document, { env, allowed }, problems);
  const file = parsed === "unreadable" ? undefined : parsed;
  const merged = merge(file, environment, flags, problems);
  const locate = locator(file, merged);
  const secrets = readSecretFiles(merged.values, {
    allowed: allowed && new Set([...allowed, ...givenTexts(merged)]),
    // At the start a file is named, and later its text is given.
    isAgain: given !== undefined,
  });
  const { complaints, config, indexOf } = judge(secrets.values);
  const wrong = [...secrets.complaints, ...complaints];
  // The unreadable file may have the missing options.
  if (config && parsed !== "unreadable") {
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
    references: new Set([...(file?.references ?? []), ...secrets.files.map((named) => named.file)]),
    originOf: originsIn(file, merged),
    notices: [
      ...environment.notices,
      ...(flags.notices ?? []),
      ...urlNotices(merged.values["initialWorkers"]),
      ...notices,
      ...noticesOn(config, merged.values),
    ],
  };
}

function tryRead(path: string | undefined, problems: ConfigProblem[]): ConfigText | "unreadable" | undefined {
  if (path === undefined) return undefined;
  return orUnreadable(problems, () => ({ name: path, text: readConfigText(path) }));
}

function tryParse({ name, text }: ConfigText, outside: Outside, problems: ConfigProblem[]): ConfigFile | "unreadable" {
  return orUnreadable(problems, () => {
    const file = parseConfigFile(name, text, outside);
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
  const from = origins.get("apiKey") ?? origins.get("apiKeyFile");
  const inherited = from !== undefined && named.length > 0 ? config.apiKey : undefined;
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
  const notice = `${from} is also sent to the workers that ${named[0]?.flag} names; --worker-api-key gives them another key`;
  return { config: { ...config, initialWorkers }, notices: isSaid ? [notice] : [] };
}

/** The texts that variables and flags give. */
function givenTexts({ values, origins }: Merged): string[] {
  return [...origins.keys()].flatMap((key) => {
    const value = values[key];
    return typeof value === "string" ? [value] : [];
  });
}

function urlNotices(workers: unknown): string[] {
  if (!Array.isArray(workers)) return [];
  return workers.flatMap((worker: unknown) => {
    const url = isRecord(worker) ? worker["url"] : undefined;
    return typeof url === "string" ? (leftOutNotice(url) ?? []) : [];
  });
}
