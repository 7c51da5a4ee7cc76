import type { FromThread, ToThread } from "./messages.ts";
import { ServingThread } from "./serving-thread.ts";
import { systemClock } from "../util/clock.ts";

/** Entry of a thread that serves. Its first message starts it; it tells whether it listens. */
declare const self: {
  postMessage(message: FromThread): void;
  addEventListener(type: "message", listener: (event: { data: ToThread }) => void): void;
};

let serving: ServingThread | undefined;
/** What comes while it starts waits for it. */
const early: ToThread[] = [];

function onMessage(message: ToThread): void {
  if (message.type === "start") void start(message);
  else if (serving) serving.onMessage(message);
  // One that loads its code answers as well, unless that hangs.
  else if (message.type === "ping") self.postMessage({ type: "pong" });
  else early.push(message);
}

async function start(message: Extract<ToThread, { type: "start" }>): Promise<void> {
  try {
    serving = await ServingThread.start(message, (reply) => self.postMessage(reply), systemClock);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
    self.postMessage({ type: "failed", message: error instanceof Error ? error.message : String(error), code });
    return;
  }
  for (const waiting of early.splice(0)) onMessage(waiting);
  self.postMessage({ type: "listening", port: serving.port });
}

self.addEventListener("message", ({ data }) => onMessage(data));
