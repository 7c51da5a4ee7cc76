import { describe, expect, test } from "bun:test";
import type { ToolSpec } from "./generation.ts";
import { JsonFields } from "./json/json-fields.ts";
import { type AskedChoice, readTool, refuseDoubles, toolUse } from "./tool-use.ts";

const PARAMETERS = {
  type: "object",
  properties: { city: { $ref: "#/$defs/city" } },
  $defs: { city: { type: "string" } },
};
const weather: ToolSpec = { name: "weather", description: undefined, parameters: PARAMETERS, written: {}, beside: {} };
const time: ToolSpec = { name: "time", description: undefined, parameters: undefined, written: {}, beside: {} };

function used(
  asked: AskedChoice,
  isParallel = true,
  declared: readonly ToolSpec[] = [weather, time],
): ReturnType<typeof toolUse> {
  return toolUse(declared, asked, isParallel, new JsonFields({}, ""));
}

function schemaOf(use: ReturnType<typeof toolUse>): unknown {
  return use.constraint?.kind === "json_schema" ? JSON.parse(use.constraint.schema) : undefined;
}

describe("a choice of tools", () => {
  test("auto: the model is told of all tools and forced to nothing", () => {
    expect(used({ kind: "auto" })).toEqual({
      tools: [weather, time],
      declared: [weather, time],
      toolChoice: { kind: "auto" },
      constraint: undefined,
    });
  });

  test("none: the model is told of no tool", () => {
    expect(used({ kind: "none" })).toMatchObject({
      tools: undefined,
      declared: [weather, time],
      toolChoice: { kind: "none" },
      constraint: undefined,
    });
  });

  test("auto among some: the model is told of those", () => {
    expect(used({ kind: "auto", allowed: ["time"] }).tools).toEqual([time]);
  });

  test("a function: the text must be its arguments, and the model is told of no other", () => {
    const use = used({ kind: "function", name: "weather" });
    expect([use.tools, use.toolChoice]).toEqual([
      [weather],
      { kind: "function", name: "weather", form: "json_arguments" },
    ]);
    expect(schemaOf(use)).toEqual(PARAMETERS);
    expect(schemaOf(used({ kind: "function", name: "time" }))).toEqual({ type: "object", properties: {} });
  });

  test("required: the text must be a list of calls, each with the arguments of its own tool", () => {
    const use = used({ kind: "required" });
    expect(use.toolChoice).toEqual({ kind: "required", form: "json_calls" });
    const schema = schemaOf(use);
    expect(schema).toMatchObject({ type: "array", minItems: 1 });
    expect(schema).not.toHaveProperty("maxItems");
    expect(schema).toHaveProperty("items.anyOf.0.properties.name.enum", ["weather"]);
    expect(schema).toHaveProperty("items.anyOf.1.properties.name.enum", ["time"]);
  });

  test("required, one at a time: the list has one call", () => {
    expect(schemaOf(used({ kind: "required" }, false))).toHaveProperty("maxItems", 1);
  });

  test("required: references within a tool's schema lead to where the schema stands now", () => {
    expect(schemaOf(used({ kind: "required" }))).toHaveProperty(
      "items.anyOf.0.properties.parameters.properties.city.$ref",
      "#/items/anyOf/0/properties/parameters/$defs/city",
    );
  });
});

describe("a choice is refused", () => {
  test("where it names a tool that is not declared", () => {
    expect(() => used({ kind: "function", name: "news" })).toThrow(
      "tool_choice names the function news, which is not among the tools",
    );
    expect(() => used({ kind: "auto", allowed: ["time", "news"] })).toThrow("news");
  });

  test("where a call is demanded and no tool is declared", () => {
    expect(() => used({ kind: "required" }, true, [])).toThrow("tool_choice needs tools to choose from");
    expect(used({ kind: "auto" }, true, []).tools).toBeUndefined();
  });
});

describe("tools", () => {
  test("have a name, and their schema under the name that the API gives it", () => {
    const json = { strict: true, name: "f", input_schema: { type: "object" }, cache_control: {} };
    const fields = new JsonFields(json, "tools[0]");
    expect(readTool(fields, "input_schema")).toEqual({
      name: "f",
      description: undefined,
      parameters: { type: "object" },
      written: { name: "f", parameters: { type: "object" }, strict: true },
      beside: {},
    });
    expect(() => readTool(new JsonFields({}, "tools[0]"), "parameters")).toThrow("tools[0].name");
  });

  test("of the same name are refused", () => {
    const fields = new JsonFields({}, "");
    expect(() => refuseDoubles([time, weather, time], fields)).toThrow("tools[2] has the name time of another tool");
    expect(() => refuseDoubles([time, weather], fields)).not.toThrow();
  });
});
