import { plainConfig } from "../config/plain-config.ts";
import type { Config } from "../config/schema.ts";
import type { PolicyMemory } from "../policy/policy-memory.ts";
import type { KeyRing } from "../keys/key-ring.ts";
import type { Route } from "../server/route.ts";
import type { TokenizerRegistry } from "../tokenizer/tokenizer-registry.ts";
import type { UnitCertificates } from "../server/serving-units.ts";
import type { Clock } from "../util/clock.ts";
import type { LoadLedger } from "../worker/load-ledger.ts";
import type { WorkerRegistry } from "../worker/worker-registry.ts";
import { workerState } from "../worker/worker-state.ts";
import type { Start } from "./messages.ts";

export interface StartMessageDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly ledger: LoadLedger;
  /** The pool, which fits this too, also gives back what a thread held. */
  readonly keys: Pick<KeyRing, "memory" | "noteClock" | "releaseThread">;
  readonly policyMemory: PolicyMemory;
  readonly workerRegistry: WorkerRegistry;
  readonly tokenizers: Pick<TokenizerRegistry, "onChange" | "named">;
  readonly routes: readonly Route[];
  readonly via: string;
  readonly certificates: { readonly current: UnitCertificates };
}

/** The facts for one thread. */
export interface ThreadFacts {
  readonly number: number;
  readonly port: number;
  /** Current version of the registries. */
  readonly version: number;
  readonly methodCell: SharedArrayBuffer;
}

/** The start message of a thread: the configuration and the current registries. */
export function startMessage(deps: StartMessageDeps, { number, port, version, methodCell }: ThreadFacts): Start {
  const { config, clock, ledger, keys, policyMemory, workerRegistry, tokenizers, routes, certificates, via } = deps;
  const now = clock.now();
  keys.noteClock();
  return {
    type: "start",
    thread: number,
    threads: config.threads,
    config: plainConfig(config),
    hostname: config.host,
    port,
    certificates: { main: certificates.current.main, workers: certificates.current.workers },
    via,
    ledger: ledger.memory,
    keys: keys.memory.buffer,
    memory: policyMemory.all(),
    workers: workerRegistry.all().map((worker) => workerState(worker, now)),
    version,
    tokenizers: tokenizers.named(),
    routes: routes.map(({ method, path, access, maxBodyBytes, takesYaml }) => ({
      method,
      path,
      access,
      maxBodyBytes,
      takesYaml,
    })),
    methodCell,
  };
}
