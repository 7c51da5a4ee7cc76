import { GatewayError } from "../errors/errors.ts";
import type { RequestRecord } from "../observability/request-record.ts";
import type { Dialect } from "../protocol/dialect.ts";
import { RECEIPT_HEADER } from "../router/receipt.ts";
import type { WholeReply } from "../transport/downstream.ts";
import type { HeaderReader } from "../util/header-reader.ts";
import type { Auth, Caller } from "./auth.ts";
import { errorReply, statusIn } from "./error-reply.ts";

/** The header that asks for a receipt. It stays in the gateway. */
const EXPLAIN_HEADER = "x-pointsman-explain";

/**
 * Notes that the caller wants to know why its request goes where it goes, if it asks for it and may know. Who asks without the key is
 * refused: an answer without a receipt would not say what is missing. Throws invalid_request, invalid_api_key, forbidden.
 */
export function noteReceiptWanted(auth: Auth, caller: Caller, record: RequestRecord): void {
  if (!caller.headers.has(EXPLAIN_HEADER) || !isWanted(caller.headers)) return;
  auth.receipt(caller);
  record.decisions ??= [];
  record.receipt = "";
}

/** Settles the record of a request that failed, and makes its answer, with the receipt of the last try where the client asked for one. */
export function failedReply(error: GatewayError, dialect: Dialect, record: RequestRecord): WholeReply {
  record.settle(statusIn(dialect, error), error.code);
  const reply = errorReply(error, dialect, record.requestId);
  if (record.receipt) reply.headers[RECEIPT_HEADER] = record.receipt;
  return reply;
}

function isWanted(headers: HeaderReader): boolean {
  const value = headers.get(EXPLAIN_HEADER);
  if (value === "1" || value === "true") return true;
  if (value === "0" || value === "false") return false;
  throw new GatewayError("invalid_request", `${EXPLAIN_HEADER} must be 1 or 0`, { param: EXPLAIN_HEADER });
}
