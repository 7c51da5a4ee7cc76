import type { CallFormat } from "../call-format.ts";
import { readJsonCalls } from "../json-calls.ts";
import { MarkerSet } from "../marker-set.ts";

const NO_ENDS = new MarkerSet([]);

/** JSON anywhere in the text. Only an object that names a declared tool and has arguments is a call. */
export const bareJson: CallFormat = {
  openers: ["{", "["],
  isMarked: false,
  read: (context, opener) => readJsonCalls(context, NO_ENDS, opener),
};
