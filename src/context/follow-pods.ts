import type { Config } from "../config/schema.ts";
import type { LiveConfig } from "../reload/live-config.ts";
import { lazy } from "../util/lazy.ts";
import type * as Discovery from "./kubernetes-discovery.ts";
import { KUBERNETES_KEYS, WORKER_KEYS } from "./live-keys.ts";

export interface FollowPodsParts extends Discovery.PodDiscoveryParts {
  readonly config: Config;
  readonly live: Pick<LiveConfig, "register">;
}

const load = lazy((): typeof Discovery => require("./kubernetes-discovery.ts"));

/**
 * Follows the pods of a cluster, where the configuration wants it, and takes changes of that. Nothing of Kubernetes is loaded before it
 * does. Throws invalid_request where the cluster cannot be found.
 */
export function followPods({ config, live, ...parts }: FollowPodsParts): void {
  let pods: Discovery.FollowedPods | undefined;
  const opened = (): Discovery.FollowedPods => (pods ??= new (load().FollowedPods)(parts));
  const want = (next: Config): void => {
    if (next.serviceDiscovery) opened().want(next);
    else pods?.want(next);
  };
  want(config);
  live.register({
    name: "pods",
    // With another key for workers, those in pods have that one too.
    keys: [...KUBERNETES_KEYS, ...WORKER_KEYS],
    check: (next) => {
      if (next.serviceDiscovery) opened().check(next);
    },
    apply: want,
  });
}
