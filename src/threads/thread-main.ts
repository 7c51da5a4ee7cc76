import { forgetStart } from "../util/after-start.ts";
import { systemClock } from "../util/clock.ts";
import type { FromThread, ToThread } from "./messages.ts";
import { ServingThread } from "./serving-thread.ts";
import { ThreadInbox } from "./thread-inbox.ts";

/** Entry of a serving thread. */
declare const self: {
  postMessage(message: FromThread): void;
  addEventListener(type: "message", listener: (event: { data: ToThread }) => void): void;
};

const post = (message: FromThread): void => self.postMessage(message);
const inbox = new ThreadInbox(async (start) => {
  const thread = await ServingThread.start(start, post, systemClock);
  forgetStart();
  return thread;
}, post);
self.addEventListener("message", ({ data }) => inbox.onMessage(data));
