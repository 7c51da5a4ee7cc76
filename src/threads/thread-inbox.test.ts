import { describe, expect, test } from "bun:test";
import { GatewayError } from "../errors/errors.ts";
import type { FromThread, ToThread } from "./messages.ts";
import { type StartedThread, ThreadInbox } from "./thread-inbox.ts";
import { turn } from "../../test/support/fake-threads.ts";
import { anyStart } from "../../test/support/start-message.ts";

interface Setup {
  readonly inbox: ThreadInbox;
  readonly said: readonly FromThread[];
  /** Messages that the thread got. */
  readonly handed: readonly ToThread[];
  readonly starting: PromiseWithResolvers<StartedThread>;
  listen(): Promise<void>;
}

function setUp(): Setup {
  const said: FromThread[] = [];
  const handed: ToThread[] = [];
  const starting = Promise.withResolvers<StartedThread>();
  const inbox = new ThreadInbox(
    () => starting.promise,
    (message) => said.push(message),
  );
  return {
    inbox,
    said,
    handed,
    starting,
    async listen() {
      starting.resolve({ port: 4000, onMessage: (message) => handed.push(message) });
      await starting.promise;
      await Promise.resolve();
    },
  };
}

describe("what comes to a thread", () => {
  test("while it starts is kept, and taken up in its order before it says that it listens", async () => {
    const { inbox, said, handed, listen } = setUp();
    inbox.onMessage(anyStart());
    inbox.onMessage({ type: "leave" });
    inbox.onMessage({ type: "ask", id: 1 });
    expect([said, handed]).toEqual([[], []]);
    await listen();
    expect(handed).toEqual([{ type: "leave" }, { type: "ask", id: 1 }]);
    expect(said).toEqual([{ type: "listening", port: 4000 }]);
  });

  test("goes to it at once when it serves, pings too", async () => {
    const { inbox, handed, listen } = setUp();
    inbox.onMessage(anyStart());
    await listen();
    inbox.onMessage({ type: "ping" });
    inbox.onMessage({ type: "stop" });
    expect(handed.map(({ type }) => type)).toEqual(["ping", "stop"]);
  });

  test("a ping is answered while it starts", () => {
    const { inbox, said } = setUp();
    inbox.onMessage(anyStart());
    inbox.onMessage({ type: "ping" });
    expect(said).toEqual([{ type: "pong" }]);
  });
});

describe("a thread that cannot start", () => {
  const failure = async (reason: unknown): Promise<readonly FromThread[]> => {
    const { inbox, said, starting } = setUp();
    inbox.onMessage(anyStart());
    starting.reject(reason);
    await turn();
    return said;
  };

  test("says why, with the code where there is one", async () => {
    const taken = Object.assign(new Error("the port is taken"), { code: "EADDRINUSE" });
    expect(await failure(taken)).toEqual([{ type: "failed", message: "the port is taken", code: "EADDRINUSE" }]);
    expect(await failure(new GatewayError("invalid_request", "no such module"))).toEqual([
      { type: "failed", message: "no such module", code: "invalid_request" },
    ]);
    expect(await failure("nothing known")).toEqual([{ type: "failed", message: "nothing known", code: undefined }]);
  });
});
