import { type ChangeListener, WorkerRegistry } from "../../src/worker/worker-registry.ts";

/** A registry that knows how many listen to it. */
export class WatchedRegistry extends WorkerRegistry {
  listeners = 0;

  override onChange(listener: ChangeListener): () => void {
    const stop = super.onChange(listener);
    this.listeners += 1;
    return () => {
      stop();
      this.listeners -= 1;
    };
  }
}
