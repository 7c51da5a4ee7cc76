import { describe, expect, test } from "bun:test";
import { bodyOf } from "../../../test/support/answers.ts";
import { BodyFeatures } from "./body-features.ts";
import { TokenFeatures } from "./token-features.ts";

const BODY = { model: "m", messages: [{ role: "user", content: "Where?" }], tools: [{ name: "f" }], user: "u" };

function ofBody(body: object = BODY, headers: Record<string, string> = {}): BodyFeatures {
  const promptMembers = ["tools", "messages"];
  return new BodyFeatures({
    model: "m",
    isStream: true,
    body: bodyOf(body),
    promptMembers,
    headers: new Headers(headers),
  });
}

const encoded = (...ids: number[]) => ({ ids: Uint32Array.from(ids) });

describe("features of a body", () => {
  test("take four of its bytes for a token", () => {
    expect(ofBody().promptTokens).toBe(Math.ceil(JSON.stringify(BODY).length / 4));
  });

  test("have the prompt as the client wrote it, in the order of the template, made once", () => {
    const features = ofBody();
    expect(Buffer.from(features.promptBytes()).toString()).toBe('[{"name":"f"}[{"role":"user","content":"Where?"}');
    expect(features.promptBytes()).toBe(features.promptBytes());
    expect(features.promptBlocks()).toBe(features.promptBlocks());
    expect(ofBody({ model: "m" }).promptBytes()).toHaveLength(0);
  });

  test("have the key of a header before that of the body", () => {
    expect([ofBody().routingKey(), ofBody(BODY, { "x-session-id": "s" }).routingKey()]).toEqual(["u", "s"]);
  });
});

describe("features of tokens", () => {
  test("know the exact length of all prompts, and have the first one's ids as bytes", () => {
    const features = new TokenFeatures([encoded(1, 258), encoded(3)], ofBody());
    expect(features.promptTokens).toBe(3);
    expect([...features.promptBytes()]).toEqual([1, 0, 0, 0, 2, 1, 0, 0]);
    expect(features.promptBlocks()).toBe(features.promptBlocks());
    expect(new TokenFeatures([], ofBody()).promptBytes()).toHaveLength(0);
  });

  test("have all else of the body", () => {
    const features = new TokenFeatures([encoded(1)], ofBody());
    expect([features.model, features.isStream, features.routingKey()]).toEqual(["m", true, "u"]);
  });
});
