import type { JsonObject } from "../protocol/json/json.ts";

/**
 * An operator's questions to one worker, in what it speaks. Each throws what the client throws, not_implemented where the worker's
 * engine has no such question, and upstream_error where the worker answers that it did not do it.
 */
export interface WorkerVoice {
  /** Whether it generates, or at least says that it is well. */
  isHealthy(): Promise<boolean>;
  /** A page of its own about the model or the server's arguments; undefined where it has none. */
  info(what: InfoPage): Promise<JsonObject | undefined>;
  flushCache(): Promise<void>;
  /** What it says of its load, in its own words. */
  loads(): Promise<JsonObject>;
  /** Starts or stops its profiler. */
  profile(isStart: boolean): Promise<void>;
}

/** Which of its pages about itself. */
export type InfoPage = "modelInfo" | "serverInfo";
