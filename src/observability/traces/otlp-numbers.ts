/** Numbers of SpanKind and StatusCode (opentelemetry-proto, trace/v1/trace.proto). */
export const KINDS = { server: 2, client: 3 } as const;
export const STATUS_ERROR = 2;

/** Milliseconds with a fraction as whole nanoseconds, in decimal digits: more of them than a number has. */
export function nanos(ms: number): string {
  const whole = Math.floor(ms);
  return `${whole}${String(Math.floor((ms - whole) * 1e6)).padStart(6, "0")}`;
}
