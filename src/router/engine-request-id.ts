/** Distinguishes this thread of this process. */
const PROCESS = `-${crypto.randomUUID().slice(0, 8)}n`;
let count = 0;

/**
 * The id under which an engine knows a request: the client's id with a unique suffix. Clients give one id to several requests (a
 * session, a trace), and a second try has the first one's id. Engines refuse an id that they already have, or mix up the two
 * requests. Logs and answers have the client's id.
 */
export function engineRequestId({ requestId }: { readonly requestId: string }): string {
  count += 1;
  return requestId + PROCESS + count;
}
