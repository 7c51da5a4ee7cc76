import { jsonLine, jsonOf, lineForm, type LogFormat, logSurroundings } from "./log-line.ts";
import { type LogOutput, LogWriter } from "./log-writer.ts";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

/** The logger that the gateway needs; tests pass a fake. */
export interface Logger {
  debug(fields: object, message?: string): void;
  info(fields: object, message?: string): void;
  warn(fields: object, message?: string): void;
  error(fields: object, message?: string): void;
  /**
   * As `info`, where lines are JSON: `membersOf` writes the fields of the subject as the members of an object, without its braces. It is asked
   * only where the line is written. undefined where lines are text.
   */
  readonly infoMembers?:
    | (<Subject>(membersOf: (subject: Subject) => string, subject: Subject, message: string) => void)
    | undefined;
}

/** Lines are gathered up to this size, or until the next tick of the flush timer. */
const BUFFER_BYTES = 65_536;
const FLUSH_MS = 200;

/** Time for the last lines to leave when the gateway ends, ms. The reader may already be gone. */
const LAST_FLUSH_MS = 1000;

/** A logger with an output that must be closed. */
export interface RunningLogger extends Logger, AsyncDisposable {
  /** Writes complete lines that another thread made. */
  writeLines(text: string): void;
  /** Writes lines of this level and above from now on. */
  setLevel(level: LogLevel): void;
}

/** Numbers of the levels, the same as pino's, so that tools for pino's lines read ours. */
const LEVELS: Readonly<Record<LogLevel, number>> = {
  trace: 10,
  debug: 20,
  info: 30,
  warn: 40,
  error: 50,
  fatal: 60,
  silent: Number.POSITIVE_INFINITY,
};

/** Whether lines of a level are written where `least` is the least that is. */
export function isWritten(level: LogLevel, least: LogLevel): boolean {
  return LEVELS[level] >= LEVELS[least];
}

/**
 * Writes lines of this format to standard output, or to `output`. A line waits at most 200 ms; dispose writes the rest. pino itself cost a tenth of the CPU of a small request (2026-11-24), this costs a
 * fiftieth.
 */
export function createLogger(level: LogLevel, format: LogFormat, output?: LogOutput): RunningLogger {
  const form = lineForm(format, logSurroundings());
  const writer = new LogWriter(output ?? Bun.stdout.writer({ highWaterMark: BUFFER_BYTES }), form);
  let least = LEVELS[level];
  const write = (number: number, fields: object, message?: string): void => {
    if (number >= least) writer.write(form(number, fields, message));
  };
  const timer = setInterval(() => void writer.flush(), FLUSH_MS);
  timer.unref();
  return {
    debug: (fields, message) => write(LEVELS.debug, fields, message),
    info: (fields, message) => write(LEVELS.info, fields, message),
    warn: (fields, message) => write(LEVELS.warn, fields, message),
    error: (fields, message) => write(LEVELS.error, fields, message),
    infoMembers:
      form === jsonLine
        ? (membersOf, subject, message) => {
            if (LEVELS.info >= least) writer.write(jsonOf(LEVELS.info, membersOf(subject), message));
          }
        : undefined,
    writeLines: (text) => writer.write(text),
    setLevel: (next) => {
      least = LEVELS[next];
    },
    async [Symbol.asyncDispose](): Promise<void> {
      clearInterval(timer);
      await Promise.race([writer.flush(), Bun.sleep(LAST_FLUSH_MS)]);
    },
  };
}
