/** Memory that a policy shares between threads, by the model that it is for. */
export type SharedPolicyMemory = readonly [model: string, memory: SharedArrayBuffer];

/**
 * The memory that policies share between threads. The thread that registers workers allocates it and tells the others of
 * it before they make the same policy.
 */
export class PolicyMemory {
  readonly #byModel = new Map<string, SharedArrayBuffer>();
  #untold: SharedPolicyMemory[] = [];

  /** What is there for the model, where it is of this size; else new. */
  get(model: string, bytes: number): SharedArrayBuffer {
    const known = this.#byModel.get(model);
    if (known?.byteLength === bytes) return known;
    const memory = new SharedArrayBuffer(bytes);
    this.put([model, memory]);
    this.#untold.push([model, memory]);
    return memory;
  }

  /** From the thread that allocates. */
  put([model, memory]: SharedPolicyMemory): void {
    this.#byModel.set(model, memory);
  }

  /** The model's policy is gone; the next one begins with new memory. */
  drop(model: string): void {
    this.#byModel.delete(model);
  }

  /** All of it, for a thread that begins. */
  all(): SharedPolicyMemory[] {
    return [...this.#byModel];
  }

  /** What was allocated since this was called last. */
  takeUntold(): SharedPolicyMemory[] {
    const untold = this.#untold;
    this.#untold = [];
    return untold;
  }
}
