import { z } from "zod";
import type { Clock } from "../util/clock.ts";
import { pause } from "../util/pause.ts";
import { ApiError } from "./api-client.ts";

/** The part of ApiClient that a ListWatch needs. */
export interface ObjectReader {
  get(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<unknown>;
  /** Resolves when the server has taken the watch. */
  open(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<AsyncIterable<unknown>>;
}

/** Objects of one page of a list. */
const PAGE = 500;
/** The server ends a watch after this time, s, and the gateway goes on from where it was. Watches of several gateways do not end together. */
const WATCH_SECS = { least: 240, more: 60 };
/** A watch that the server has not ended by then is dead: its connection broke without a word, s. */
const OVERDUE_SECS = 20;

/** A server that ends each watch at once is asked no more often than this, ms. */
const LEAST_MS = 1000;

/** Objects that have left and are remembered: late news is of some of the last ones. */
const MOST_LEFT = 10_000;

const meta = z.looseObject({ resourceVersion: z.string().default(""), continue: z.string().optional() });
/** Servers written in Go may write a list without items as null. */
const listBody = z.looseObject({ metadata: meta, items: z.array(z.unknown()).nullish() });
const objectBody = z.looseObject({ metadata: z.looseObject({ uid: z.string(), resourceVersion: z.string() }) });
const eventBody = z.looseObject({ type: z.string(), object: z.unknown() });
const goneBody = z.looseObject({ code: z.number().optional(), message: z.string().optional() });

export interface ListWatchParts<T> {
  readonly api: ObjectReader;
  readonly clock: Clock;
  readonly random: () => number;
  /** Path of the collection, such as `/api/v1/namespaces/default/pods`. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** Reads one object; undefined where it is none of this kind. */
  readonly read: (object: unknown) => T | undefined;
  /** The objects are other ones than before, or the server is there again after it was away. */
  readonly onChange: () => void;
}

/**
 * What a collection of the API server holds: listed once, then kept by a watch (kubernetes.io, "Efficient detection of changes").
 * Events only update the set; whoever reads it sees the state, so a lost, doubled or late event does no more than delay.
 *
 * A watch that ends, or breaks, is taken up at the version that was seen last. Where the server no longer knows that version (410), the
 * collection is listed again. Nothing is forgotten while the server is away.
 */
export class ListWatch<T> {
  readonly #parts: ListWatchParts<T>;
  /** By uid. */
  #objects = new Map<string, Kept<T>>();
  /** Versions at which objects left, by uid, the latest of them: what is said of an older version is late. One that is chosen again, because its labels have changed, is of a newer one. */
  #left = new Map<string, string>();
  /** The last watch broke. */
  #isAway = false;
  /** Version up to which the objects are known; undefined before the first list. */
  #version: string | undefined;
  #heardAt: number | undefined;

  constructor(parts: ListWatchParts<T>) {
    this.#parts = parts;
  }

  /** Whether the collection was listed once. */
  get isListed(): boolean {
    return this.#version !== undefined;
  }

  /** When the server last said how the collection is: a list, a watch that it took, an event or a bookmark; in ms of the clock. */
  get heardAt(): number | undefined {
    return this.#heardAt;
  }

  values(): T[] {
    return Array.from(this.#objects.values(), ({ value }) => value);
  }

  /** Follows the collection until the signal aborts. Rejects with ApiError where the server refuses or cannot be reached. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    while (!signal.aborted) {
      const from = clock.now();
      if (this.#version === undefined) await this.#listUnless(signal);
      if (signal.aborted) return;
      await this.#watch(this.#version ?? "", signal);
      const took = clock.now() - from;
      if (took < LEAST_MS) await pause(clock, LEAST_MS - took, signal);
    }
  }

  /** A list that is no longer wanted is no failure. */
  async #listUnless(signal: AbortSignal): Promise<void> {
    try {
      await this.#list(signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { api, path, query } = this.#parts;
    const objects = new Map<string, Kept<T>>();
    this.#left = new Map();
    for (let page: string | undefined = "", version = ""; page !== undefined;) {
      const more: Record<string, string> = page === "" ? {} : { continue: page };
      const body = listBody.parse(await api.get(path, { ...query, limit: String(PAGE), ...more }, signal));
      for (const item of body.items ?? []) this.#put(objects, item);
      version = body.metadata.resourceVersion;
      page = body.metadata.continue === "" ? undefined : body.metadata.continue;
      if (page === undefined) this.#version = version;
    }
    this.#objects = objects;
    this.#heardAt = this.#parts.clock.now();
    this.#parts.onChange();
  }

  /** Returns when the watch has ended in a usual way. */
  async #watch(version: string, signal: AbortSignal): Promise<void> {
    const { api, clock, random, path, query } = this.#parts;
    const secs = WATCH_SECS.least + Math.floor(random() * WATCH_SECS.more);
    const overdue = new AbortController();
    const cancel = clock.after((secs + OVERDUE_SECS) * 1000, () => overdue.abort());
    const asked = {
      ...query,
      watch: "true",
      allowWatchBookmarks: "true",
      resourceVersion: version,
      timeoutSeconds: String(secs),
    };
    try {
      const lines = await api.open(path, asked, AbortSignal.any([signal, overdue.signal]));
      this.#onOpen();
      for await (const line of lines) {
        if (this.#take(line) === "expired") return;
      }
    } catch (error) {
      if (signal.aborted || overdue.signal.aborted) return;
      const status = error instanceof ApiError ? error.status : 0;
      // 504: the server, restored from a backup, does not know the version yet ("Too large resource version"), and may never know it.
      if (status === 410 || status === 504) this.#version = undefined;
      if (status === 410) return;
      this.#isAway = true;
      throw error;
    } finally {
      cancel();
    }
  }

  #onOpen(): void {
    this.#heardAt = this.#parts.clock.now();
    if (!this.#isAway) return;
    this.#isAway = false;
    this.#parts.onChange();
  }

  /** Takes one event. `expired`: the server no longer knows the version, so the collection is listed anew. */
  #take(line: unknown): "taken" | "expired" {
    const { type, object } = eventBody.parse(line);
    if (type === "ERROR") {
      const { code, message } = goneBody.parse(object);
      if (code !== 410) throw new ApiError(code ?? 0, `${this.#parts.path}: ${message ?? "the watch failed"}`);
      this.#version = undefined;
      return "expired";
    }
    this.#heardAt = this.#parts.clock.now();
    if (type === "BOOKMARK") this.#version = z.looseObject({ metadata: meta }).parse(object).metadata.resourceVersion;
    else {
      const { uid, resourceVersion } = objectBody.parse(object).metadata;
      if (!isOlder(resourceVersion, this.#version ?? "")) this.#version = resourceVersion;
      const isChange = type === "DELETED" ? this.#delete(uid, resourceVersion) : this.#put(this.#objects, object);
      if (isChange) this.#parts.onChange();
    }
    return "taken";
  }

  /** Returns whether the object was there. */
  #delete(uid: string, version: string): boolean {
    const known = this.#objects.get(uid);
    // Late news: it was chosen again since, and may have left again.
    if (isOlder(version, known?.version ?? this.#left.get(uid) ?? "")) return false;
    this.#left.delete(uid);
    this.#left.set(uid, version);
    const [oldest = uid] = this.#left.size > MOST_LEFT ? this.#left.keys() : [];
    if (oldest !== uid) this.#left.delete(oldest);
    return this.#objects.delete(uid);
  }

  /** Returns whether the object is new or another one than before. An older state of a known object is a late event, and is left out. */
  #put(objects: Map<string, Kept<T>>, object: unknown): boolean {
    const { uid, resourceVersion } = objectBody.parse(object).metadata;
    const known = objects.get(uid);
    const left = this.#left.get(uid);
    if (left !== undefined && !isOlder(left, resourceVersion)) return false;
    if (known && isOlder(resourceVersion, known.version)) return false;
    const value = this.#parts.read(object);
    if (value === undefined) return objects.delete(uid);
    objects.set(uid, { value, version: resourceVersion });
    return known?.version !== resourceVersion;
  }
}

interface Kept<T> {
  readonly value: T;
  readonly version: string;
}

/** Versions of one collection are whole numbers that grow (kubernetes.io, "Resource versions", from 1.35 on; in fact always). */
function isOlder(one: string, other: string): boolean {
  if (!/^\d+$/.test(one) || !/^\d+$/.test(other)) return false;
  return one.length === other.length ? one < other : one.length < other.length;
}
