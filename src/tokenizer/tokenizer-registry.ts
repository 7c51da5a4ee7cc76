import { asGatewayError, GatewayError } from "../errors/errors.ts";
import { loadTokenizer, loadTokenizerFiles, type LoadOptions } from "./load/load-tokenizer.ts";
import type { Tokenizer } from "./tokenizer.ts";
import type { TokenizerFiles } from "./load/tokenizer-files.ts";

export type TokenizerSource = LoadOptions &
  (
    | { readonly path: string }
    /** `key` names the files, as the SHA-256 of their archive does: those of one key are loaded once. */
    | { readonly files: TokenizerFiles; readonly key: string }
  );

/** What is told of a tokenizer to whoever asks. */
export interface TokenizerInfo {
  readonly id: string;
  /** Model that it is for. */
  readonly name: string;
  /** Path or key that it came from. */
  readonly source: string;
  readonly status: "processing" | "completed" | "failed";
  readonly vocabSize?: number;
  readonly error?: string;
}

/** A tokenizer that was named by its path, or one that was taken away: what other threads have to know. */
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
  /** Of one that was named by its path. */
  change?: TokenizerChange;
  readonly loadKey: string;
  readonly load: Load;
}

interface RegistryOptions {
  /** For tests. */
  readonly load?: (source: TokenizerSource) => Promise<Tokenizer>;
}

/**
 * Tokenizers by the id of their model. Each source is loaded once, however many models name it and however many ask at
 * once; it is disposed of with the last of them, or with the registry.
 */
export class TokenizerRegistry {
  readonly #entries = new Map<string, Entry>();
  readonly #loads = new Map<string, Load>();
  readonly #load: (source: TokenizerSource) => Promise<Tokenizer>;
  readonly #listeners = new Set<(change: TokenizerChange) => void>();

  constructor(options: RegistryOptions = {}) {
    this.#load = options.load ?? loadFrom;
  }

  /** Calls back after each change that is not one thread's own. The returned function stops it. */
  onChange(listener: (change: TokenizerChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** As on another thread. */
  apply(change: TokenizerChange): void {
    if (change.kind === "removed") this.remove(change.name);
    else if (!this.#entries.has(change.name)) {
      const { name, path, chatTemplate } = change;
      this.add(name, chatTemplate === undefined ? { path } : { path, chatTemplate });
    }
  }

  /** Begins to load. Throws `invalid_request` with status 409 where the model has one; one that failed is replaced. */
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

  /** What a thread that begins has to know. */
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
      // Another try reads the source again.
      if (this.#loads.get(entry.loadKey) === entry.load) this.#loads.delete(entry.loadKey);
    }
  }

  /** The tokenizer of a model, if it is loaded. */
  get(name: string): Tokenizer | undefined {
    return this.#entries.get(name)?.tokenizer;
  }

  /** Waits for one that is being loaded. Rejects with what went wrong; undefined where there is none of this name. */
  async whenLoaded(name: string): Promise<Tokenizer | undefined> {
    return this.#entries.get(name)?.load.promise;
  }

  /** By id or name. */
  info(idOrName: string): TokenizerInfo | undefined {
    return this.#find(idOrName)?.info;
  }

  list(): readonly TokenizerInfo[] {
    return [...this.#entries.values()].map((entry) => entry.info);
  }

  /** By id or name; whether there was one. What is still loading is dropped when it is there. */
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
      () => undefined, // What did not load holds nothing.
    );
  }
}

function sourceName(source: TokenizerSource): string {
  return "path" in source ? source.path : source.key;
}

function loadFrom(source: TokenizerSource): Promise<Tokenizer> {
  return "path" in source ? loadTokenizer(source.path, source) : loadTokenizerFiles(source.files, source);
}
