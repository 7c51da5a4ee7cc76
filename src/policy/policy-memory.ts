/** Memory that a policy shares between threads, with its model. */
export type SharedPolicyMemory = readonly [model: string, memory: SharedArrayBuffer];

/**
 * The memory that policies share between threads. The control thread allocates it, and sends it to the other threads before they
 * make the same policy.
 */
export class PolicyMemory {
  readonly #byModel = new Map<string, SharedArrayBuffer>();
  #untold: SharedPolicyMemory[] = [];

  /** The model's memory, if it has this size; otherwise new memory. */
  get(model: string, bytes: number): SharedArrayBuffer {
    const known = this.#byModel.get(model);
    if (known?.byteLength === bytes) return known;
    const memory = new SharedArrayBuffer(bytes);
    this.put([model, memory]);
    this.#untold.push([model, memory]);
    return memory;
  }

  /** Takes memory from the control thread. */
  put([model, memory]: SharedPolicyMemory): void {
    this.#byModel.set(model, memory);
  }

  /** Drops the memory of a model whose policy is gone. The next policy gets new memory. */
  drop(model: string): void {
    this.#byModel.delete(model);
  }

  /** All memory, for a new thread. */
  all(): SharedPolicyMemory[] {
    return [...this.#byModel];
  }

  /** Memory that was allocated since the last call. */
  takeUntold(): SharedPolicyMemory[] {
    const untold = this.#untold;
    this.#untold = [];
    return untold;
  }
}
