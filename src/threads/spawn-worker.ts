import type { FromThread } from "./messages.ts";
import type { ThreadEvents, ThreadPort } from "./thread-handle.ts";

/** A thread of the runtime's. */
export function spawnWorker(events: ThreadEvents): ThreadPort {
  const worker = new Worker(new URL("thread-main.ts", import.meta.url).href);
  worker.addEventListener("message", ({ data }: { data: FromThread }) => events.onMessage(data));
  worker.addEventListener("error", (event) => {
    // Reported here, and not as an error of this thread too.
    event.preventDefault();
    events.onError(event.message);
  });
  worker.addEventListener("close", () => events.onClosed());
  return {
    post: (message) => worker.postMessage(message),
    terminate: () => worker.terminate(),
  };
}
