import pino from "pino";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

/** What the gateway asks of a logger: pino fits, and so does a test's array. */
export interface Logger {
  debug(fields: object, message?: string): void;
  info(fields: object, message?: string): void;
  warn(fields: object, message?: string): void;
  error(fields: object, message?: string): void;
}

/** Lines are gathered up to this size, or until the next tick of the flush timer. */
const BUFFER_BYTES = 8192;
const FLUSH_MS = 200;

export interface RunningLogger extends Logger, Disposable {}

/** JSON lines on standard output, written behind: at most 200 ms of them wait. Dispose writes what is left. */
export function createLogger(level: LogLevel): RunningLogger {
  const destination = pino.destination({ fd: 1, sync: false, minLength: BUFFER_BYTES });
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  const timer = setInterval(() => destination.flush(), FLUSH_MS);
  timer.unref();
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    [Symbol.dispose](): void {
      clearInterval(timer);
      destination.flushSync();
    },
  };
}
