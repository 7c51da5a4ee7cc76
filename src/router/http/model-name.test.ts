import { describe, expect, test } from "bun:test";
import { ModelName } from "./model-name.ts";

const whole = (json: string): string => Buffer.from(new ModelName("gpt-4").whole(Buffer.from(json))).toString();

describe("a whole answer", () => {
  test("has the client's name, and all its other bytes", () => {
    expect(whole('{ "id":"1", "model" : "llama", "n":1.0 }')).toBe('{ "id":"1", "model" : "gpt-4", "n":1.0 }');
  });
  test("of Responses and of Messages has it where they have it", () => {
    expect(whole('{"response":{"model":"llama"}}')).toBe('{"response":{"model":"gpt-4"}}');
    expect(whole('{"type":"message","model":"llama"}')).toBe('{"type":"message","model":"gpt-4"}');
  });
  test("keeps what only looks like it: a member deeper down, a text, another type", () => {
    for (const json of [
      '{"tools":[{"model":"llama"}],"choices":[]}',
      '{"text":"\\"model\\":\\"llama\\""}',
      '{"model":null}',
      '[{"model":"llama"}]',
    ]) {
      expect(whole(json)).toBe(json);
    }
  });
  test("gets a name with quotes and letters of any script as JSON", () => {
    const named = new ModelName('a"b\\ü').whole(Buffer.from('{"model":"x"}'));
    expect(JSON.parse(Buffer.from(named).toString())).toEqual({ model: 'a"b\\ü' });
  });
});

describe("a large answer", () => {
  const long = `[${"0.5,".repeat(40_000)}0.5]`;
  const renamed = (json: string): string => Buffer.from(new ModelName("gpt-4").whole(Buffer.from(json))).toString();
  const CASES: Readonly<Record<string, (name: string) => string>> = {
    "before its data": (name) => `{"id":"a{\\"","model": "${name}","data":${long},"usage":{"model":"llama"}}`,
    "after its data": (name) => `{"tools":[{"model":"llama"}],"data":${long},"model":"${name}","usage":{"n":1}} \n`,
    "in its middle": (name) => `{"data":${long},"model":"${name}","more":${long}}`,
    "after another one deeper down": (name) => `{"data":[{"model":"llama","v":${long}}],"model":"${name}"}`,
    "with a quote": (name) => `{"data":${long},"note":"say \\"model\\":\\"x\\"","model":"${name}"}`,
  };
  for (const [where, json] of Object.entries(CASES)) {
    test(`has the client's name, wherever it stands: ${where}`, () => {
      expect(renamed(json('lla\\"ma'))).toBe(json("gpt-4"));
    });
  }

  test("that has a name only deeper down stays", () => {
    const json = `{"data":[{"model":"llama","v":${long}}],"last":{"model":"llama"}}`;
    expect(renamed(json)).toBe(json);
  });
});

describe("an event", () => {
  const change = new ModelName("gpt-4");
  const renamed = (data: string): string | undefined => change.event(data)?.data;

  test("has the client's name, also where it begins as the one before", () => {
    expect(renamed('{"id":"é","model":"llama","choices":[1]}')).toBe('{"id":"é","model":"gpt-4","choices":[1]}');
    expect(renamed('{"id":"é","model":"llama","choices":[2]}')).toBe('{"id":"é","model":"gpt-4","choices":[2]}');
    expect(renamed('{"id":"é","model":"llama-2","choices":[3]}')).toBe('{"id":"é","model":"gpt-4","choices":[3]}');
  });
  test("of Responses and of Messages has it within its object", () => {
    expect(renamed('{"type":"response.created","response":{"model":"llama"}}')).toBe(
      '{"type":"response.created","response":{"model":"gpt-4"}}',
    );
    expect(renamed('{"type":"message_start","message":{"model":"llama"}}')).toBe(
      '{"type":"message_start","message":{"model":"gpt-4"}}',
    );
  });
  test("without a name, or that is no JSON, stays", () => {
    expect([renamed('{"delta":{"model":"x"}}'), renamed("[DONE]"), renamed('{"model":')]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});
