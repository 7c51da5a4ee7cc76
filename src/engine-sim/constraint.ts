import { isJsonObject, jsonObjectOf, type JsonObject, objectField } from "../protocol/json/json.ts";
import { schemaValue } from "./schema-value.ts";

/**
 * What the model writes where the request binds it to JSON, in the words of any API; `undefined` where it does not. As an
 * engine's grammar does, it says nothing but a value of the schema.
 */
export function constrainedText(body: JsonObject): string | undefined {
  const sampling = objectField(body, "sampling_params") ?? {};
  const structured = objectField(body, "structured_outputs");
  const schema =
    namedFormat(body) ??
    asSchema(body["guided_json"]) ??
    asSchema(structured?.["json"]) ??
    asSchema(body["json_schema"]) ??
    asSchema(sampling["json_schema"]);
  if (schema) return JSON.stringify(schemaValue(schema));
  const isAnyObject = formatOf(body)?.["type"] === "json_object" || structured?.["json_object"] === true;
  return isAnyObject ? JSON.stringify(schemaValue(ANY_OBJECT)) : undefined;
}

/** What `json_object` alone is answered with. */
const ANY_OBJECT = { type: "object", properties: { answer: { type: "string" } } };

/** `response_format` of chat, `text.format` of responses, `output_config.format` and `output_format` of messages. */
function formatOf(body: JsonObject): JsonObject | undefined {
  return (
    objectField(body, "response_format") ??
    objectField(objectField(body, "text") ?? {}, "format") ??
    objectField(objectField(body, "output_config") ?? {}, "format") ??
    objectField(body, "output_format")
  );
}

function namedFormat(body: JsonObject): JsonObject | undefined {
  const format = formatOf(body);
  if (format?.["type"] !== "json_schema") return undefined;
  return asSchema((objectField(format, "json_schema") ?? format)["schema"]) ?? ANY_OBJECT;
}

/** A schema, or the text of one. */
function asSchema(value: unknown): JsonObject | undefined {
  if (typeof value === "string") return jsonObjectOf(value);
  return isJsonObject(value) ? value : undefined;
}
