import { JsonScanner, type Span } from "../../src/protocol/json/json-scanner.ts";

/** Where the outermost members of a text stand; the text is read at once. Throws SyntaxError. */
export function scanMembers(bytes: Uint8Array): ReadonlyMap<string, Span> {
  const scanner = new JsonScanner(bytes);
  scanner.run(Number.POSITIVE_INFINITY);
  return scanner.members;
}
