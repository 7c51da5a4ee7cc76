import { isJsonObject, jsonObjectOf, type JsonObject, objectField } from "../protocol/json/json.ts";
import { schemaValue } from "./schema-value.ts";

/**
 * The answer to a request that asks, in the words of any API, for JSON or for a value of a schema: the text of such a value and
 * nothing else, as with an engine's grammar. Undefined where the request asks for neither.
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

/** The schema of the answer to a request that asks for any JSON object. */
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

/** The schema that a value is, or whose JSON text it is. */
function asSchema(value: unknown): JsonObject | undefined {
  if (typeof value === "string") return jsonObjectOf(value);
  return isJsonObject(value) ? value : undefined;
}
