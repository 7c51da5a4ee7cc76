import { describe, expect, test } from "bun:test";
import { bodyOf } from "../../../test/support/answers.ts";
import { endpointAt } from "../../../test/support/endpoints.ts";
import { BodyFeatures } from "./body-features.ts";
import { SESSION_HEADERS } from "../../util/session-headers.ts";
import { TokenFeatures } from "./token-features.ts";

const BODY = { model: "m", messages: [{ role: "user", content: "Where?" }], tools: [{ name: "f" }], user: "u" };

function ofBody(body: object = BODY, headers: Record<string, string> = {}): BodyFeatures {
  const promptMembers = ["tools", "messages"];
  return new BodyFeatures({
    model: "m",
    isStream: true,
    body: bodyOf(body),
    form: { promptMembers, hasCacheMarks: false },
    headers: new Headers(headers),
    sessionHeaders: SESSION_HEADERS,
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

  test("tell without the prompt's bytes whether there is one", () => {
    expect([ofBody().hasPrompt(), ofBody({ model: "m" }).hasPrompt()]).toEqual([true, false]);
  });

  test("of a prompt that is shorter than any block have its length and no block", () => {
    const features = ofBody({ messages: ["x".repeat(60), "y"] });
    expect(features.promptBlocks()).toEqual({ hashes: new Int32Array(0), bytes: features.promptBytes().length });
    expect(ofBody({ messages: ["x".repeat(200)] }).promptBlocks().hashes).toHaveLength(1);
  });

  test("have the key of a header before that of the body", () => {
    expect([ofBody().routingKey(), ofBody(BODY, { "x-session-id": "s" }).routingKey()]).toEqual(["u", "s"]);
    // Of several headers the first of the list counts.
    const names = [...SESSION_HEADERS];
    for (const [at, name] of names.entries()) {
      const later = names.slice(at).map((other) => [other, `key of ${other}`]);
      expect(ofBody(BODY, Object.fromEntries(later)).routingKey()).toBe(`key of ${name}`);
    }
  });
});

describe("features of tokens", () => {
  test("know the exact length of all prompts, and have the first one's ids as bytes", () => {
    const features = new TokenFeatures([encoded(1, 258), encoded(3)], ofBody(), bodyOf(BODY));
    expect(features.promptTokens).toBe(3);
    expect([...features.promptBytes()]).toEqual([1, 0, 0, 0, 2, 1, 0, 0]);
    expect(features.promptBlocks()).toBe(features.promptBlocks());
    expect(features.hasPrompt()).toBe(true);
    const empty = new TokenFeatures([], ofBody(), bodyOf(BODY));
    expect([empty.promptBytes().length, empty.hasPrompt()]).toEqual([0, false]);
  });

  test("have all else of the body", () => {
    const features = new TokenFeatures([encoded(1)], ofBody(), bodyOf(BODY));
    expect([features.model, features.isStream, features.routingKey()]).toEqual(["m", true, "u"]);
  });
});

describe("what keeps equal prompts apart", () => {
  const TEXT = "You are a helpful assistant. ".repeat(20);
  const APIS: readonly (readonly [path: string, body: object])[] = [
    ["/v1/chat/completions", { messages: [{ role: "user", content: TEXT }] }],
    ["/v1/completions", { prompt: TEXT }],
    ["/v1/messages", { messages: [{ role: "user", content: TEXT }], max_tokens: 5 }],
    ["/v1/responses", { input: TEXT }],
    ["/generate", { text: TEXT }],
  ];
  const features = (path: string, body: object, model = "m"): BodyFeatures =>
    new BodyFeatures({
      model,
      isStream: false,
      body: bodyOf(body),
      form: endpointAt(path),
      headers: new Headers(),
      sessionHeaders: [],
    });
  const hashes = (path: string, body: object, model = "m"): Int32Array =>
    features(path, body, model).promptBlocks().hashes;

  for (const [path, body] of APIS) {
    describe(path, () => {
      const plain = hashes(path, body);

      test.each([
        { cache_salt: "tenant-1" },
        { cache_salt: "tenant-2" },
        { extra_key: "k" },
        { lora_path: "/loras/a" },
        { chat_template_kwargs: { enable_thinking: false } },
        { reasoning_effort: "high" },
        { output_config: { effort: "high" } },
        { media_io_kwargs: { video: { num_frames: 8 } } },
        { image_data: ["http://pictures/1.png"] },
      ])("%j", (member) => {
        const apart = hashes(path, { ...body, ...member });
        expect(apart.length).toBe(plain.length);
        expect([...apart].filter((hash) => plain.includes(hash))).toEqual([]);
        // Equal ones are equal, wherever the member stands.
        expect(hashes(path, { ...member, temperature: 1, ...body })).toEqual(apart);
      });

      test.each([{ prompt_logprobs: 0 }, { echo: true, logprobs: 1 }, { return_logprob: true, logprob_start_len: 0 }])(
        "and from every cache: %j has the engine compute all of the prompt",
        (member) => {
          const none = features(path, { ...body, ...member }).promptBlocks();
          expect([none.hashes.length, none.bytes]).toEqual([0, features(path, body).promptBlocks().bytes]);
        },
      );

      test("not log probabilities of the answer", () => {
        for (const member of [
          { prompt_logprobs: null, logprobs: true, top_logprobs: 3 },
          { echo: true, logprobs: null },
          { echo: false, logprobs: 1 },
          { return_logprob: true, logprob_start_len: -1 },
          { return_logprob: false, logprob_start_len: 0 },
        ])
          expect([member, hashes(path, { ...body, ...member })]).toEqual([member, plain]);
      });

      test("a LoRA adapter of the model", () => {
        const adapted = hashes(path, body, "m:adapter");
        expect([...adapted].filter((hash) => plain.includes(hash))).toEqual([]);
        expect(hashes(path, body, "m:other")).not.toEqual(adapted);
      });

      test("not what engines do not cache by", () => {
        const ignored = { temperature: 0.3, user: "u", metadata: { id: 7 }, request_id: "r", cache_salt: null, n: 2 };
        expect(hashes(path, { ...body, ...ignored })).toEqual(plain);
      });
    });
  }

  test("salts are the only thing that counts besides the tokens of a rendered prompt", () => {
    const ids = [{ ids: Uint32Array.from({ length: 64 }, (_, index) => index) }];
    const of = (member: object): Int32Array => {
      const body = bodyOf({ ...BODY, ...member });
      return new TokenFeatures(ids, ofBody(), body).promptBlocks().hashes;
    };
    expect(of({ reasoning_effort: "low" })).toEqual(of({}));
    expect(of({ cache_salt: "tenant-1" })).not.toEqual(of({}));
    expect(of({ cache_salt: "tenant-1" })).toEqual(of({ cache_salt: "tenant-1", user: "u" }));
    expect([of({}).length, of({ prompt_logprobs: 1 }).length]).toEqual([2, 0]);
  });

  test("an image counts for about 1,000 tokens, whatever its size", () => {
    const data = Buffer.alloc(300_000, "image").toString("base64");
    const tokensOf = (url: string): number =>
      ofBody({ messages: [{ role: "user", content: [{ type: "image_url", image_url: { url } }] }] }).promptTokens;
    expect(tokensOf(`data:image/png;base64,${data}`) - tokensOf("")).toBe(1024);
  });
});
