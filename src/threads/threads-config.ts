import { plainConfig } from "../config/plain-config.ts";
import type { Config, ConfigKey } from "../config/schema.ts";
import type { Logger } from "../observability/logger.ts";
import type { SharedPolicyMemory } from "../policy/policy-memory.ts";
import type { ConfigParticipant } from "../reload/live-config.ts";
import type { ThreadHandle } from "./thread-handle.ts";

export interface ThreadsConfigDeps {
  /** The threads that are there at a moment. */
  readonly threads: () => Iterable<Pick<ThreadHandle, "number" | "configure" | "isServing" | "end">>;
  /** The memory of all policies. */
  readonly memory: () => readonly SharedPolicyMemory[];
  readonly logger: Logger;
  /** Is called with the configuration that threads get from now on when they start. */
  readonly onConfig: (config: Config) => void;
}

/**
 * The serving threads, as a part that takes changes of the configuration. All of them check a change before any of them carries it out.
 * A thread that ends meanwhile begins anew with the configuration in force.
 */
export class ThreadsConfig implements ConfigParticipant {
  readonly name = "threads";
  /** Each thread has its own parts, and these take what they take on any thread. */
  readonly keys: readonly ConfigKey[] = [];
  readonly #deps: ThreadsConfigDeps;

  constructor(deps: ThreadsConfigDeps) {
    this.#deps = deps;
  }

  async check(next: Config): Promise<void> {
    const config = plainConfig(next);
    const threads = [...this.#deps.threads()].filter(({ isServing }) => isServing);
    const outcomes = await Promise.all(
      threads.map((thread) => thread.configure({ step: "check", config, memory: [] })),
    );
    for (const [index, outcome] of outcomes.entries()) {
      const number = threads[index]?.number;
      if (!outcome) throw new Error(`thread ${number} does not answer`);
      if (outcome.refusal !== undefined) throw new Error(`thread ${number}: ${outcome.refusal}`);
    }
  }

  /** Posts the change to all threads before it returns, so that it comes before all later changes of workers. */
  async apply(next: Config): Promise<void> {
    const { threads, memory, onConfig, logger } = this.#deps;
    onConfig(next);
    const message = { step: "apply", config: plainConfig(next), memory: memory() } as const;
    const failures: string[] = [];
    const waits = [...threads()].map(async (thread) => {
      const { number } = thread;
      if (!thread.isServing) {
        // It has begun with the configuration of before, and nobody would hear it refuse this one.
        thread.end("the configuration has changed while it started", { isOutdated: true });
        return;
      }
      const outcome = await thread.configure(message);
      if (outcome?.refusal !== undefined) failures.push(`thread ${number}: ${outcome.refusal}`);
      if (outcome || !thread.isServing) return;
      logger.error({ thread: number }, "a thread does not take the configuration, and is started anew with it");
      thread.end("it did not take a change of the configuration");
    });
    await Promise.all(waits);
    const [first] = failures;
    if (first !== undefined) throw new Error(first);
  }
}
