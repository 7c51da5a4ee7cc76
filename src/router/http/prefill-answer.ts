import type { LegChange } from "../../engine/connector.ts";
import { memberAt } from "../../protocol/json/splice.ts";
import type { Usage } from "../../protocol/usage.ts";
import { OPEN_BRACE, OPEN_BRACKET } from "../../util/ascii.ts";
import type { PdTry } from "../pd/pd-try.ts";
import type { InferenceRequest } from "../router.ts";

/** Members of decode's body, with what prefill's answer hands over. Counts how the hand-over went. */
export function handedOver(pd: PdTry, { members }: LegChange, answer: Uint8Array | undefined): LegChange["members"] {
  const { handsOver } = pd.connector;
  if (handsOver === undefined) {
    pd.countHandover("handed_over");
    return members;
  }
  const params = answer && memberAt(answer, [handsOver]);
  const isThere = params !== undefined && params[0] === OPEN_BRACE;
  pd.countHandover(isThere ? "handed_over" : "missing");
  // Without them decode prefills for itself. That is correct but slow, so it is counted.
  return new Map([...members, [handsOver, isThere ? params : "null"]]);
}

/** A longer answer has log-probabilities, and is not worth the time that reading it takes. */
const MOST_BYTES = 64 * 1024;
const DATA = "data:";

/** A prefill worker's own counts in its answer, whole or as a stream; undefined where it tells none. */
export function prefillTokens(
  answer: Uint8Array | undefined,
  { endpoint, body }: Pick<InferenceRequest, "endpoint" | "body">,
): Usage | undefined {
  if (!answer || answer.length > MOST_BYTES) return undefined;
  const text = Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength).toString();
  const isWhole = answer[0] === OPEN_BRACE || answer[0] === OPEN_BRACKET;
  try {
    if (isWhole) return endpoint.dialect.usageOf(JSON.parse(text), body);
    const reader = endpoint.dialect.createStreamReader(body);
    for (const line of text.split("\n"))
      if (line.startsWith(DATA)) reader.onEvent(undefined, line.slice(DATA.length).trim());
    return reader.usage;
  } catch {
    // It has prefilled all the same; what it says is only for the policy.
    return undefined;
  }
}
