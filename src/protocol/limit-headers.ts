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

/** Seconds for which a limit holds. */
const WINDOW_SECS = 60;

/** The lines `ratelimit-policy` and `ratelimit`. Source: draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4. */
function standardLines({ requests, tokens }: LimitStates): string {
  if (requests && tokens) {
    return (
      `ratelimit-policy: "requests";q=${requests.limit};w=${WINDOW_SECS}, "tokens";q=${tokens.limit};w=${WINDOW_SECS}\r\n` +
      `ratelimit: "requests";r=${requests.remaining};t=${secs(requests)}, "tokens";r=${tokens.remaining};t=${secs(tokens)}\r\n`
    );
  }
  if (requests) return lineOfOne("requests", requests);
  return tokens ? lineOfOne("tokens", tokens) : "";
}

function lineOfOne(name: string, state: LimitState): string {
  return (
    `ratelimit-policy: "${name}";q=${state.limit};w=${WINDOW_SECS}\r\n` +
    `ratelimit: "${name}";r=${state.remaining};t=${secs(state)}\r\n`
  );
}

function secs({ resetMs }: LimitState): number {
  return Math.ceil(resetMs / 1000);
}

/** The standard's lines and `x-ratelimit-*`, each with its CRLF. Source: OpenAI API reference, rate limits in headers. */
export function openaiLimitLines(states: LimitStates): string {
  const { requests, tokens } = states;
  let lines = standardLines(states);
  if (requests) lines += openaiLines("requests", requests);
  if (tokens) lines += openaiLines("tokens", tokens);
  return lines;
}

function openaiLines(name: string, { limit, remaining, resetMs }: LimitState): string {
  return (
    `x-ratelimit-limit-${name}: ${limit}\r\nx-ratelimit-remaining-${name}: ${remaining}\r\n` +
    `x-ratelimit-reset-${name}: ${duration(resetMs)}\r\n`
  );
}

/**
 * The standard's lines and `anthropic-ratelimit-*`, each with its CRLF. Source: Anthropic API reference, rate limits. `wallNow`: ms since
 * 1970.
 */
export function anthropicLimitLines(states: LimitStates, wallNow = Date.now()): string {
  const { requests, tokens } = states;
  let lines = standardLines(states);
  if (requests) lines += anthropicLines("requests", requests, wallNow);
  if (tokens) lines += anthropicLines("tokens", tokens, wallNow);
  return lines;
}

function anthropicLines(name: string, { limit, remaining, resetMs }: LimitState, wallNow: number): string {
  return (
    `anthropic-ratelimit-${name}-limit: ${limit}\r\nanthropic-ratelimit-${name}-remaining: ${remaining}\r\n` +
    `anthropic-ratelimit-${name}-reset: ${timeOf(Math.ceil((wallNow + resetMs) / 1000))}\r\n`
  );
}

let lastSecond = 0;
let lastTime = "";

/** A second since 1970 as Anthropic writes it, kept until another one is asked for. */
function timeOf(second: number): string {
  if (second !== lastSecond) {
    lastSecond = second;
    lastTime = `${new Date(second * 1000).toISOString().slice(0, 19)}Z`;
  }
  return lastTime;
}

/** A duration as OpenAI writes it: `120ms`, `1.5s`, `6m0s`. */
function duration(ms: number): string {
  if (ms < 1000) return `${Math.ceil(ms)}ms`;
  if (ms <= 59_900) return `${Math.ceil(ms / 100) / 10}s`;
  const whole = Math.ceil(ms / 1000);
  return `${Math.floor(whole / 60)}m${whole % 60}s`;
}
