/** The place of a span in a trace, as one process tells the next (W3C Trace Context, level 2). */
export interface TraceContext {
  /** 32 hexadecimal digits, not all 0. */
  readonly traceId: string;
  /** 16 hexadecimal digits, not all 0. */
  readonly spanId: string;
  readonly isSampled: boolean;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const NO_TRACE = "0".repeat(32);
const NO_SPAN = "0".repeat(16);

/** Reads a `traceparent` header; undefined where it is not valid, which counts as none. */
export function readTraceparent(text: string | null): TraceContext | undefined {
  if (text === null) return undefined;
  const [, version, traceId = "", spanId = "", flags = "", rest] = TRACEPARENT.exec(text.trim()) ?? [];
  if (version === undefined || version === "ff" || traceId === NO_TRACE || spanId === NO_SPAN) return undefined;
  // Version 00 has four fields; a later one may have more.
  if (version === "00" && rest !== undefined) return undefined;
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** The header for the next process, whose spans belong below `spanId`. */
export function writeTraceparent(traceId: string, spanId: string): string {
  return `00-${traceId}-${spanId}-01`;
}

/** A random id of so many bytes, in hexadecimal digits. */
export function randomId(bytes: 8 | 16): string {
  for (;;) {
    const id = Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString("hex");
    if (!/^0*$/.test(id)) return id;
  }
}

/**
 * Whether a trace falls into the sampled share, by its id, so that all processes that go by the id agree (OpenTelemetry,
 * `TraceIdRatioBased`): the last seven bytes are compared with the share.
 */
export function isInShare(traceId: string, ratio: number): boolean {
  if (ratio >= 1) return true;
  return Number.parseInt(traceId.slice(18, 32), 16) >= (1 - ratio) * 2 ** 56;
}

/** Largest number of seven bytes that a number has exactly. */
const LAST_IN_SHARE = 2 ** 56 - 8;

/**
 * The id of a new trace that is in the share, as `isInShare` has it; undefined for the others, for which no id is made. `draw`: from 0 to
 * before 1.
 */
export function idInShare(ratio: number, draw: () => number = Math.random): string | undefined {
  if (draw() >= ratio) return undefined;
  const id = randomId(16);
  if (isInShare(id, ratio)) return id;
  const place = Math.min(LAST_IN_SHARE, Math.ceil((1 - ratio + draw() * ratio) * 2 ** 56));
  return id.slice(0, 18) + BigInt(place).toString(16).padStart(14, "0");
}
