import { clientClosed, GatewayError } from "../../errors/errors.ts";
import { PARSE_STEP_BYTES, parseInSteps } from "../../protocol/json/parse-in-steps.ts";
import type { InferenceRequest } from "../router.ts";
import { tooLong } from "./encode-within.ts";

/** Most bytes of tools, and of each member that is no prompt: a schema or a bias costs more time a byte than text does. */
const MAX_MEMBER_BYTES = 2 * 1024 * 1024;
/** So much of a member's name is told. */
const SHOWN_CHARS = 100;
/** More bytes than a token id with its separator takes, even with a line for each. */
const ID_BYTES = 32;

type Asked = Pick<InferenceRequest, "body" | "endpoint" | "signal">;

/**
 * Applies `read` to the whole body. A large body is first parsed in steps, so that other requests go on. It is not parsed if its size
 * shows that the model cannot take it. Throws invalid_request, client_closed and what `read` throws.
 */
export function readWhole<T>(
  asked: Asked,
  maxModelLen: number | undefined,
  read: (body: InferenceRequest["body"]) => T,
): T | Promise<T> {
  if (asked.body.bytes.length <= PARSE_STEP_BYTES) return read(asked.body);
  checkBytes(asked, maxModelLen);
  return readInSteps(asked, read);
}

/** Throws invalid_request for a body that the model cannot take. */
function checkBytes({ body, endpoint }: Asked, maxModelLen: number | undefined): void {
  for (const { name, start, end } of body.members) {
    if (end - start <= MAX_MEMBER_BYTES || (name !== "tools" && endpoint.promptMembers.includes(name))) continue;
    const told = `${name.slice(0, SHOWN_CHARS)} takes more than ${MAX_MEMBER_BYTES} bytes`;
    throw new GatewayError("invalid_request", told, { param: name.slice(0, SHOWN_CHARS) });
  }
  for (const name of endpoint.promptMembers) {
    const raw = body.raw(name);
    if (!raw || maxModelLen === undefined || raw.length <= maxModelLen * ID_BYTES || !isIdList(raw)) continue;
    throw tooLong(`more than ${maxModelLen}`, maxModelLen, name);
  }
}

async function readInSteps<T>({ body, signal }: Asked, read: (body: InferenceRequest["body"]) => T): Promise<T> {
  const check = (): void => {
    if (signal.aborted) throw clientClosed(signal.reason);
  };
  body.whole = await parseInSteps(body.bytes, check);
  try {
    return read(body);
  } finally {
    body.whole = undefined;
  }
}

/** Whether the value is one prompt of token ids: a list that begins with a number. */
function isIdList(raw: Uint8Array): boolean {
  return /^\[\s*\d/.test(Buffer.from(raw.subarray(0, 64)).toString("latin1"));
}
