import { openRegistries, type Registries, type RegistriesParts } from "../context/registries.ts";
import { PolicyMemory } from "../policy/policy-memory.ts";
import { LoadLedger } from "../worker/load-ledger.ts";
import { workerOf, type WorkerState } from "../worker/worker-state.ts";
import { noteMethods } from "./method-cell.ts";
import type { Change, Start } from "./messages.ts";

export type ReplicaParts = Pick<RegistriesParts, "config" | "logger" | "clock" | "metrics">;

/** A thread's replica of the control thread's registries. */
export class Replica {
  readonly registries: Registries;
  readonly #clock: ReplicaParts["clock"];

  private constructor(registries: Registries, clock: ReplicaParts["clock"]) {
    this.registries = registries;
    this.#clock = clock;
  }

  /** Opens registries with the contents of `start`; `stack` closes them. Throws GatewayError if a policy module does not load. */
  static async open(start: Start, parts: ReplicaParts, stack: AsyncDisposableStack): Promise<Replica> {
    const policyMemory = new PolicyMemory();
    for (const entry of start.memory) policyMemory.put(entry);
    const registries = await openRegistries(
      {
        ...parts,
        ledger: new LoadLedger({ memory: start.ledger, thread: start.thread }),
        policyMemory,
        thread: start.thread,
        watch: noteMethods(start.methodCell),
      },
      stack,
    );
    for (const change of start.tokenizers) registries.tokenizers.apply(change);
    const replica = new Replica(registries, parts.clock);
    for (const worker of start.workers) replica.#put(worker);
    return replica;
  }

  /** Applies a change. Its memory comes first, because the worker's policies are made with it. */
  apply({ put, removed, tokenizer, memory }: Change): void {
    const { workerRegistry, tokenizers } = this.registries;
    this.takeMemory(memory);
    if (put) this.#put(put);
    if (removed !== undefined) workerRegistry.remove(removed);
    if (tokenizer) tokenizers.apply(tokenizer);
  }

  /** Takes memory that the control thread has allocated for policies. */
  takeMemory(memory: Change["memory"]): void {
    for (const entry of memory) this.registries.policyMemory.put(entry);
  }

  #put(state: WorkerState): void {
    const { workerRegistry, ledger } = this.registries;
    workerRegistry.put(workerOf(state, ledger, this.#clock.now()));
  }
}
