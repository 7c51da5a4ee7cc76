import type { Config } from "../config/schema.ts";
import { specOf } from "../config/worker-config.ts";
import { readWorkersFile } from "../config/workers-file.ts";
import type { LiveConfig } from "../reload/live-config.ts";
import { FILE_SOURCE, FileSource, type FileSourceParts, type FileWish } from "../worker/sources/file-source.ts";
import type { WorkerSources } from "../worker/sources/worker-sources.ts";
import { FILE_KEYS, WORKER_KEYS } from "./live-keys.ts";

export interface WorkersFileParts extends FileSourceParts {
  readonly workerSources: Pick<WorkerSources, "follow">;
}

/** Follows the file of workers that the configuration names, and takes changes of its name. */
export function followWorkersFile({
  config,
  live,
  ...parts
}: WorkersFileParts & { readonly config: Config; readonly live: Pick<LiveConfig, "register"> }): void {
  const file = new FollowedFile(parts);
  file.want(config);
  // Workers without a key have that of the configuration.
  live.register({ name: "workers' file", keys: [...FILE_KEYS, ...WORKER_KEYS], apply: (next) => file.want(next) });
}

/** The file of workers that the configuration names. Where it no longer names one, its source stays, and wants nothing. */
export class FollowedFile {
  readonly #parts: WorkersFileParts;
  #source: FileSource | undefined;
  #wanted: Pick<Config, "workersFile" | "workerApiKey"> = {};

  constructor(parts: WorkersFileParts) {
    this.#parts = parts;
  }

  /** Wants the workers of this configuration's file, and of no other. */
  want(config: Config): void {
    const { workersFile: path, workerApiKey } = config;
    const before = this.#wanted;
    if (path === before.workersFile && workerApiKey?.reveal() === before.workerApiKey?.reveal()) return;
    this.#wanted = { workersFile: path, workerApiKey };
    if (path === undefined && !this.#source) return;
    const wish = path === undefined ? undefined : wishOf(path, config);
    if (this.#source) this.#source.want(wish);
    else {
      this.#source = new FileSource(this.#parts);
      this.#source.want(wish);
      this.#parts.workerSources.follow(this.#source);
    }
  }
}

function wishOf(path: string, config: Config): FileWish {
  return {
    path,
    read() {
      const { workers, files } = readWorkersFile(path, config, process.env);
      return { workers: workers.map((worker) => specOf(worker, FILE_SOURCE)), files };
    },
  };
}
