import { describe, expect, test } from "bun:test";
import { AnswerReader } from "./answer-reader.ts";

const HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const STREAM = `${HEAD}9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n`;

/** What is read when the answer comes in these pieces. */
function read(pieces: readonly string[]): ReturnType<AnswerReader["take"]>[] {
  const reader = new AnswerReader();
  reader.begin();
  return pieces.map((piece) => reader.take(Buffer.from(piece)));
}

describe("the reader of answers", () => {
  test("knows the end and the events of a stream, wherever it is cut", () => {
    for (let cut = 1; cut < STREAM.length; cut += 1) {
      const [first, second] = read([STREAM.slice(0, cut), STREAM.slice(cut)]);
      expect(first).toBeUndefined();
      expect(second).toEqual({ status: 200, events: 2, excerpt: "" });
    }
  });

  test("knows it byte by byte", () => {
    const answers = read(STREAM.split(""));
    expect(answers.slice(0, -1).every((answer) => answer === undefined)).toBe(true);
    expect(answers.at(-1)?.events).toBe(2);
  });

  test("says the beginning of a refusal", () => {
    const [answer] = read(["HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nfull"]);
    expect(answer).toEqual({ status: 503, events: 0, excerpt: "full" });
  });

  test("ends with the connection where nothing else ends it", () => {
    const reader = new AnswerReader();
    reader.begin();
    expect(reader.take(Buffer.from("HTTP/1.0 200 OK\r\n\r\nall"))).toBeUndefined();
    expect(reader.endOfConnection()?.status).toBe(200);
  });
});
