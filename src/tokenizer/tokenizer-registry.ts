import { asGatewayError, GatewayError } from "../errors/errors.ts";
import { loadTokenizer, loadTokenizerFiles, type LoadOptions } from "./load-tokenizer.ts";
import type { Tokenizer } from "./tokenizer.ts";
import type { TokenizerFiles } from "./tokenizer-files.ts";

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

interface Load {
  readonly promise: Promise<Tokenizer>;
  users: number;
}

interface Entry {
  info: TokenizerInfo;
  tokenizer?: Tokenizer;
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

  constructor(options: RegistryOptions = {}) {
    this.#load = options.load ?? loadFrom;
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
    return info;
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
