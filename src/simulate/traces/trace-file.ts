import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { GatewayError } from "../../errors/errors.ts";
import { type AnyRecord, isRecord } from "../../util/objects.ts";
import { RECORDING_FORMAT } from "../../util/recording-format.ts";

/** One request of a trace. */
export interface TracedRequest {
  /** When it came, ms after the beginning of the trace. */
  readonly atMs: number;
  readonly inputTokens: number;
  /** From then until its answer was over, ms; undefined where the trace does not know it. */
  readonly durationMs: number | undefined;
  /** Undefined where the trace does not know it. */
  readonly outputTokens: number | undefined;
  /** For each block of the prompt a number; equal numbers mean equal text from the beginning to the end of the block. */
  readonly blocks: readonly number[];
  /** Length of the prompt, bytes; undefined in a trace that counts only tokens. */
  readonly promptBytes: number | undefined;
  readonly isStream: boolean;
  /** Undefined where the trace does not name it. */
  readonly model: string | undefined;
  /** Number of its session; undefined where it has none. */
  readonly session: number | undefined;
}

/** Longest prompt and answer: longer ones are no request of any model, and their blocks would not fit into memory. */
const MOST_TOKENS = 10_000_000;
/** Longest prompt, and longest text of a compressed file, bytes. */
const MOST_BYTES = 1_000_000_000;

/** A trace as it stands in its file, in the order of arrival. */
export interface Trace {
  readonly requests: readonly TracedRequest[];
  /** Where each block of a prompt ends, bytes; undefined in Mooncake's format, whose blocks have equally many tokens. */
  readonly blockEnds: readonly number[] | undefined;
  /** Tokens of each block in Mooncake's format. */
  readonly blockTokens: number;
}

/** The path that stands for standard input. */
const STANDARD_INPUT = "-";

/**
 * Reads a trace of JSON lines: a recording of `serve --record`, which begins with a line that says so, or a file in Mooncake's format
 * (`timestamp`, `input_length`, `output_length`, `hash_ids`). Either may be compressed with gzip. `-` is standard input. Throws
 * invalid_request with the number of the line.
 */
export function readTrace(path: string): Trace {
  let text: string;
  try {
    const bytes = readFileSync(path === STANDARD_INPUT ? 0 : path);
    text = (
      bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes, { maxOutputLength: MOST_BYTES }) : bytes
    ).toString();
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    const reason = code === "ENOENT" ? "there is no such file" : `cannot be read (${code})`;
    throw new GatewayError("invalid_request", `${path}: ${reason}`, { cause });
  }
  return parseTrace(text, path);
}

/** Reads the text of a trace; `name` is for errors. */
export function parseTrace(text: string, name: string): Trace {
  // Some editors write a byte order mark.
  const lines = text.replace(/^\uFEFF/, "").split("\n");
  const start = lines.findIndex((line) => line.trim() !== "");
  if (start < 0) throw new GatewayError("invalid_request", `${name}: it is empty`);
  const first = objectOf(lines[start] ?? "", `${name}:${start + 1}`, FORMS);
  const blockEnds = first["format"] === RECORDING_FORMAT ? endsOf(first, `${name}:${start + 1}`) : undefined;
  const requests: TracedRequest[] = [];
  const ids = { blocks: new SmallIds(), sessions: new SmallIds() };
  for (let at = blockEnds ? start + 1 : start; at < lines.length; at += 1) {
    const line = lines[at] ?? "";
    // A recording that was cut by a crash may end within a line.
    const isCut = blockEnds !== undefined && at === lines.length - 1;
    if (line.trim() !== "" && !isCut)
      requests.push(requestOf(objectOf(line, `${name}:${at + 1}`), `${name}:${at + 1}`, ids));
  }
  if (requests.length === 0) throw new GatewayError("invalid_request", `${name}: it has no request`);
  requests.sort((a, b) => a.atMs - b.atMs);
  return { requests, blockEnds, blockTokens: blockTokensOf(requests) };
}

/** Tokens of a block in Mooncake's own files. */
export const MOONCAKE_BLOCK_TOKENS = 512;

/**
 * How many tokens a block has: 512, unless prompts have more blocks than that. Other programs write the format with the blocks of an
 * engine, as of 16 tokens; it does not say so, but a prompt of n blocks is longer than n - 1 of them.
 */
function blockTokensOf(requests: readonly TracedRequest[]): number {
  let most = MOONCAKE_BLOCK_TOKENS;
  for (const { inputTokens, blocks } of requests) {
    if (blocks.length > 1) most = Math.min(most, Math.floor((inputTokens - 1) / (blocks.length - 1)));
  }
  // Blocks have a power of two in every engine that writes such files.
  return 2 ** Math.floor(Math.log2(Math.max(1, most)));
}

/** Said of a file that does not begin as a trace does. */
const FORMS = ": a trace is a recording of serve --record, or has JSON lines in Mooncake's format";

function objectOf(line: string, where: string, hint = ""): AnyRecord {
  let value: unknown;
  try {
    value = JSON.parse(withLongIdsAsText(line));
  } catch (cause) {
    throw new GatewayError("invalid_request", `${where}: is no JSON${hint}`, { cause });
  }
  if (!isRecord(value)) throw new GatewayError("invalid_request", `${where}: must be an object${hint}`);
  return value;
}

const LONG_NUMBER = /(?<!["\d])-?\d{16,}/g;

/** Puts numbers of blocks that a double could not hold in quotes. */
function withLongIdsAsText(line: string): string {
  if (!/\d{16}/.test(line)) return line;
  return line.replace(/"hash_ids"\s*:\s*\[[^\]]*\]/, (list) => list.replace(LONG_NUMBER, '"$&"'));
}

/** Numbers from here on are given by `SmallIds`; texts have numbers of 31 bits, of which the upper half is for those of one request. */
const GIVEN_FROM = 2 ** 29;

/** Small numbers for blocks and sessions that have texts or large numbers, such as hashes of 64 bits: equal ones get the same number. */
class SmallIds {
  readonly #given = new Map<string, number>();

  of(id: number | string): number {
    if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id < GIVEN_FROM) return id;
    const key = String(id);
    const known = this.#given.get(key) ?? GIVEN_FROM + this.#given.size;
    this.#given.set(key, known);
    return known;
  }
}

/** The numbers of one file. */
interface Ids {
  readonly blocks: SmallIds;
  readonly sessions: SmallIds;
}

function endsOf(head: AnyRecord, where: string): readonly number[] {
  if (head["version"] !== 1) {
    throw new GatewayError(
      "invalid_request",
      `${where}: recordings of version ${String(head["version"])} are not known here`,
    );
  }
  return numbersOf(head["block_ends"], `${where}: block_ends`);
}

function requestOf(line: AnyRecord, where: string, ids: Ids): TracedRequest {
  const number = (key: string, least: number, most = Number.MAX_VALUE): number => {
    const value = line[key];
    if (typeof value === "number" && value >= least && value <= most) return value;
    const end = most === Number.MAX_VALUE ? "" : ` to ${most}`;
    throw new GatewayError("invalid_request", `${where}: ${key} must be a number from ${least}${end}`);
  };
  const optional = (key: string, least: number, most?: number): number | undefined =>
    line[key] === undefined || line[key] === null ? undefined : number(key, least, most);
  return {
    atMs: number("timestamp", 0),
    inputTokens: Math.max(1, Math.round(number("input_length", 0, MOST_TOKENS))),
    durationMs: optional("duration_ms", 0),
    outputTokens: optional("output_length", 0, MOST_TOKENS),
    // Traces without them are of prompts that share nothing.
    blocks:
      line["hash_ids"] === undefined || line["hash_ids"] === null
        ? []
        : idsOf(line["hash_ids"], `${where}: hash_ids`).map((id) => ids.blocks.of(id)),
    promptBytes: optional("prompt_bytes", 0, MOST_BYTES),
    isStream: line["stream"] !== false,
    model: typeof line["model"] === "string" ? line["model"] : undefined,
    session: sessionOf(line["session"] ?? line["session_id"], where, ids),
  };
}

/** A session has a number in recordings, and a text in the files of some other programs. */
function sessionOf(value: unknown, where: string, { sessions }: Ids): number | undefined {
  if (value === undefined || value === null) return undefined;
  if ((typeof value === "number" && value >= 0) || typeof value === "string") return sessions.of(value);
  throw new GatewayError("invalid_request", `${where}: session must be a number from 0, or a text`);
}

/** Whole numbers, or hashes as texts. */
function idsOf(value: unknown, where: string): readonly (number | string)[] {
  const isId = (one: unknown): one is number | string =>
    Number.isInteger(one) || (typeof one === "string" && one !== "");
  if (Array.isArray(value) && value.every(isId)) return value;
  throw new GatewayError("invalid_request", `${where} must be a list of whole numbers, or of texts`);
}

function numbersOf(value: unknown, where: string): number[] {
  if (Array.isArray(value) && value.every((one): one is number => Number.isInteger(one))) return value;
  throw new GatewayError("invalid_request", `${where} must be a list of whole numbers`);
}
