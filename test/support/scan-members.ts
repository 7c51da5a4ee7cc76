import { JsonScanner } from "../../src/protocol/json/json-scanner.ts";
import type { Members } from "../../src/protocol/json/members.ts";

/** Where the outermost members of a text stand; the text is read at once. Throws SyntaxError. */
export function scanMembers(bytes: Uint8Array): Members {
  const scanner = new JsonScanner(bytes);
  scanner.run(Number.POSITIVE_INFINITY);
  return scanner.members;
}
