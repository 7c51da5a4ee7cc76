import type { CallFormat } from "../call-format.ts";
import { readJsonCalls } from "../json-calls.ts";
import { JsonExtent } from "../json-extent.ts";
import { NO_ENDS, passRest } from "../json-value.ts";

/** Units in which it mostly shows that brackets are no JSON. */
const LOOK_AHEAD = 16;

/**
 * JSON anywhere in the text. A call is an object that names a declared tool and has arguments, or an array of these objects.
 * Objects inside of other JSON are not calls.
 */
export const bareJson: CallFormat = {
  openers: ["{", "["],
  isMarked: false,
  plainTo: noJsonTo,
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

/**
 * As `CallFormat.plainTo`: up to where the text is seen not to be JSON. Mostly the brackets are of code or prose. Behind the first colon it may
 * be nearly JSON, and a call all the same.
 */
function noJsonTo(text: string, at: number): number {
  const extent = new JsonExtent(NO_ENDS);
  const seen = text.slice(at, at + LOOK_AHEAD);
  const end = extent.read(seen, 0);
  if (extent.state !== "failed") return at;
  const colon = seen.indexOf(":");
  return colon >= 0 && colon < end ? at : at + end;
}
