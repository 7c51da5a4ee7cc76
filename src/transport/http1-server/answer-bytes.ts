import type { Reply } from "../downstream.ts";
import { copyBytes } from "../../util/copy-bytes.ts";
import { headerLine } from "../upstream.ts";
import { CR, LF } from "../../util/ascii.ts";

/** The part of a request that decides how its answer is written. */
export interface Asked {
  readonly method: string;
  readonly isHttp11: boolean;
}

/** How the client finds the end of the answer. */
export type Framing = { readonly length: number } | "chunked" | "until close";

/** Answers and pieces that fit are made in this one buffer, which the next answer overwrites. */
const SCRATCH = Buffer.allocUnsafeSlow(65_536);
const NO_BYTES: Buffer = Buffer.alloc(0);

/** Whether the next answer overwrites these bytes. */
export function isTransient(bytes: Uint8Array): boolean {
  return bytes === SCRATCH;
}

/** Status line and headers, with the blank line. Throws RangeError on a header that would not be one line. */
export function headOf(asked: Asked, { status, headers, lines }: Reply, framing: Framing, closes: boolean): string {
  let head = statusLine(status);
  for (const name of Object.keys(headers)) head += lineOf(name, headers[name] ?? "");
  if (lines !== undefined) head += lines;
  if (closes) head += "connection: close\r\n";
  else if (!asked.isHttp11) head += "connection: keep-alive\r\n";
  if (framing === "chunked") head += "transfer-encoding: chunked\r\n";
  else if (framing !== "until close" && status !== 204) head += `content-length: ${framing.length}\r\n`;
  return head + lastLines();
}

/** Lines of the statuses and content types that came before: most answers have one of a few, and a text of few parts is quickly put together. */
const statusLines: string[] = [];
const typeLines = new Map<string, string>();
/** More of them come only of workers that name a new type in each answer. */
const MAX_TYPES = 64;

function statusLine(status: number): string {
  return (statusLines[status] ??= `HTTP/1.1 ${status} ${REASONS[status] ?? "Unknown"}\r\n`);
}

function lineOf(name: string, value: string): string {
  if (name !== "content-type") return headerLine(name, value);
  const known = typeLines.get(value);
  if (known !== undefined) return known;
  if (typeLines.size >= MAX_TYPES) typeLines.clear();
  const line = headerLine(name, value);
  typeLines.set(value, line);
  return line;
}

/** Bytes to be written: the first `length` of `bytes`. */
export interface Written {
  bytes: Uint8Array;
  length: number;
}

/** A whole answer: what is written first, and a large body behind it. */
export interface WholeAnswer extends Written {
  after: Uint8Array | undefined;
}

/** The same object each time: the caller reads it before it asks for the next. */
const written: WholeAnswer = { bytes: SCRATCH, length: 0, after: undefined };

/** A whole answer, transient but for a large body. It is written before the next is made. */
export function wholeAnswer(asked: Asked, reply: Reply, body: Uint8Array | string, closes: boolean): WholeAnswer {
  const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
  const head = headOf(asked, reply, { length }, closes);
  const isBodiless = asked.method === "HEAD" || length === 0;
  const isApart = head.length + length > SCRATCH.length;
  written.bytes = head.length > SCRATCH.length ? Buffer.from(head, "latin1") : SCRATCH;
  const at = written.bytes === SCRATCH ? SCRATCH.write(head, 0, "latin1") : head.length;
  written.length = isBodiless || isApart ? at : at + length;
  written.after = isApart && !isBodiless ? bytesIn(body) : undefined;
  if (isBodiless || isApart) return written;
  if (typeof body === "string") SCRATCH.write(body, at);
  else SCRATCH.set(body, at);
  return written;
}

function bytesIn(body: Uint8Array | string): Uint8Array {
  return typeof body === "string" ? Buffer.from(body) : body;
}

/** Digits, CRLF before and after: most that the frame of a chunk takes. */
const FRAME_BYTES = 16;

/** A piece of a streamed answer, as a chunk or as it is, behind the head where that has not been written. Transient. */
export function pieceOf(head: string, isChunked: boolean, bytes: Uint8Array, from: number, to: number): Written {
  const size = to - from;
  const most = head.length + size + FRAME_BYTES;
  const made = most <= SCRATCH.length ? SCRATCH : Buffer.allocUnsafeSlow(most);
  let at = head === "" ? 0 : made.write(head, 0, "latin1");
  if (isChunked) at = writeSize(made, at, size);
  at = copyBytes(made, at, bytes, from, to);
  if (isChunked) {
    made[at] = CR;
    made[at + 1] = LF;
    at += 2;
  }
  written.bytes = made;
  written.length = at;
  return written;
}

/** In hexadecimal digits, and CRLF. Returns where it ends. */
function writeSize(target: Uint8Array, start: number, size: number): number {
  let at = start;
  for (let shift = size < 0x10000 ? 12 : 28; shift >= 0; shift -= 4) {
    const digit = (size >>> shift) & 15;
    if (digit === 0 && at === start) continue;
    target[at] = digit < 10 ? 48 + digit : 87 + digit;
    at += 1;
  }
  target[at] = CR;
  target[at + 1] = LF;
  return at + 2;
}

/** The end of a streamed answer, behind the head where no piece was written. */
export function endOf(head: string, isChunked: boolean): Uint8Array {
  if (isChunked) return head === "" ? LAST_CHUNK : Buffer.from(`${head}0\r\n\r\n`, "latin1");
  return head === "" ? NO_BYTES : Buffer.from(head, "latin1");
}

const LAST_CHUNK: Buffer = Buffer.from("0\r\n\r\n");

let dateSecond = 0;
let endOfHead = "";

/** The Date field (RFC 9110, section 6.6.1) and the blank line, made anew each second. */
function lastLines(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    endOfHead = `date: ${new Date(second * 1000).toUTCString()}\r\n\r\n`;
  }
  return endOfHead;
}

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  201: "Created",
  202: "Accepted",
  204: "No Content",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  426: "Upgrade Required",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  499: "Client Closed Request",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
  529: "Overloaded",
};
