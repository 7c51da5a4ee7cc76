import type { Config } from "../config/schema.ts";
import { KvEvents } from "../kv-events/kv-events.ts";
import { tcp } from "../kv-events/zmtp/tcp.ts";
import type { Logger } from "../observability/logger.ts";
import type { Clock } from "../util/clock.ts";
import type { KvEventsSpec } from "../worker/worker-spec.ts";
import type { Registries } from "./registries.ts";

export interface KvEventsParts extends Pick<Registries, "workerRegistry" | "policyRegistry" | "policyFollower"> {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Begins to follow the KV events of the workers. Nothing is opened while no worker says where it publishes. */
export function openKvEvents(parts: KvEventsParts): KvEvents {
  const { config, clock, logger, workerRegistry, policyRegistry, policyFollower } = parts;
  return new KvEvents({
    onFollowed: (listener) => policyFollower.onFollowed(listener),
    workers: workerRegistry,
    policies: policyRegistry,
    tcp,
    clock,
    logger,
    random: Math.random,
    defaults: defaultsOf(config),
    maxBytesPerWorker: config.kvEventsMaxBytes,
  });
}

/** Where workers publish that have no setting of their own. */
function defaultsOf({ kvEventsEndpoint, kvEventsReplayEndpoint, kvEventsTopic }: Config): KvEventsSpec | undefined {
  if (kvEventsEndpoint === undefined) return undefined;
  return { endpoint: kvEventsEndpoint, replayEndpoint: kvEventsReplayEndpoint, topic: kvEventsTopic, ranks: 1 };
}
