import { keysOf } from "../util/objects.ts";
import { closest } from "../util/suggest.ts";
import type { WorkerType } from "../util/worker-type.ts";
import type { ConfigProblem } from "./config-error.ts";
import { type GivenWorker, givenWorkers, WORKER_FLAGS } from "./given-workers.ts";
import { coerce, envName, envNameOfFlag, flagNames } from "./options.ts";
import { type ConfigKey, configSchema, optionMeta } from "./schema.ts";

export interface EnvironmentValue {
  readonly key: ConfigKey;
  /** Name of the variable. */
  readonly name: string;
  readonly value: unknown;
}

/** The options that environment variables set. */
export interface Environment {
  readonly values: readonly EnvironmentValue[];
  /** undefined where no variable names workers. */
  readonly workers: readonly GivenWorker[] | undefined;
  /** Path of the configuration file. */
  readonly file: string | undefined;
  readonly problems: readonly ConfigProblem[];
  /** Notices about variables that look like options and are ignored. */
  readonly notices: readonly string[];
}

const PREFIX = "POINTSMAN_";
const FILE_NAME = `${PREFIX}CONFIG`;

/** Keys of options by their names: the key in the file, and each flag. */
const KEYS_BY_NAME: ReadonlyMap<string, ConfigKey> = new Map(
  keysOf(configSchema.shape).flatMap((key): [string, ConfigKey][] =>
    key === "initialWorkers" ? [] : [envName(key), ...flagNames(key).map(envNameOfFlag)].map((name) => [name, key]),
  ),
);

const WORKER_NAMES: ReadonlyMap<string, WorkerType> = new Map([
  [envName("initialWorkers"), "regular"],
  ...[...WORKER_FLAGS].map(([flag, type]) => [envNameOfFlag(flag), type] as const),
]);

const NAMES = [...KEYS_BY_NAME.keys(), ...WORKER_NAMES.keys(), FILE_NAME];

/**
 * Kubernetes sets these variables in each container for each service. For a service named `pointsman` they have our prefix:
 * POINTSMAN_PORT is then `tcp://10.0.0.1:30000`. So an unknown variable cannot be an error.
 */
const SERVICE_LINK_NAME = /_SERVICE_(HOST|PORT)|_PORT_\d+_/;
const SERVICE_LINK_VALUE = /^(tcp|udp|sctp):\/\//;

/** Reads the options among the environment variables. An empty variable counts as not set. */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): Environment {
  const values = new Map<ConfigKey, EnvironmentValue>();
  const workers: GivenWorker[] = [];
  const problems: ConfigProblem[] = [];
  const notices: string[] = [];
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith(PREFIX) || text === undefined || text === "" || name === FILE_NAME) continue;
    const key = KEYS_BY_NAME.get(name);
    const type = WORKER_NAMES.get(name);
    if (isServiceLink(name, text)) {
      if (key !== undefined) notices.push(serviceLinkNotice(name, key));
    } else if (type !== undefined) workers.push(...givenWorkers(name, type, [text]));
    else if (key === undefined) notices.push(unknownNotice(name));
    else {
      const problem = cannotBeSet(name, key, text, values.get(key));
      if (problem) problems.push(problem);
      else values.set(key, { key, name, value: coerce(key, text) });
    }
  }
  return {
    values: [...values.values()],
    workers: workers.length > 0 ? workers : undefined,
    file: env[FILE_NAME] === "" ? undefined : env[FILE_NAME],
    problems,
    notices,
  };
}

function isServiceLink(name: string, text: string): boolean {
  return SERVICE_LINK_NAME.test(name) || (name.endsWith("_PORT") && SERVICE_LINK_VALUE.test(text));
}

function serviceLinkNotice(name: string, key: ConfigKey): string {
  const [flag = ""] = flagNames(key);
  return `${name} is set by Kubernetes for a service of that name and is not taken; ${flag} gives the port`;
}

function unknownNotice(name: string): string {
  const near = closest(
    name.slice(PREFIX.length),
    NAMES.map((known) => known.slice(PREFIX.length)),
  );
  return `${name} is no option and is not taken${near === undefined ? "" : `; did you mean ${PREFIX}${near}?`}`;
}

function cannotBeSet(
  name: string,
  key: ConfigKey,
  text: string,
  before: EnvironmentValue | undefined,
): ConfigProblem | undefined {
  if (optionMeta(key).fileOnly === true) {
    return { where: name, message: "has more structure than a variable can hold; it is set in the file (--config)" };
  }
  if (before && JSON.stringify(before.value) !== JSON.stringify(coerce(key, text))) {
    return { where: name, message: `says something else than ${before.name}, and both are the same option` };
  }
  return undefined;
}
