import { expect, test } from "bun:test";
import fc from "fast-check";
import { ERRORS, GatewayError } from "../errors/errors.ts";
import { anthropicDialect } from "../protocol/anthropic/dialect.ts";
import { openaiDialect, responsesDialect } from "../protocol/openai/dialect.ts";
import { keysOf } from "../util/objects.ts";
import { wholeAnswer } from "../transport/http1-server/answer-bytes.ts";
import type { WholeReply } from "../transport/downstream.ts";
import { errorReply, OneErrorReply } from "./error-reply.ts";

/** The fields and the body as a client gets them; the order of fields means nothing. */
function written(reply: WholeReply): { readonly fields: string[]; readonly body: string } {
  const { bytes, length } = wholeAnswer({ method: "POST", isHttp11: true }, reply, reply.body, false);
  const [head = "", body = ""] = Buffer.from(bytes.subarray(0, length)).toString().split("\r\n\r\n");
  return { fields: head.split("\r\n").toSorted(), body };
}

test("an answer that was made before its request came is the one that is made for the request", () => {
  const dialects = [openaiDialect, responsesDialect, anthropicDialect];
  const id = fc.stringMatching(/^[\w.:-]{1,128}$/);
  fc.assert(
    fc.property(fc.constantFrom(...keysOf(ERRORS)), fc.constantFrom(...dialects), id, (code, dialect, requestId) => {
      const error = new GatewayError(code, "told \u00e4s it is", { retryAfterSecs: 60 });
      const prepared = new OneErrorReply(error, dialect);
      prepared.to("another");
      expect(written(prepared.to(requestId))).toEqual(written(errorReply(error, dialect, requestId)));
    }),
  );
});
