import { asGatewayError, GatewayError } from "../errors/errors.ts";
import type { LoadOptions } from "./load/load-tokenizer.ts";
import type { Tokenizer } from "./tokenizer.ts";
import type { TokenizerFiles } from "./load/tokenizer-files.ts";

/** Where a tokenizer comes from: a path, or files that a worker sent. */
export type TokenizerSource = LoadOptions &
  (
    | { readonly path: string }
    /** `key` identifies the files, like the SHA-256 of their archive. Files with one key are loaded once. */
    | { readonly files: TokenizerFiles; readonly key: string }
  );

/** The public facts of a tokenizer. */
interface TokenizerInfo {
  readonly id: string;
  /** The tokenizer's model. */
  readonly name: string;
  /** Path or key of its source. */
  readonly source: string;
  readonly status: "processing" | "completed" | "failed";
  readonly vocabSize?: number;
  readonly error?: string;
}

/** A change that other threads must know: a tokenizer was named by its path, or removed. */
export type TokenizerChange =
  | { readonly kind: "added"; readonly name: string; readonly path: string; readonly chatTemplate: string | undefined }
  | { readonly kind: "removed"; readonly name: string };

interface Load {
  readonly promise: Promise<Tokenizer>;
  users: number;
}

interface Entry {
  info: TokenizerInfo;
  tokenizer?: Tokenizer;
  /** The change, for a tokenizer that was named by its path. */
  change?: TokenizerChange;
  readonly loadKey: string;
  readonly load: Load;
}

interface RegistryOptions {
  /** Replaces the loader in tests. */
  readonly load?: (source: TokenizerSource) => Promise<Tokenizer>;
}

/**
 * Tokenizers by the id of their model. Several models that name one source share one tokenizer, which is loaded once. It is
 * disposed of with the last of these models, or with the registry.
 */
export class TokenizerRegistry {
  readonly #entries = new Map<string, Entry>();
  readonly #loads = new Map<string, Load>();
  readonly #load: (source: TokenizerSource) => Promise<Tokenizer>;
  readonly #listeners = new Set<(change: TokenizerChange) => void>();

  constructor(options: RegistryOptions = {}) {
    this.#load = options.load ?? loadFrom;
  }

  /** Calls `listener` after each change that other threads must know. The returned function removes it. */
  onChange(listener: (change: TokenizerChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Applies a change of another thread. */
  apply(change: TokenizerChange): void {
    if (change.kind === "removed") this.remove(change.name);
    else if (!this.#entries.has(change.name)) {
      const { name, path, chatTemplate } = change;
      this.add(name, chatTemplate === undefined ? { path } : { path, chatTemplate });
    }
  }

  /** Begins to load a tokenizer. Throws `invalid_request` with status 409 where the model already has one, unless that one failed to load. */
  add(name: string, source: TokenizerSource): TokenizerInfo {
    const present = this.#entries.get(name);
    if (present && present.info.status !== "failed") {
      throw new GatewayError("invalid_request", `there is a tokenizer named ${JSON.stringify(name)}`, {
        param: "name",
        status: 409,
      });
    }
    if (present) this.remove(name);
    const loadKey = JSON.stringify([sourceName(source), source.chatTemplate]);
    const load = this.#loads.get(loadKey) ?? { promise: this.#load(source), users: 0 };
    load.users += 1;
    this.#loads.set(loadKey, load);
    const info = { id: crypto.randomUUID(), name, source: sourceName(source), status: "processing" } as const;
    const entry: Entry = { info, loadKey, load };
    this.#entries.set(name, entry);
    void this.#settle(entry, info);
    if ("path" in source) {
      entry.change = { kind: "added", name, path: source.path, chatTemplate: source.chatTemplate };
      this.#tell(entry.change);
    }
    return info;
  }

  /** The changes that a new thread must apply. */
  named(): readonly TokenizerChange[] {
    return [...this.#entries.values()].flatMap(({ change }) => (change ? [change] : []));
  }

  #tell(change: TokenizerChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  async #settle(entry: Entry, info: TokenizerInfo): Promise<void> {
    try {
      const tokenizer = await entry.load.promise;
      entry.tokenizer = tokenizer;
      entry.info = { ...info, status: "completed", vocabSize: tokenizer.vocabSize };
    } catch (thrown) {
      entry.info = { ...info, status: "failed", error: asGatewayError(thrown).message };
      // The next call of `add` reads the source again.
      if (this.#loads.get(entry.loadKey) === entry.load) this.#loads.delete(entry.loadKey);
    }
  }

  /** The tokenizer of a model, if it is loaded. */
  get(name: string): Tokenizer | undefined {
    return this.#entries.get(name)?.tokenizer;
  }

  /** Waits for a tokenizer that is being loaded. Rejects with the error of the load; resolves to undefined where the model has none. */
  async whenLoaded(name: string): Promise<Tokenizer | undefined> {
    return this.#entries.get(name)?.load.promise;
  }

  /** Looks a tokenizer up by its id or its model. */
  info(idOrName: string): TokenizerInfo | undefined {
    return this.#find(idOrName)?.info;
  }

  list(): readonly TokenizerInfo[] {
    return [...this.#entries.values()].map((entry) => entry.info);
  }

  /** Removes a tokenizer by its id or its model. Returns whether there was one. A tokenizer that is still loading is dropped when it is loaded. */
  remove(idOrName: string): boolean {
    const entry = this.#find(idOrName);
    if (!entry) return false;
    this.#entries.delete(entry.info.name);
    this.#release(entry);
    this.#tell({ kind: "removed", name: entry.info.name });
    return true;
  }

  [Symbol.dispose](): void {
    for (const name of [...this.#entries.keys()]) this.remove(name);
  }

  #find(idOrName: string): Entry | undefined {
    const named = this.#entries.get(idOrName);
    return named ?? [...this.#entries.values()].find((entry) => entry.info.id === idOrName);
  }

  #release({ load, loadKey }: Entry): void {
    load.users -= 1;
    if (load.users > 0) return;
    if (this.#loads.get(loadKey) === load) this.#loads.delete(loadKey);
    load.promise.then(
      (tokenizer) => tokenizer[Symbol.dispose](),
      () => undefined, // A failed load has nothing to dispose of.
    );
  }
}

function sourceName(source: TokenizerSource): string {
  return "path" in source ? source.path : source.key;
}

async function loadFrom(source: TokenizerSource): Promise<Tokenizer> {
  const { loadTokenizer, loadTokenizerFiles } = await import("./load/load-tokenizer.ts");
  return "path" in source ? loadTokenizer(source.path, source) : loadTokenizerFiles(source.files, source);
}
