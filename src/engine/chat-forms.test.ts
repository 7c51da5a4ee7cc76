import { describe, expect, test } from "bun:test";
import type { ToolSpec } from "../protocol/generation.ts";
import { chatFormOf } from "./engines.ts";

const SCHEMA = { type: "object" };

function spec(written: Readonly<Record<string, unknown>>, beside: ToolSpec["beside"] = {}): ToolSpec {
  return { name: "f", description: undefined, parameters: undefined, written, beside };
}

/** The tool as its members are printed, one after the other. */
function shown(engine: string, engineVersion: string | undefined, tool: ToolSpec): string {
  const info = { engine, engineVersion } as Parameters<typeof chatFormOf>[0]["info"];
  return JSON.stringify(chatFormOf({ info }).toolOf(tool));
}

const FULL = spec({ parameters: SCHEMA, name: "f", description: "d" });
const BARE = spec({ name: "f" });
const STRICT = spec({ name: "f", strict: true, description: null, extra: 1 }, { more: 2 });
const NOT_STRICT = spec({ strict: null, name: "f" });
const DEFERRED = spec({ name: "f" }, { defer_loading: true });

const called = (members: string, more = ""): string => `{"type":"function","function":{${members}}${more}}`;
const NULLS = '"name":"f","description":null,"parameters":null';

describe("a tool in the prompts of vLLM", () => {
  const of = (version: string | undefined, tool: ToolSpec): string => shown("vllm", version, tool);

  test("has its members in one order, and null for those that are absent", () => {
    for (const version of ["0.10.0", "0.25.1", "0.32.0+cpu", undefined]) {
      expect(of(version, FULL)).toBe(called('"name":"f","description":"d","parameters":{"type":"object"}'));
      expect(of(version, BARE)).toBe(called(NULLS));
    }
  });

  test("has others behind them: all in old versions, later those that are known, and these only where they were said", () => {
    expect(of("0.23.0", STRICT)).toBe(called(`${NULLS},"strict":true,"extra":1`, ',"more":2'));
    expect(of("0.26.0", STRICT)).toBe(called(`${NULLS},"strict":true,"extra":1`, ',"more":2'));
    expect(of("0.27.0", STRICT)).toBe(called(`${NULLS},"strict":true`));
    expect(of("0.23.0", NOT_STRICT)).toBe(called(`${NULLS},"strict":null`));
    expect(of("0.24.0", NOT_STRICT)).toBe(called(NULLS));
    expect(of("0.23.0", DEFERRED)).toBe(called(NULLS, ',"defer_loading":true'));
    expect(of("0.32.0", DEFERRED)).toBe(called(`${NULLS},"defer_loading":true`, ',"defer_loading":true'));
  });
});

describe("a tool in the prompts of SGLang", () => {
  const of = (version: string | undefined, tool: ToolSpec): string => shown("sglang", version, tool);

  test("is a bare function in old versions", () => {
    expect(of("0.5.8.post1", BARE)).toBe('{"description":null,"name":"f","parameters":null,"strict":false}');
  });

  test("says in one order what it is, and whether it is strict", () => {
    const full = '"description":"d","name":"f","parameters":{"type":"object"},"strict":false';
    expect(of("0.5.10", FULL)).toBe(called(full));
    expect(of("0.5.22", FULL)).toBe(called(full, ',"defer_loading":null'));
    expect(of("0.5.22", STRICT)).toBe(
      called('"description":null,"name":"f","parameters":null,"strict":true', ',"defer_loading":null'),
    );
  });

  test("has since 0.5.23 the client's order, and behind it what the client left out", () => {
    const full = '"parameters":{"type":"object"},"name":"f","description":"d"';
    expect(of("0.5.23", FULL)).toBe(called(full, ',"defer_loading":null'));
    expect(of(undefined, BARE)).toBe(
      called('"name":"f","description":null,"parameters":null', ',"defer_loading":null'),
    );
    expect(of("0.5.23", STRICT)).toBe(
      called('"name":"f","strict":true,"description":null,"parameters":null', ',"defer_loading":null'),
    );
    expect(of("0.5.23", NOT_STRICT)).toBe(
      called('"name":"f","description":null,"parameters":null', ',"defer_loading":null'),
    );
    expect(of("0.5.23", DEFERRED)).toBe(
      called('"name":"f","description":null,"parameters":null,"defer_loading":true', ',"defer_loading":true'),
    );
  });
});

test("an engine of which nothing is known gets tools as the gateway writes them", () => {
  expect(shown("openai", "1.0", STRICT)).toBe(called('"name":"f"'));
  expect(shown("trtllm", undefined, STRICT)).toBe(called('"name":"f"'));
});

test("what effort says of thinking is what the engine's version makes of it", () => {
  const form = (engine: string, engineVersion: string) =>
    chatFormOf({ info: { engine, engineVersion } as Parameters<typeof chatFormOf>[0]["info"] });
  expect(form("vllm", "0.21.0").effort("low")).toEqual({ reasoning_effort: "low" });
  expect(form("vllm", "0.22.0").effort("low")).toEqual({ reasoning_effort: "low", enable_thinking: true });
  expect(form("vllm", "0.32.0").effort("none")).toEqual({ reasoning_effort: "none", enable_thinking: false });
  expect(form("vllm", "0.32.0").thinking("disabled")).toEqual({ reasoning_effort: "none", enable_thinking: false });
  expect(form("vllm", "0.32.0").thinking("enabled")).toEqual({});
  expect(form("sglang", "0.5.12").effort("low")).toEqual({ reasoning_effort: "low" });
  expect(form("sglang", "0.5.23").effort("minimal")).toMatchObject({ enable_thinking: true, thinking: true });
  for (const engine of ["vllm", "sglang"]) expect(form(engine, "0.32.0").effort(undefined)).toEqual({});
});
