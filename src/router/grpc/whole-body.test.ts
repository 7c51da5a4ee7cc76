import { describe, expect, test } from "bun:test";
import type { Endpoint } from "../../protocol/endpoint.ts";
import type { EndpointName } from "../../protocol/endpoints.ts";
import { endpointNamed } from "../../../test/support/endpoints.ts";
import { JsonFields } from "../../protocol/json/json-fields.ts";
import { type JsonBody, readJsonBody } from "../../protocol/json/json-body.ts";
import { LeaveController } from "../../util/leave-signal.ts";
import { readWhole } from "./whole-body.ts";

async function asked(
  value: object,
  name: EndpointName = "chat_completions",
): Promise<{ readonly body: JsonBody; readonly endpoint: Endpoint; readonly signal: LeaveController }> {
  const body = await readJsonBody(Buffer.from(JSON.stringify(value)));
  return { body, endpoint: endpointNamed(name), signal: new LeaveController() };
}

const model = (body: JsonBody): unknown => JsonFields.of(body).value("model");
const LONG = "x".repeat(300_000);

describe("a body that is read as a whole", () => {
  test("is read at once where it is small, and in steps where it is large, with the same outcome", async () => {
    expect(readWhole(await asked({ model: "m" }), undefined, model)).toBe("m");
    const large = await asked({ text: LONG, model: "m" });
    const reading = readWhole(large, undefined, model);
    expect(reading).toBeInstanceOf(Promise);
    expect(await reading).toBe("m");
    expect(large.body.whole).toBeUndefined();
  });

  test("is refused by its bytes where its token ids or tools cannot be taken", async () => {
    const ids = await asked({ prompt: Array.from({ length: 400_000 }, () => 7) }, "completions");
    expect(() => readWhole(ids, 1000, model)).toThrow("more than 1000 tokens long");
    expect(await readWhole(ids, 400_001, model)).toBeUndefined();
    const tools = await asked({ tools: Array.from({ length: 10 }, () => LONG) });
    expect(() => readWhole(tools, 1000, model)).toThrow("tools takes more than");
  });

  test("is refused by the bytes of any member that is no prompt", async () => {
    const long = "x".repeat(2 * 1024 * 1024);
    for (const name of ["response_format", "chat_template_kwargs", "logit_bias", "stop", "lora_path", "of_nobody"]) {
      const request = await asked({ messages: [], [name]: { long } });
      expect(() => readWhole(request, undefined, model)).toThrow(`${name} takes more than 2097152 bytes`);
    }
    for (const name of ["messages", "system"]) {
      expect(await readWhole(await asked({ [name]: long, model: "m" }), undefined, model)).toBe("m");
    }
    const tokens = await asked({ tokens: long }, "detokenize_ids");
    expect(() => readWhole(tokens, undefined, model)).toThrow("tokens takes more than");
  });

  test("is read no further when the client leaves", async () => {
    const left = await asked({ messages: Array.from({ length: 10 }, () => LONG) });
    const reading = readWhole(left, undefined, model);
    left.signal.leave("gone");
    expect(await Promise.resolve(reading).catch((error: unknown) => error)).toMatchObject({ code: "client_closed" });
  });
});

describe("what is read of it", () => {
  test("has at most so many entries, whichever lists they stand in", async () => {
    const { body } = await asked({
      messages: Array.from({ length: 5000 }, () => ({})),
      tools: Array.from({ length: 5000 }, () => ({})),
    });
    const fields = JsonFields.of(body);
    expect(fields.objects("messages")).toHaveLength(5000);
    expect(() => fields.objects("tools")).toThrow("tools has too many entries: a request may have 8192");
    const nested = JsonFields.of(
      (await asked({ messages: [{ parts: Array.from({ length: 9000 }, () => ({})) }] })).body,
    );
    expect(() => nested.objects("messages")?.[0]?.objects("parts")).toThrow("messages[0].parts has too many entries");
  });
});
