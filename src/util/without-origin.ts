/** Longest message of a worker that is passed on, characters. */
const MAX_MESSAGE_CHARS = 2000;

/** A worker's message as clients may read it: without the worker's address (`scheme://host:port`), and cut to 2,000 characters. */
export function withoutOrigin(message: string, origin: string): string {
  const host = origin.slice(origin.indexOf("//") + 2);
  return message.replaceAll(origin, "the worker").replaceAll(host, "the worker").slice(0, MAX_MESSAGE_CHARS);
}
