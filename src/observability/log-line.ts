import { fstatSync } from "node:fs";
import type * as Tty from "node:tty";
import { lazy } from "../util/lazy.ts";
import { unicodeEscape } from "../util/unicode-escape.ts";

const tty = lazy((): typeof Tty => require("node:tty"));

/** How log lines look: JSON for programs, or text for a person. `auto`: text where standard output is a terminal. */
export type LogFormat = "auto" | "json" | "text";

/** Writes a line of a level (numbers as in pino) with its fields and message. It ends with a line feed. */
export type LineForm = (level: number, fields: object, message: string | undefined) => string;

/** What decides the look of lines. */
export interface LogSurroundings {
  /** Whether standard output is a terminal. */
  readonly isTerminal: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

const STANDARD_OUTPUT = 1;

/** Those of this process. Threads of it see the same. */
export function logSurroundings(): LogSurroundings {
  return { isTerminal: isTerminal(STANDARD_OUTPUT), env: process.env };
}

/** `node:tty` takes 1.5 MB, so it is asked only about what may be a terminal at all. */
function isTerminal(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isCharacterDevice() && tty().isatty(descriptor);
  } catch {
    // It is closed.
    return false;
  }
}

/** Whether lines are text. */
export function isTextual(format: LogFormat, { isTerminal }: LogSurroundings): boolean {
  return format === "text" || (format === "auto" && isTerminal);
}

/** The form of lines in this format. Text has colours on a terminal, unless NO_COLOR is set (https://no-color.org) or the terminal is dumb. */
export function lineForm(format: LogFormat, around: LogSurroundings): LineForm {
  if (!isTextual(format, around)) return jsonLine;
  const { isTerminal, env } = around;
  return isTerminal && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb" ? colouredLine : textLine;
}

/** pino's form: level, time, the fields, msg. */
export function jsonLine(level: number, fields: object, message: string | undefined): string {
  return jsonOf(level, JSON.stringify(fields).slice(1, -1), message);
}

/** As `jsonLine`, with the members of the fields' object as text. */
export function jsonOf(level: number, members: string, message: string | undefined): string {
  if (members === "") return `${headOf(level).slice(0, -1)}${endOf(message)}`;
  return headOf(level) + members + endOf(message);
}

let lastLevel = 0;
let lastHeadTime = "";
let lastHead = "";

/** The beginning of a line, kept for as long as the time's text is: a text of few parts is put together quickly. */
function headOf(level: number): string {
  const time = timeNow();
  if (time !== lastHeadTime || level !== lastLevel) {
    lastLevel = level;
    lastHeadTime = time;
    lastHead = `{"level":${level},"time":"${time}",`;
  }
  return lastHead;
}

let lastMessage: string | undefined = "";
let lastEnd = ',"msg":""}\n';

/** The end of a line behind a member, kept for the next line: most lines have the message of the line before. */
function endOf(message: string | undefined): string {
  if (message !== lastMessage) {
    lastMessage = message;
    lastEnd = message === undefined ? "}\n" : `,"msg":${JSON.stringify(message)}}\n`;
  }
  return lastEnd;
}

function textLine(level: number, fields: object, message: string | undefined): string {
  return `${timeNow()} ${nameOf(level)} ${words(fields, message)}\n`;
}

function colouredLine(level: number, fields: object, message: string | undefined): string {
  return `${DIM}${timeNow()}${PLAIN} ${colourOf(level)}${nameOf(level)}${PLAIN} ${words(fields, message)}\n`;
}

const DIM = "\u001B[2m";
const PLAIN = "\u001B[0m";
const COLOURS: readonly (readonly [least: number, colour: string])[] = [
  [50, "\u001B[31m"],
  [40, "\u001B[33m"],
  [30, "\u001B[32m"],
];

function colourOf(level: number): string {
  return COLOURS.find(([least]) => level >= least)?.[1] ?? DIM;
}

function nameOf(level: number): string {
  if (level >= 50) return "ERROR";
  if (level >= 40) return "WARN ";
  return level >= 30 ? "INFO " : "DEBUG";
}

/** The message, then `name=value` for each field that has a value. */
function words(fields: object, message: string | undefined): string {
  const parts = message === undefined ? [] : [withoutControls(message)];
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) parts.push(`${withoutControls(name)}=${valueText(value)}`);
  }
  return parts.join(" ");
}

/** A string that is one plain word stands as it is, all else as JSON. */
function valueText(value: unknown): string {
  if (typeof value === "string" && /^[^\s"={}[\]]+$/.test(value)) return withoutControls(value);
  return withoutControls(JSON.stringify(value) ?? String(value));
}

/** Control characters are written as escapes, so that no text of a client or a worker can steer the terminal or look like a line of its own. */
export function withoutControls(text: string): string {
  // oxlint-disable-next-line no-control-regex -- these are what is looked for
  return text.replace(/[\u0000-\u001F\u007F-\u009F\u2028\u2029\u202A-\u202E\u2066-\u2069]/g, unicodeEscape);
}

let lastMs = 0;
let lastTime = "";

/** The time as text, kept for a millisecond, because many lines have the same one. */
function timeNow(): string {
  const now = Date.now();
  if (now !== lastMs) {
    lastMs = now;
    lastTime = new Date(now).toISOString();
  }
  return lastTime;
}
