import { GatewayError } from "../../errors/errors.ts";

/** Throws invalid_request for a parameter that the route does not have. */
export function refuseUnknown(query: URLSearchParams, known: readonly string[]): void {
  for (const name of query.keys()) {
    if (known.includes(name)) continue;
    const message = `unknown parameter ${JSON.stringify(name)}; there are ${known.join(", ")}`;
    throw new GatewayError("invalid_request", message, { param: name });
  }
}

/** A whole number from 1; undefined where it is not given. Throws invalid_request. */
export function wholeNumberIn(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new GatewayError("invalid_request", `${name} must be a whole number from 1`, { param: name });
}
