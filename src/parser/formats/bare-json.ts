import type { CallFormat } from "../call-format.ts";
import { readJsonCalls } from "../json-calls.ts";
import { NO_ENDS, passRest } from "../json-value.ts";
import { isSpace } from "../text-input.ts";

/**
 * JSON anywhere in the text. A call is an object that names a declared tool and has arguments, or an array of these objects.
 * Objects inside of other JSON are not calls.
 */
export const bareJson: CallFormat = {
  openers: ["{", "["],
  isMarked: false,
  // A key or the closing brace must follow the brace of an object. Other braces are code or prose.
  rejects: (opener, next) => opener === "{" && next >= 0 && next !== 0x22 && next !== 0x7d && !isSpace(next),
  *read(context, opener) {
    const { input, writer } = context;
    const before = writer.calls;
    yield* readJsonCalls(context, NO_ENDS, opener);
    if (writer.calls > before) return;
    const seen = input.stopRecording();
    writer.text(seen);
    yield* passRest(input, seen, writer.text);
  },
};
