/** Of this thread of this process. */
const PROCESS = `-${crypto.randomUUID().slice(0, 8)}n`;
let count = 0;

/**
 * What an engine knows a request by: the client's id, and what makes it unique. Clients give one id to several requests (a session, a
 * trace), and a second try has that of the first; an engine refuses an id that it has, or mixes the two up. Logs and answers have
 * the client's, with which this one begins.
 */
export function engineRequestId({ requestId }: { readonly requestId: string }): string {
  count += 1;
  return requestId + PROCESS + count;
}
