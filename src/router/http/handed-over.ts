import type { LegChange } from "../../engine/connector.ts";
import { memberAt } from "../../protocol/json/splice.ts";
import { OPEN_BRACE } from "../../util/ascii.ts";
import type { PdTry } from "../pd/pd-try.ts";

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
