import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { COMMAND, command, frame, greeting, message, ping, ready, subscription } from "./zmtp-frames.ts";
import { ZmtpPeer } from "./zmtp-peer.ts";
import type { SocketType } from "./zmtp-frames.ts";

/** A peer of ours, with what it wrote and what came of it. */
function peerOf(type: SocketType = "SUB", topics: readonly string[] = ["kv@"], maxMessageBytes = 1_000_000) {
  const written: Buffer[] = [];
  const messages: string[][] = [];
  let ups = 0;
  const peer = new ZmtpPeer(
    { type, topics, maxMessageBytes, ttlMs: 30_000 },
    {
      write: (bytes) => void written.push(Buffer.from(bytes)),
      onReady: () => (ups += 1),
      onMessage: (frames) => void messages.push(frames.map((one) => one.toString("latin1"))),
    },
  );
  return {
    peer,
    messages,
    ups: () => ups,
    /** What was written since the last call. */
    takeWritten: (): Buffer => Buffer.concat(written.splice(0)),
  };
}

/** The greeting of a peer of another version or mechanism. */
function greetingOf(major: number, minor: number, mechanism = "NULL"): Buffer {
  const bytes = greeting();
  bytes[10] = major;
  bytes[11] = minor;
  bytes.fill(0, 12, 32).write(mechanism, 12, "latin1");
  return bytes;
}

/** READY of a publisher, as libzmq writes it, with an identity that nobody needs. */
function readyOf(type: string): Buffer {
  const property = (name: string, value: string): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(value.length);
    return Buffer.concat([Buffer.of(name.length), Buffer.from(name), length, Buffer.from(value)]);
  };
  return command("READY", Buffer.concat([property("Identity", ""), property("Socket-Type", type)]));
}

const TEXT = (text: string): Buffer => Buffer.from(text, "latin1");

describe("a subscriber", () => {
  test("greets first, answers READY, and subscribes by a command to a publisher of version 3.1", () => {
    const { peer, ups, takeWritten } = peerOf();
    peer.open();
    expect(takeWritten()).toEqual(greeting());
    peer.receive(greetingOf(3, 1));
    expect(takeWritten()).toEqual(ready("SUB"));
    expect(ups()).toBe(0);
    peer.receive(readyOf("PUB"));
    expect(takeWritten()).toEqual(command("SUBSCRIBE", TEXT("kv@")));
    expect(ups()).toBe(1);
  });

  test("subscribes by a message to a publisher of version 3.0, which it does not ping", () => {
    const { peer, takeWritten } = peerOf();
    peer.receive(Buffer.concat([greetingOf(3, 0), readyOf("XPUB")]));
    expect(takeWritten()).toEqual(Buffer.concat([ready("SUB"), frame(TEXT("\u0001kv@"), 0)]));
    expect(peer.ping()).toBe(false);
  });

  test("writes the bytes of the specification", () => {
    expect(greeting().toString("hex")).toBe(
      `ff${"00".repeat(8)}7f0301${TEXT("NULL").toString("hex")}${"00".repeat(48)}`,
    );
    expect(ready("SUB").toString("latin1")).toBe("\u0004\u0019\u0005READY\u000bSocket-Type\0\0\0\u0003SUB");
    expect(subscription("", 1).toString("latin1")).toBe("\u0004\u000a\u0009SUBSCRIBE");
    expect(subscription("", 0).toString("latin1")).toBe("\0\u0001\u0001");
    expect(ping(30_000).toString("latin1")).toBe("\u0004\u0007\u0004PING\u0001\u002c");
  });

  test("gets the frames of messages, short, long and empty", () => {
    const { peer, messages } = peerOf();
    const long = "x".repeat(300);
    peer.receive(Buffer.concat([greetingOf(3, 1), readyOf("PUB"), message([TEXT(""), TEXT("12345678"), TEXT(long)])]));
    peer.receive(message([TEXT("one")]));
    expect(messages).toEqual([["", "12345678", long], ["one"]]);
  });

  test("answers a PING with its context, up to 16 bytes of it, and takes PONG and unknown commands for signs of life", () => {
    const { peer, messages, takeWritten } = peerOf();
    peer.receive(Buffer.concat([greetingOf(3, 1), readyOf("PUB")]));
    takeWritten();
    peer.receive(command("PING", TEXT("\0\u000aabc")));
    expect(takeWritten()).toEqual(command("PONG", TEXT("abc")));
    peer.receive(command("PING", TEXT(`\0\0${"c".repeat(40)}`)));
    expect(takeWritten()).toEqual(command("PONG", TEXT("c".repeat(16))));
    peer.receive(Buffer.concat([command("PONG", TEXT("")), command("LATER", TEXT("x"))]));
    expect([takeWritten().length, messages]).toEqual([0, []]);
  });

  test("takes commands between the frames of a message", () => {
    const { peer, messages } = peerOf();
    peer.receive(Buffer.concat([greetingOf(3, 1), readyOf("PUB"), frame(TEXT("a"), 1), ping(0), frame(TEXT("b"), 0)]));
    expect(messages).toEqual([["a", "b"]]);
  });
});

test("a dealer speaks with a router, and sends messages of several frames", () => {
  const { peer, takeWritten } = peerOf("DEALER", []);
  peer.receive(Buffer.concat([greetingOf(3, 1), readyOf("ROUTER")]));
  expect(takeWritten()).toEqual(ready("DEALER"));
  peer.send([TEXT(""), TEXT("12345678")]);
  expect(takeWritten().toString("latin1")).toBe("\u0001\0\0\u000812345678");
});

describe("a peer is refused", () => {
  const refusals: readonly [what: string, bytes: Buffer, reason: string][] = [
    ["that speaks HTTP", TEXT("HTTP/1.1 400 Bad Request\r\n\r\n"), "it does not speak ZMTP"],
    ["with a wrong signature", TEXT(`\u00ff${"\0".repeat(8)}\u0001\u0003\u0001`), "it does not speak ZMTP"],
    ["of version 2", TEXT(`\u00ff${"\0".repeat(8)}\u007f\u0001\u0001`), "it speaks a version of ZMTP before 3"],
    [
      "that wants a password",
      greetingOf(3, 1, "PLAIN"),
      'it wants the security mechanism "PLAIN"; only NULL is supported',
    ],
    ["of another socket type", Buffer.concat([greetingOf(3, 1), readyOf("PUSH")]), 'it is a socket of the type "PUSH"'],
    ["without a socket type", Buffer.concat([greetingOf(3, 1), command("READY", TEXT(""))]), 'the type ""'],
    [
      "whose READY is cut",
      Buffer.concat([greetingOf(3, 1), command("READY", TEXT("\u000bSocket-Type\0\0\0\u0009PUB"))]),
      "its READY is cut",
    ],
    [
      "that answers ERROR",
      Buffer.concat([greetingOf(3, 1), command("ERROR", TEXT("\u0002no"))]),
      'it refuses the handshake: "no"',
    ],
    [
      "that sends a message too early",
      Buffer.concat([greetingOf(3, 1), message([TEXT("m")])]),
      "before the handshake was over",
    ],
    [
      "with a command without a name",
      Buffer.concat([greetingOf(3, 1), frame(TEXT(""), COMMAND)]),
      "a command without a name",
    ],
    [
      "with a name longer than its command",
      Buffer.concat([greetingOf(3, 1), frame(TEXT("\u0009READY"), COMMAND)]),
      "without a name",
    ],
    [
      "with a command that is too long",
      Buffer.concat([greetingOf(3, 1), frame(Buffer.alloc(70_000), COMMAND)]),
      "a command of 70000 bytes",
    ],
    [
      "with a message that is too long",
      Buffer.concat([greetingOf(3, 1), readyOf("PUB"), TEXT("\u0002\0\0\0\u0001\0\0\0\0")]),
      "a message of 4294967296 bytes or more",
    ],
    [
      "with more than 16 frames",
      Buffer.concat([greetingOf(3, 1), readyOf("PUB"), message(Array.from({ length: 17 }, () => TEXT("")))]),
      "more than 16 frames",
    ],
  ];
  for (const [what, bytes, reason] of refusals) {
    test(what, () => {
      const { peer } = peerOf();
      expect(() => peer.receive(bytes)).toThrow(reason);
    });
  }

  test("whose frames are small but too many bytes together", () => {
    const { peer, messages } = peerOf("SUB", [""], 100);
    peer.receive(Buffer.concat([greetingOf(3, 1), readyOf("PUB"), message([Buffer.alloc(60), Buffer.alloc(40)])]));
    expect(messages).toHaveLength(1);
    expect(() => peer.receive(message([Buffer.alloc(60), Buffer.alloc(41)]))).toThrow("a message of 101 bytes or more");
  });
});

describe("however the bytes are cut", () => {
  const parts = [TEXT("kv@w"), TEXT("\0\0\0\0\0\0\0\u0007"), TEXT("y".repeat(700))];
  const bytes = Buffer.concat([greetingOf(3, 1), readyOf("PUB"), message(parts), ping(100), message([TEXT("")])]);
  const whole = [parts.map((part) => part.toString("latin1")), [""]];

  test("once, at each place, the messages are the same", () => {
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const { peer, messages } = peerOf();
      peer.receive(bytes.subarray(0, cut));
      peer.receive(bytes.subarray(cut));
      expect(messages).toEqual(whole);
    }
  });

  test("one byte at a time, the messages are the same, and what it holds is at most what came", () => {
    const { peer, messages } = peerOf();
    for (const [index, byte] of bytes.entries()) {
      peer.receive(Buffer.of(byte));
      expect(peer.heldBytes).toBeLessThanOrEqual(index + 1);
    }
    expect(messages).toEqual(whole);
    expect(peer.heldBytes).toBe(0);
  });

  test("any messages come as they were sent", () => {
    const body = fc.uint8Array({ maxLength: 600 });
    const sent = fc.array(fc.array(body, { minLength: 1, maxLength: 5 }), { maxLength: 5 });
    fc.assert(
      fc.property(sent, fc.array(fc.nat(4000), { maxLength: 6 }), (all, cuts) => {
        const stream = Buffer.concat([greetingOf(3, 1), readyOf("PUB"), ...all.map((one) => message(one))]);
        const { peer, messages } = peerOf();
        let from = 0;
        for (const cut of [...cuts.sort((a, b) => a - b), stream.length]) {
          peer.receive(stream.subarray(from, Math.max(from, cut)));
          from = Math.max(from, Math.min(cut, stream.length));
        }
        expect(messages).toEqual(all.map((one) => one.map((part) => Buffer.from(part).toString("latin1"))));
      }),
    );
  });
});

test("any bytes are read or refused in one sentence", () => {
  fc.assert(
    fc.property(fc.boolean(), fc.uint8Array({ maxLength: 300 }), (isGreeted, bytes) => {
      const { peer } = peerOf();
      if (isGreeted) peer.receive(Buffer.concat([greetingOf(3, 1), readyOf("PUB")]));
      try {
        peer.receive(bytes);
      } catch (error) {
        expect(error).toMatchObject({ name: "ZmtpError", message: expect.stringMatching(/^it /) });
      }
      expect(peer.heldBytes).toBeLessThanOrEqual(bytes.length);
    }),
    { numRuns: 500 },
  );
});

test("a frame that announces a gigabyte takes no memory before its bytes come", () => {
  const { peer } = peerOf("SUB", [""], 2 ** 31);
  peer.receive(
    Buffer.concat([greetingOf(3, 1), readyOf("PUB"), TEXT("\u0002\0\0\0\0\u0040\0\0\0"), Buffer.alloc(100)]),
  );
  expect(peer.heldBytes).toBe(100);
});
