/** What is left of one limit. */
export interface LimitState {
  /** What the caller has for a minute. */
  readonly limit: number;
  readonly remaining: number;
  /** Time until it is whole again, ms. */
  readonly resetMs: number;
}

/** What is left of a caller's limits a minute; undefined for a limit that is not set. */
export interface LimitStates {
  readonly requests: LimitState | undefined;
  readonly tokens: LimitState | undefined;
}

type Headers = Record<string, string>;

/** Seconds for which a limit holds. */
const WINDOW_SECS = 60;

/** Adds `ratelimit-policy` and `ratelimit`. Source: draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4. */
function addStandardHeaders(headers: Headers, { requests, tokens }: LimitStates): void {
  if (!requests && !tokens) return;
  const between = requests && tokens ? ", " : "";
  headers["ratelimit-policy"] =
    `${requests ? policyOf("requests", requests) : ""}${between}${tokens ? policyOf("tokens", tokens) : ""}`;
  headers["ratelimit"] =
    `${requests ? stateOf("requests", requests) : ""}${between}${tokens ? stateOf("tokens", tokens) : ""}`;
}

function policyOf(name: string, { limit }: LimitState): string {
  return `"${name}";q=${limit};w=${WINDOW_SECS}`;
}

function stateOf(name: string, { remaining, resetMs }: LimitState): string {
  return `"${name}";r=${remaining};t=${Math.ceil(resetMs / 1000)}`;
}

/** Adds the standard's headers and `x-ratelimit-*`. Source: OpenAI API reference, rate limits in headers. */
export function addOpenaiLimits(headers: Headers, states: LimitStates): void {
  addStandardHeaders(headers, states);
  const { requests, tokens } = states;
  // The names are written out: they are joined for no request.
  if (requests) {
    headers["x-ratelimit-limit-requests"] = String(requests.limit);
    headers["x-ratelimit-remaining-requests"] = String(requests.remaining);
    headers["x-ratelimit-reset-requests"] = duration(requests.resetMs);
  }
  if (tokens) {
    headers["x-ratelimit-limit-tokens"] = String(tokens.limit);
    headers["x-ratelimit-remaining-tokens"] = String(tokens.remaining);
    headers["x-ratelimit-reset-tokens"] = duration(tokens.resetMs);
  }
}

/** Adds the standard's headers and `anthropic-ratelimit-*`. Source: Anthropic API reference, rate limits. `wallNow`: ms since 1970. */
export function addAnthropicLimits(headers: Headers, states: LimitStates, wallNow: number): void {
  addStandardHeaders(headers, states);
  for (const name of ["requests", "tokens"] as const) {
    const state = states[name];
    if (!state) continue;
    headers[`anthropic-ratelimit-${name}-limit`] = String(state.limit);
    headers[`anthropic-ratelimit-${name}-remaining`] = String(state.remaining);
    const resetAt = Math.ceil((wallNow + state.resetMs) / 1000) * 1000;
    headers[`anthropic-ratelimit-${name}-reset`] = `${new Date(resetAt).toISOString().slice(0, 19)}Z`;
  }
}

/** A duration as OpenAI writes it: `120ms`, `1.5s`, `6m0s`. */
function duration(ms: number): string {
  if (ms < 1000) return `${Math.ceil(ms)}ms`;
  const secs = Math.ceil(ms / 100) / 10;
  return secs < 60 ? `${secs}s` : `${Math.floor(secs / 60)}m${Math.ceil(secs % 60)}s`;
}
