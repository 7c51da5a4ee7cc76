import type { CallFormat } from "../call-format.ts";
import { readJsonCalls } from "../json-calls.ts";
import { passRest } from "../json-value.ts";
import { MarkerSet } from "../marker-set.ts";

const NO_ENDS = new MarkerSet([]);

/**
 * JSON anywhere in the text. Only an object that names a declared tool and has arguments is a call, or an array of them;
 * what is within other JSON is none.
 */
export const bareJson: CallFormat = {
  openers: ["{", "["],
  isMarked: false,
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
