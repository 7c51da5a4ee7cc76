import { expect, test } from "bun:test";
import { constrainedText } from "./constraint.ts";

const SCHEMA = { type: "object", properties: { city: { const: "Berlin" } }, required: ["city"] };

test("a schema is kept to in the words of each API", () => {
  const named = { type: "json_schema", schema: SCHEMA };
  const bodies = [
    { response_format: { type: "json_schema", json_schema: { name: "s", schema: SCHEMA } } },
    { text: { format: named } },
    { output_config: { format: named } },
    { output_format: named },
    { guided_json: SCHEMA },
    { guided_json: JSON.stringify(SCHEMA) },
    { structured_outputs: { json: SCHEMA } },
    { json_schema: SCHEMA },
    { sampling_params: { json_schema: JSON.stringify(SCHEMA) } },
  ];
  for (const body of bodies) expect([body, constrainedText(body)]).toEqual([body, '{"city":"Berlin"}']);
});

test("any object is one that is JSON", () => {
  for (const body of [{ response_format: { type: "json_object" } }, { structured_outputs: { json_object: true } }])
    expect(JSON.parse(constrainedText(body) ?? "")).toBeObject();
});

test("what binds the answer to nothing gives no text", () => {
  for (const body of [{}, { response_format: { type: "text" } }, { guided_json: "no schema" }, { json_schema: 7 }])
    expect([body, constrainedText(body)]).toEqual([body, undefined]);
});
