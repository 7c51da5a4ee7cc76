import { ApiError } from "../../src/kubernetes/api-client.ts";
import type { ObjectReader } from "../../src/kubernetes/list-watch.ts";

export interface FakeObject {
  readonly metadata: {
    readonly uid: string;
    readonly resourceVersion: string;
    readonly name: string;
    [key: string]: unknown;
  };
  readonly [key: string]: unknown;
}

interface OpenWatch {
  readonly path: string;
  readonly from: string;
  readonly lines: unknown[];
  wake: () => void;
  end: Error | "over" | undefined;
}

/**
 * An API server in this process whose watches the test writes, so that it can tell the truth, be late, say things twice, or fail.
 * Lists are always true.
 */
export class FakeApi implements ObjectReader {
  readonly objects = new Map<string, FakeObject>();
  readonly watches: OpenWatch[] = [];
  /** What was listed, by path. */
  readonly lists: string[] = [];
  /** The next requests fail with it. */
  failure: ApiError | undefined;
  /** Requests for these paths fail with it. */
  readonly failures = new Map<string, ApiError>();
  /** Most objects of one page of a list. */
  pageSize = Number.POSITIVE_INFINITY;
  #version = 100;

  /** Adds or changes an object, and returns it at its new version; watches are not told. */
  put(uid: string, rest: Record<string, unknown> = {}, metadata: Record<string, unknown> = {}): FakeObject {
    this.#version += 1;
    const object = { ...rest, metadata: { name: uid, ...metadata, uid, resourceVersion: String(this.#version) } };
    this.objects.set(uid, object);
    return object;
  }

  remove(uid: string): FakeObject {
    const object = this.objects.get(uid);
    if (!object) throw new Error(`there is no ${uid}`);
    this.objects.delete(uid);
    this.#version += 1;
    return { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } };
  }

  get(path: string, query: Readonly<Record<string, string>>): Promise<unknown> {
    const failure = this.failure ?? this.failures.get(path);
    if (failure) return Promise.reject(failure);
    this.lists.push(path);
    const from = Number(query["continue"] ?? 0);
    const all = [...this.objects.values()].filter((object) => isChosen(object, query["labelSelector"] ?? ""));
    const next = from + this.pageSize < all.length ? String(from + this.pageSize) : "";
    const items = all.slice(from, from + Math.min(this.pageSize, all.length));
    return Promise.resolve({ metadata: { resourceVersion: String(this.#version), continue: next }, items });
  }

  open(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<AsyncIterable<unknown>> {
    const failure = this.failure ?? this.failures.get(path);
    if (failure) return Promise.reject(failure);
    const watch: OpenWatch = {
      path,
      from: query["resourceVersion"] ?? "",
      lines: [],
      wake: () => undefined,
      end: undefined,
    };
    this.watches.push(watch);
    signal.addEventListener("abort", () => this.#end(watch, new ApiError(0, "aborted")), { once: true });
    return Promise.resolve(linesOf(watch));
  }

  /** Says something on the newest watch, or on the newest of a path. */
  say(type: string, object: unknown, path?: string): void {
    const watch = this.watches.findLast((one) => one.end === undefined && one.path === (path ?? one.path));
    if (!watch) throw new Error("nobody watches");
    watch.lines.push({ type, object });
    watch.wake();
  }

  /** Ends all watches: as a server does after its time, or as a connection that breaks. */
  endWatches(how: Error | "over"): void {
    for (const watch of this.watches) this.#end(watch, how);
  }

  #end(watch: OpenWatch, how: Error | "over"): void {
    watch.end ??= how;
    watch.wake();
  }
}

/** Whether the object has the labels of a selector such as `app=vllm,tier=gpu`. One that has no labels at all is chosen by each. */
function isChosen({ metadata }: FakeObject, selector: string): boolean {
  const { labels } = metadata;
  if (labels === undefined || selector === "") return true;
  return selector.split(",").every((term) => {
    const [key = "", value] = term.split("=");
    return Object(labels)[key] === value;
  });
}

async function* linesOf(watch: OpenWatch): AsyncGenerator {
  for (;;) {
    const line = watch.lines.shift();
    if (line !== undefined) yield line;
    else if (watch.end === "over") return;
    else if (watch.end) throw watch.end;
    else {
      const { promise, resolve } = Promise.withResolvers<void>();
      watch.wake = resolve;
      await promise;
    }
  }
}
