import type { FromThread } from "./messages.ts";
import type { ThreadEvents, ThreadPort } from "./thread-handle.ts";
import { threadUrl } from "../util/thread-url.ts";

/** Starts a thread of the runtime (`Worker`). */
export function spawnWorker(events: ThreadEvents): ThreadPort {
  const worker = new Worker(threadUrl("threads/thread-main.ts"));
  worker.addEventListener("message", ({ data }: { data: FromThread }) => events.onMessage(data));
  worker.addEventListener("error", (event) => {
    // Reported here, so that it does not count as an error of this thread too.
    event.preventDefault();
    events.onError(event.message);
  });
  worker.addEventListener("close", () => events.onClosed());
  return {
    post: (message) => worker.postMessage(message),
    terminate: () => worker.terminate(),
  };
}
