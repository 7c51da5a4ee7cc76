import type { WorkerType } from "../util/worker-type.ts";

/** Places that name workers from the start. Each is a source of workers (`worker-source.ts`). */
export const WORKER_ORIGINS = ["file", "environment", "command_line"] as const;
export type WorkerOrigin = (typeof WORKER_ORIGINS)[number];

/** A worker from a flag or a variable. The schema checks its parts later. */
export interface GivenWorker {
  /** The flag or variable. */
  readonly flag: string;
  readonly url: string;
  readonly modelId?: string;
  readonly workerType?: "prefill" | "decode";
  readonly bootstrapPort?: number | string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Flags that name workers, with the type of their workers. Variables are named after the flags. */
export const WORKER_FLAGS: ReadonlyMap<string, WorkerType> = new Map([
  ["--worker", "regular"],
  ["--worker-urls", "regular"],
  ["--prefill", "prefill"],
  ["--prefill-workers", "prefill"],
  ["--decode", "decode"],
  ["--decode-workers", "decode"],
]);

/** Reads addresses of one flag or variable, separated by commas or spaces. A prefill worker may be followed by its bootstrap port or `none`. */
export function givenWorkers(flag: string, type: WorkerType, texts: readonly string[]): GivenWorker[] {
  const workers: GivenWorker[] = [];
  for (const word of texts.flatMap((text) => text.split(/[\s,]+/)).filter((part) => part !== "")) {
    const last = workers.at(-1);
    const isPort = type === "prefill" && (/^\d+$/.test(word) || word === "none");
    if (!isPort || !last) workers.push({ flag, url: word, ...(type === "regular" ? {} : { workerType: type }) });
    else if (word !== "none") workers[workers.length - 1] = { ...last, bootstrapPort: Number(word) };
  }
  return workers;
}
