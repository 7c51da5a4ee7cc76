import type { WorkerType } from "../util/worker-type.ts";

/** Where the workers that are known from the start can be named: each of them is a source of workers (`worker-source.ts`). */
export const WORKER_ORIGINS = ["file", "environment", "command_line"] as const;
export type WorkerOrigin = (typeof WORKER_ORIGINS)[number];

/** A worker as a flag or a variable names it. The schema checks its parts afterwards. */
export interface GivenWorker {
  /** The flag or variable. */
  readonly flag: string;
  readonly url: string;
  readonly modelId?: string;
  readonly workerType?: "prefill" | "decode";
  readonly bootstrapPort?: number | string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Flags that name workers, with what the workers of each are for. Their variables are called after them. */
export const WORKER_FLAGS: ReadonlyMap<string, WorkerType> = new Map([
  ["--worker", "regular"],
  ["--worker-urls", "regular"],
  ["--prefill", "prefill"],
  ["--prefill-workers", "prefill"],
  ["--decode", "decode"],
  ["--decode-workers", "decode"],
]);

/** Addresses behind one flag or in one variable, apart by commas or spaces; behind a prefill worker, its bootstrap port or `none`. */
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
