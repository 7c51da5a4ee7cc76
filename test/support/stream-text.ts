import { isJsonObject, type JsonObject, numberField, objectField, stringField } from "../../src/protocol/json/json.ts";

/** The text of a whole stream, of whatever API; of several sequences their texts, one a line, in the order of their index. */
export function streamText(stream: string): string {
  const texts: string[] = [];
  for (const event of eventsOf(stream)) {
    for (const { index, text, isWhole } of piecesOf(event)) {
      texts[index] = isWhole ? text : (texts[index] ?? "") + text;
    }
  }
  return texts.join("\n");
}

/** The data of each event, where it is JSON. */
export function eventsOf(stream: string): JsonObject[] {
  // Not by `.` and `$`: JSON may have line separators of Unicode, where they end too.
  return stream.split("\n").flatMap((line) => {
    const json = /^data: (\{[^]*\})\r?$/.exec(line)?.[1];
    if (json === undefined) return [];
    const event: unknown = JSON.parse(json);
    return isJsonObject(event) ? [event] : [{}];
  });
}

interface Piece {
  readonly index: number;
  readonly text: string;
  /** All of the text so far. */
  readonly isWhole: boolean;
}

function piecesOf(event: JsonObject): readonly Piece[] {
  const native = stringField(event, "text");
  if (objectField(event, "meta_info")) {
    return [{ index: numberField(event, "index") ?? 0, text: native ?? "", isWhole: true }];
  }
  const { choices, type, delta } = event;
  if (Array.isArray(choices)) {
    return choices.filter(isJsonObject).map((choice) => ({
      index: numberField(choice, "index") ?? 0,
      text: stringField(choice, "text") ?? stringField(objectField(choice, "delta") ?? {}, "content") ?? "",
      isWhole: false,
    }));
  }
  if (type === "response.output_text.delta" && typeof delta === "string") {
    return [{ index: 0, text: delta, isWhole: false }];
  }
  const text = stringField(objectField(event, "delta") ?? {}, "text");
  return text === undefined ? [] : [{ index: 0, text, isWhole: false }];
}
