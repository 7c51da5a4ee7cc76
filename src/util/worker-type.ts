/** What a worker does of a request: all of it, its prefill, or its decode. */
export const WORKER_TYPES = ["regular", "prefill", "decode"] as const;
export type WorkerType = (typeof WORKER_TYPES)[number];
