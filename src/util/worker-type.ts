/** Which part of a request a worker does: all of it, its prefill, or its decode. */
export const WORKER_TYPES = ["regular", "prefill", "decode"] as const;
export type WorkerType = (typeof WORKER_TYPES)[number];
