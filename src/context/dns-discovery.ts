import type { Config } from "../config/schema.ts";
import type { LiveConfig } from "../reload/live-config.ts";
import type { Clock } from "../util/clock.ts";
import { parseWorkerUrl } from "../util/parse-worker-url.ts";
import type { WorkerType } from "../util/worker-type.ts";
import { DnsSource, type NameResolver } from "../worker/sources/dns-source.ts";
import { systemNames } from "../worker/sources/system-names.ts";
import type { WorkerSources } from "../worker/sources/worker-sources.ts";
import { DEFAULT_SPEC, type WorkerSpec } from "../worker/worker-spec.ts";
import { DNS_KEYS, WORKER_KEYS } from "./live-keys.ts";

export interface DnsDiscoveryParts {
  readonly config: Config;
  readonly live: Pick<LiveConfig, "register">;
  readonly clock: Clock;
  readonly workerSources: Pick<WorkerSources, "follow">;
}

/** Follows the names of the configuration whose records are workers, and takes changes of them. */
export function followNames({ config, live, clock, workerSources }: DnsDiscoveryParts): void {
  const names = new FollowedNames(workerSources, clock, systemNames());
  names.want(config);
  // With another key for workers, its workers have that one too.
  live.register({ name: "names of workers", keys: [...DNS_KEYS, ...WORKER_KEYS], apply: (next) => names.want(next) });
}

/** The sources of all names that the configuration has had. One that it no longer has stays, and wants nothing. */
export class FollowedNames {
  readonly #sources: Pick<WorkerSources, "follow">;
  readonly #clock: Clock;
  readonly #resolver: NameResolver;
  readonly #followed = new Map<string, DnsSource>();

  constructor(sources: Pick<WorkerSources, "follow">, clock: Clock, resolver: NameResolver) {
    this.#sources = sources;
    this.#clock = clock;
    this.#resolver = resolver;
  }

  /** Makes the sources want the workers of these names, and of no others. */
  want(config: Config): void {
    const wanted = templatesOf(config);
    for (const [name, source] of this.#followed) source.want(wanted.get(name));
    for (const [name, template] of wanted) {
      if (this.#followed.has(name)) continue;
      const source = new DnsSource({ name, template, clock: this.#clock, resolver: this.#resolver });
      this.#followed.set(name, source);
      this.#sources.follow(source);
    }
  }
}

/** What the workers of each name are like, by the name of their source. */
function templatesOf(config: Config): ReadonlyMap<string, WorkerSpec> {
  const templates = new Map<string, WorkerSpec>();
  const add = (texts: readonly string[], workerType: WorkerType): void => {
    for (const text of texts) {
      const parsed = parseWorkerUrl(text);
      if (!parsed.ok) continue;
      const source = workerType === "regular" ? `dns:${parsed.url}` : `dns:${workerType}:${parsed.url}`;
      templates.set(source, { ...DEFAULT_SPEC, url: parsed.url, source, workerType, apiKey: config.workerApiKey });
    }
  };
  add(config.workerDns, "regular");
  add(config.prefillDns, "prefill");
  add(config.decodeDns, "decode");
  return templates;
}
