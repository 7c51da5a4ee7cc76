import type { JsonObject } from "../protocol/json/json.ts";
import type { ProfileOptions } from "./profile-options.ts";

/**
 * An operator's questions to one worker, over its protocol. Each throws the client's errors, not_implemented if the worker's engine
 * does not have the question, and upstream_error if the worker reports a failure.
 */
export interface WorkerVoice {
  /** Whether the worker generates, or at least reports that it is well. */
  isHealthy(): Promise<boolean>;
  /** The worker's page about the model or the server's arguments; undefined where it has none. */
  info(what: InfoPage): Promise<JsonObject | undefined>;
  flushCache(): Promise<void>;
  /** The worker's own report of its load. */
  loads(): Promise<JsonObject>;
  /** Starts its profiler; without options the engine's defaults hold. */
  startProfile(options: ProfileOptions | undefined): Promise<void>;
  stopProfile(): Promise<void>;
}

/** The pages that an engine has about itself. */
export type InfoPage = "modelInfo" | "serverInfo";
