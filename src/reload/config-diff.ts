import { NEEDS_RESTART } from "../config/needs-restart.ts";
import { typeAt } from "../util/wrong-value.ts";
import { defaultOf } from "../config/options.ts";
import { type Config, type ConfigKey, configSchema } from "../config/schema.ts";
import { shown } from "../config/shown-config.ts";
import { snakeCase } from "../util/case.ts";
import { isRecord, keysOf } from "../util/objects.ts";
import { Secret } from "../util/secret.ts";

/** One difference between two configurations. Secrets are never in it: of them it says only that they differ. */
export interface ConfigDifference {
  /** The option. */
  readonly key: ConfigKey;
  /** Its name in the file, and the place within it: `initial_workers[http://a:8000].cost`. */
  readonly path: string;
  readonly kind: "added" | "removed" | "changed";
  /** The values as in a file, without what is as it would be if nothing were written; undefined where there is none. */
  readonly before?: unknown;
  readonly after?: unknown;
  /** Why a running gateway cannot take it; undefined where it can. */
  readonly restart?: string;
}

/** The differences between two configurations, by option in the order of the schema. */
export function differencesOf(before: Config, after: Config): ConfigDifference[] {
  return keysOf(configSchema.shape).flatMap((key) => {
    const found: Found[] = [];
    compare({ path: snakeCase(key), keys: [key] }, before[key], after[key], found);
    const restart = NEEDS_RESTART[key];
    return found.map((one) => ({ key, ...one, ...(restart === undefined ? {} : { restart }) }));
  });
}

type Found = Pick<ConfigDifference, "path" | "kind" | "before" | "after">;

/** Where a value is: in words, and by the keys of the schema. */
interface Place {
  readonly path: string;
  readonly keys: readonly PropertyKey[];
}

function compare({ path, keys }: Place, before: unknown, after: unknown, found: Found[]): void {
  if (isSame(before, after)) return;
  if (isRecord(before) && isRecord(after) && !(before instanceof Secret) && !(after instanceof Secret)) {
    const isLabels = path.endsWith(".labels");
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      const inner = { path: `${path}.${isLabels ? key : snakeCase(key)}`, keys: [...keys, key] };
      // What set a worker is no option.
      if (key !== "source") compare(inner, before[key], after[key], found);
    }
    return;
  }
  if (Array.isArray(before) && Array.isArray(after) && comparesByName(before, after)) {
    compareNamed({ path, keys }, before, after, found);
    return;
  }
  const kind = before === undefined ? "added" : after === undefined ? "removed" : "changed";
  found.push({
    path,
    kind,
    ...(before === undefined ? {} : { before: shown(written(keys, before)) }),
    ...(after === undefined ? {} : { after: shown(written(keys, after)) }),
  });
}

/** A value without the members that have their defaults, which most files do not write. */
function written(keys: readonly PropertyKey[], value: unknown): unknown {
  if (Array.isArray(value)) return value.map((entry: unknown) => written([...keys, 0], entry));
  if (!isRecord(value) || value instanceof Secret) return value;
  const type = typeAt(configSchema, keys);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, inner]) => inner === undefined || !isSame(inner, defaultOf(type, key)))
      .map(([key, inner]) => [key, written([...keys, key], inner)]),
  );
}

/** Members that name an entry of a list, the first that it has. */
const NAMES = ["url", "name", "match", "model"] as const;

function nameOf(entry: unknown): string | undefined {
  if (!isRecord(entry)) return undefined;
  for (const member of NAMES) {
    const name = entry[member];
    if (typeof name === "string") return name;
  }
  return undefined;
}

/** Whether each entry of both lists has a name that no other has. */
function comparesByName(...lists: readonly (readonly unknown[])[]): boolean {
  return lists.every((list) => {
    const names = list.map(nameOf);
    return !names.includes(undefined) && new Set(names).size === names.length;
  });
}

function compareNamed(
  { path, keys }: Place,
  before: readonly unknown[],
  after: readonly unknown[],
  found: Found[],
): void {
  const old = new Map(before.map((entry) => [nameOf(entry), entry]));
  const names = after.map(nameOf);
  const placeOf = (name = ""): Place => ({ path: `${path}[${name}]`, keys: [...keys, 0] });
  for (const [name, entry] of old) if (!names.includes(name)) compare(placeOf(name), entry, undefined, found);
  for (const entry of after) compare(placeOf(nameOf(entry)), old.get(nameOf(entry)), entry, found);
  const kept = names.filter((name) => old.has(name));
  const order = [...old.keys()].filter((name) => names.includes(name));
  // The order decides which pattern or target comes first.
  if (kept.join("\n") !== order.join("\n")) found.push({ path, kind: "changed", before: order, after: kept });
}

function isSame(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (one instanceof Secret || other instanceof Secret) {
    return one instanceof Secret && other instanceof Secret && one.reveal() === other.reveal();
  }
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((entry, index) => isSame(entry, other[index]));
  }
  if (!isRecord(one) || !isRecord(other)) return false;
  return [...new Set([...Object.keys(one), ...Object.keys(other)])].every((key) => isSame(one[key], other[key]));
}

/** A difference as one line of words. */
export function inWords({ path, kind, before, after, restart }: ConfigDifference): string {
  const wait = restart === undefined ? "" : ` (needs a restart: ${restart})`;
  switch (kind) {
    case "added":
      return `+ ${path}: ${text(after)}${wait}`;
    case "removed":
      return `- ${path}: ${text(before)}${wait}`;
    case "changed":
      return text(before) === text(after)
        ? `~ ${path}: another value${wait}`
        : `~ ${path}: ${text(before)} -> ${text(after)}${wait}`;
  }
}

function text(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
