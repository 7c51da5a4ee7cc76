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
const inbox = new ThreadInbox((start) => ServingThread.start(start, post, systemClock), post);
self.addEventListener("message", ({ data }) => inbox.onMessage(data));
