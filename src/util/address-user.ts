/** What is said of an address with a user or a password: it would stand in logs, metrics and lists of workers, so none is taken anywhere. */
export const CARRIES_USER = "must not carry a user or password";

/** An address, of which a host without a scheme is one as well; null for a text that is none. */
export function parseAddress(text: string): URL | null {
  return URL.parse(text.includes("://") ? text : `http://${text}`);
}

/** Whether an address has a user or a password before its host. A text that is no address has neither. */
export function carriesUser(address: URL | string): boolean {
  const url = typeof address === "string" ? parseAddress(address) : address;
  return url !== null && (url.username !== "" || url.password !== "");
}

/** A text for people, without what stands before the `@` of an address in it: that may be a password. */
export function withoutUser(text: string): string {
  return text.replaceAll(
    /([a-z][a-z0-9+.-]*:\/\/)?[^\s"]*@/gi,
    (_, scheme: string | undefined) => `${scheme ?? ""}[redacted]@`,
  );
}
