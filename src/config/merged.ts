import type { ConfigFile, RawObject } from "./config-file.ts";
import type { ConfigProblem } from "./config-error.ts";
import { type Complaint, sentence } from "./describe-issue.ts";
import type { Environment } from "./environment.ts";
import type { GivenWorker } from "./given-workers.ts";
import { coerce, flagName, splitList } from "./options.ts";
import { partnerOf } from "./secret-files.ts";
import type { ConfigKey } from "./schema.ts";

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

/** The merged values of all sources, before the checks. */
export interface Merged {
  readonly values: RawObject;
  /** The flag or variable of each option that was set by one. */
  readonly origins: ReadonlyMap<string, string>;
  /** Workers of variables and then of flags. They stand at the end of the list, after `listed` others. */
  readonly named: readonly GivenWorker[];
  readonly listed: number;
  /** How many of `named` come from variables. */
  readonly inEnvironment: number;
}

/** Merges flags over environment over file. `problems` gets options that are given twice in one place. */
export function merge(
  file: ConfigFile | undefined,
  environment: Environment,
  flags: GivenFlags,
  problems: ConfigProblem[],
): Merged {
  const values: RawObject = { ...file?.values };
  const origins = new Map<string, string>();
  const set = (given: ReadonlyMap<ConfigKey, string>, key: ConfigKey, value: unknown): void => {
    const name = given.get(key) ?? flagName(key);
    const partner = partnerOf(key);
    if (partner !== undefined) {
      const beside = given.get(partner);
      if (beside !== undefined)
        problems.push({ where: name, message: `stands beside ${beside}: one of them is enough` });
      delete values[partner];
      origins.delete(partner);
    }
    values[key] = value;
    origins.set(key, name);
  };
  const variables = new Map(environment.values.map(({ key, name }) => [key, name]));
  for (const { key, value } of environment.values) set(variables, key, value);
  const names = new Map([...flags.values.keys()].map((key) => [key, flags.names?.get(key) ?? flagName(key)]));
  for (const [key, given] of flags.values) set(names, key, fromFlag(key, given));
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
export function locator(
  file: ConfigFile | undefined,
  { origins, named, listed }: Merged,
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
    const where = unknownKey === undefined ? file?.locate(path) : file?.locateKey(path, unknownKey);
    return { where: where ?? "config", message: sentence(complaint) };
  };
}

/** Says where a value is from: `file:line:column`, with its variables; a flag; the name of a variable; `default`. */
export type OriginOf = (path: readonly PropertyKey[]) => string;

/** Returns a function that says where values are from. */
export function originsIn(file: ConfigFile | undefined, { origins, named, listed }: Merged): OriginOf {
  const origin = (path: readonly PropertyKey[]): string | undefined => {
    const [key = "", index] = path;
    if (key === "initialWorkers" && typeof index === "number" && index >= listed) {
      return named[index - listed]?.flag ?? "--worker";
    }
    const given = origins.get(String(key));
    if (given !== undefined || !file || !file.has(path)) return given;
    const variables = file.variablesAt(path);
    return variables.length === 0 ? file.locate(path) : `${file.locate(path)}, ${variables.join(" and ")}`;
  };
  return (path) => {
    const found = origin(path);
    if (found !== undefined) return found;
    // A secret may be in a file that the option beside it names.
    const named = origin([...path.slice(0, -1), `${String(path.at(-1))}File`]);
    return named === undefined ? "default" : `${named}, the file named there`;
  };
}
