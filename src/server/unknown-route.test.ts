import { expect, test } from "bun:test";
import { unknownRoute } from "./unknown-route.ts";

test("a route of OpenAI's API that is not built is told by its name, whatever stands below it", () => {
  for (const path of [
    "/v1/files",
    "/v1/audio/transcriptions",
    "/v1/responses/resp_1/input_items",
    "/v1/messages/batches",
    "/v1/chat/completions/chatcmpl_1/messages",
    "/v1/evals",
  ]) {
    const { code, message } = unknownRoute(path);
    expect([path, code, message.includes("not built")]).toEqual([path, "not_implemented", true]);
  }
});

test("the message is that of the most exact path", () => {
  expect(unknownRoute("/v1/responses/compact").message).toBe("compaction of conversations is not built");
  expect(unknownRoute("/v1/responses/compacted").message).toStartWith("stored responses are not built");
});

test("any other is unknown, and the path is named, escaped and cut", () => {
  for (const path of [
    "/v1/filesystem",
    "/",
    "/v1",
    "/v1/audiobooks",
    "/v1/files//x",
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/chat/completions/",
    "/v1/chat/completions///id",
  ]) {
    expect([path, unknownRoute(path).code]).toEqual([path, "unknown_url"]);
  }
  expect(unknownRoute('/a"b').message).toBe('there is no route "/a\\"b"');
  expect(unknownRoute(`/${"a".repeat(10_000)}`).message.length).toBeLessThan(250);
});
