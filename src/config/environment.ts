import { keysOf } from "../util/objects.ts";
import { closest } from "../util/suggest.ts";
import { coerce, envName, splitList } from "./options.ts";
import { type ConfigKey, configSchema } from "./schema.ts";

export interface EnvironmentValue {
  readonly key: ConfigKey;
  /** Of the variable. */
  readonly name: string;
  readonly value: unknown;
}

export interface Environment {
  readonly values: readonly EnvironmentValue[];
  /** Sentences on variables that look like ours and are not taken. */
  readonly notices: readonly string[];
}

const PREFIX = "POINTSMAN_";

const KEYS_BY_NAME: ReadonlyMap<string, ConfigKey> = new Map(
  keysOf(configSchema.shape).map((key) => [envName(key), key]),
);

/**
 * Kubernetes sets these in each container for each service, and for one named `pointsman` they begin as ours do:
 * POINTSMAN_PORT is then `tcp://10.0.0.1:30000`. So a name that is not ours cannot be an error.
 */
const SERVICE_LINK_NAME = /_SERVICE_(HOST|PORT)|_PORT_\d+_/;
const SERVICE_LINK_VALUE = /^(tcp|udp|sctp):\/\//;

/** The options among the variables. An empty variable counts as not set. */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): Environment {
  const values: EnvironmentValue[] = [];
  const notices: string[] = [];
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith(PREFIX) || text === undefined || text === "") continue;
    const key = KEYS_BY_NAME.get(name);
    if (key === "port" && SERVICE_LINK_VALUE.test(text)) {
      notices.push(`${name} is set by Kubernetes for a service of that name and is not taken; --port gives the port`);
    } else if (key !== undefined) {
      values.push({ key, name, value: valueOf(key, text) });
    } else if (!SERVICE_LINK_NAME.test(name)) {
      const near = closest(name.slice(PREFIX.length), [...KEYS_BY_NAME.keys()].map(withoutPrefix));
      if (near !== undefined) notices.push(`${name} is no option and is not taken; did you mean ${PREFIX}${near}?`);
    }
  }
  return { values, notices };
}

function valueOf(key: ConfigKey, text: string): unknown {
  // A worker is an address here; more of it takes the file.
  return key === "initialWorkers" ? splitList(text).map((url) => ({ url })) : coerce(key, text);
}

function withoutPrefix(name: string): string {
  return name.slice(PREFIX.length);
}
