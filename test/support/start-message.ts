import { PolicyMemory } from "../../src/policy/policy-memory.ts";
import { startMessage } from "../../src/threads/start-message.ts";
import { createMethodCell } from "../../src/threads/method-cell.ts";
import type { Start } from "../../src/threads/messages.ts";
import { LoadLedger } from "../../src/worker/load-ledger.ts";
import { WorkerRegistry } from "../../src/worker/worker-registry.ts";
import { loadConfig, NO_FLAGS } from "../../src/config/load.ts";
import type { Config } from "../../src/config/schema.ts";
import { ringOf } from "./keys.ts";
import { ManualClock } from "./manual-clock.ts";
import { createVia } from "../../src/transport/via.ts";
import { PUBLIC_WORKERS } from "../../src/transport/tls/worker-tls.ts";

/** A message that a thread can begin with. */
export function anyStart(options: Partial<Config> = {}): Start {
  const { config: defaults } = loadConfig({ env: {}, flags: NO_FLAGS });
  const config = { ...defaults, threads: 2, ...options };
  const ledger = new LoadLedger({ threads: config.threads });
  return startMessage(
    {
      config,
      clock: new ManualClock(),
      ledger,
      keys: ringOf(undefined, { threads: config.threads }),
      policyMemory: new PolicyMemory(),
      workerRegistry: new WorkerRegistry({ ledger }),
      tokenizers: { onChange: () => () => undefined, named: () => [] },
      routes: [],
      certificates: { current: { main: undefined, workers: PUBLIC_WORKERS } },
      via: createVia(),
    },
    { number: 0, port: 0, version: 0, methodCell: createMethodCell() },
  );
}
