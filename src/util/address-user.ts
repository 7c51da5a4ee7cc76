/** What is said of an address with a user or a password: it would stand in logs, metrics and lists of workers, so none is taken anywhere. */
export const CARRIES_USER = "must not carry a user or password";

/** Whether an address has a user or a password before its host. A text without a scheme is a host; one that is no address has neither. */
export function carriesUser(address: URL | string): boolean {
  const url =
    typeof address === "string" ? URL.parse(address.includes("://") ? address : `http://${address}`) : address;
  return url !== null && (url.username !== "" || url.password !== "");
}

/** A text for people, without what stands before the `@` of an address in it: that may be a password. */
export function withoutUser(text: string): string {
  return text.replaceAll(
    /([a-z][a-z0-9+.-]*:\/\/)?[^\s"]*@/gi,
    (_, scheme: string | undefined) => `${scheme ?? ""}[redacted]@`,
  );
}
