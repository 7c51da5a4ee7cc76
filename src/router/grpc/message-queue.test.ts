import { expect, test } from "bun:test";
import type { GrpcStream } from "../../transport/grpc/grpc-client.ts";
import { MessageQueue } from "./message-queue.ts";

/** A stream that says what the test tells it to. */
function stream(name: string): {
  readonly from: { readonly name: string; readonly stream: GrpcStream };
  say(text: string): void;
  fail(error: Error): void;
} {
  let next = Promise.withResolvers<readonly Uint8Array[]>();
  const renew = (): PromiseWithResolvers<readonly Uint8Array[]> => {
    const last = next;
    next = Promise.withResolvers();
    return last;
  };
  const grpc: GrpcStream = {
    hasMessages: false,
    read: () => undefined,
    readAvailable: () => next.promise,
    follow: () => Promise.resolve(),
    discard: () => undefined,
  };
  return {
    from: { name, stream: grpc },
    say: (text) => renew().resolve([Buffer.from(text)]),
    fail: (error) => renew().reject(error),
  };
}

async function taken(queue: MessageQueue<{ readonly name: string; readonly stream: GrpcStream }>): Promise<string> {
  const { from, messages } = await queue.next();
  return `${from.name}: ${messages.map((message) => Buffer.from(message).toString()).join()}`;
}

test("what streams say comes in the order in which they say it, and each is read when that is asked for", async () => {
  const [a, b] = [stream("a"), stream("b")];
  const queue = new MessageQueue<(typeof a)["from"]>();
  const first = taken(queue);
  void queue.read(a.from);
  void queue.read(b.from);
  b.say("one");
  expect(await first).toBe("b: one");
  a.say("two");
  void queue.read(b.from);
  b.say("three");
  expect([await taken(queue), await taken(queue)]).toEqual(["a: two", "b: three"]);
});

test("a stream that fails is told in its turn, and the others can still be heard", async () => {
  const [a, b] = [stream("a"), stream("b")];
  const queue = new MessageQueue<(typeof a)["from"]>();
  const reads = [queue.read(a.from), queue.read(b.from)];
  a.fail(new Error("lost"));
  b.say("here");
  await Promise.all(reads);
  expect(await queue.next().catch(String)).toBe("Error: lost");
  expect(await taken(queue)).toBe("b: here");
});

test("what 2,000 streams say in 50 messages each is heard within a second of the processor's time", async () => {
  const queue = new MessageQueue<{ readonly stream: GrpcStream }>();
  const grpc: GrpcStream = {
    hasMessages: false,
    read: () => undefined,
    readAvailable: async () => [new Uint8Array(1)],
    follow: () => Promise.resolve(),
    discard: () => undefined,
  };
  for (let count = 0; count < 2000; count += 1) void queue.read({ stream: grpc });
  const before = process.cpuUsage();
  for (let heard = 0; heard < 100_000; heard += 1) void queue.read((await queue.next()).from);
  expect(process.cpuUsage(before).user).toBeLessThan(1_000_000);
});
