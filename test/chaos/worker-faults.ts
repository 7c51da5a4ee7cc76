import { chunk, jsonAnswer, type RawExchange, STREAM_HEAD } from "../support/engine.ts";
import type { Random } from "./random.ts";

/** A prompt names itself, and an answer consists of that name: so every answer tells whose it is. */
export const ID = /«[a-z0-9-]+»/g;
/** Of a prompt without a name. */
export const NAMELESS = "«nameless»";
/** Stands in what a worker sends that nobody asked for. */
const FOREIGN = "«foreign»";

interface Asked {
  readonly id: string;
  readonly isStream: boolean;
  readonly random: Random;
  readonly exchange: RawExchange;
}

type Behaviour = (asked: Asked) => void | Promise<void>;

function chatOf(id: string, times: number): string {
  const message = { role: "assistant", content: id.repeat(times) };
  const choices = [{ index: 0, message, finish_reason: "stop" }];
  const usage = { prompt_tokens: 3, completion_tokens: times, total_tokens: times + 3 };
  return JSON.stringify({ id: "c", object: "chat.completion", created: 1, model: "chaos", choices, usage });
}

function eventOf(id: string, finish: string | null = null): string {
  const choices = [{ index: 0, delta: finish === null ? { content: id } : {}, finish_reason: finish }];
  return `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "chaos", choices })}\n\n`;
}

const DONE = `${chunk("data: [DONE]\n\n")}0\r\n\r\n`;

/** The answer as it should be, in pieces with pauses between. */
async function answerWell({ id, isStream, random, exchange }: Asked): Promise<void> {
  const times = 1 + random.below(8);
  if (!isStream) {
    await inPieces(exchange, jsonAnswer(chatOf(id, times)), random);
    return;
  }
  exchange.write(STREAM_HEAD);
  for (let token = 0; token < times; token += 1) {
    await Bun.sleep(random.below(6));
    exchange.write(chunk(eventOf(id)));
  }
  exchange.write(chunk(eventOf(id, "stop")) + DONE);
}

async function inPieces(exchange: RawExchange, text: string, random: Random): Promise<void> {
  const bytes = Buffer.from(text);
  for (let from = 0; from < bytes.length;) {
    const to = from + 1 + random.below(bytes.length);
    exchange.write(bytes.subarray(from, to));
    from = to;
    if (random.chance(0.3)) await Bun.sleep(random.below(4));
  }
}

/** The beginning of a good answer, and then what `end` does. */
function cutShort(end: (exchange: RawExchange) => void): Behaviour {
  return ({ id, isStream, random, exchange }) => {
    const whole = isStream
      ? STREAM_HEAD + chunk(eventOf(id)) + chunk(eventOf(id)) + chunk(eventOf(id, "stop")) + DONE
      : jsonAnswer(chatOf(id, 3));
    // In characters of Latin-1, so that a cut may fall within one.
    const bytes = Buffer.from(whole);
    exchange.write(bytes.subarray(0, random.below(bytes.length - 7)));
    end(exchange);
  };
}

function refuses(status: string, body: string, headers = ""): Behaviour {
  return ({ exchange }) => exchange.write(jsonAnswer(body, status, headers));
}

function writes(text: (id: string) => string): Behaviour {
  return ({ id, exchange }) => exchange.write(text(id));
}

const REFUSAL = JSON.stringify({ error: { message: "no", type: "server_error" } });
const page = (status: string): string =>
  `HTTP/1.1 ${status}\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>`;
const in2Secs = (): string => new Date(Date.now() + 2000).toUTCString();
const nothing: Behaviour = () => undefined;

/** What workers do wrong, by name. */
const FAULTS: ReadonlyMap<string, Behaviour> = new Map<string, Behaviour>([
  ["reset", ({ exchange }) => exchange.reset()],
  ["close", ({ exchange }) => exchange.end()],
  ["cut and reset", cutShort((exchange) => exchange.reset())],
  ["cut and close", cutShort((exchange) => exchange.end())],
  ["cut and stall", cutShort(() => undefined)],
  ["no answer", nothing],
  ["500", refuses("500 Internal Server Error", REFUSAL)],
  ["502", ({ exchange }) => exchange.write(page("502 Bad Gateway"))],
  ["403 of a firewall", ({ exchange }) => exchange.write(page("403 Forbidden"))],
  ["401", refuses("401 Unauthorized", REFUSAL)],
  ["404 without a word", refuses("404 Not Found", "")],
  ["429", refuses("429 Too Many Requests", REFUSAL, "retry-after: 1\r\n")],
  [
    "503 until a date",
    ({ exchange }) => exchange.write(jsonAnswer(REFUSAL, "503 Busy", `retry-after: ${in2Secs()}\r\n`)),
  ],
  ["529", refuses("529 Overloaded", REFUSAL)],
  ["204", writes(() => "HTTP/1.1 204 No Content\r\n\r\n")],
  [
    "forty informational answers",
    writes((id) => "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(40) + jsonAnswer(chatOf(id, 1))),
  ],
  ["a head that is too large", writes(() => `HTTP/1.1 200 OK\r\n${"x-a: b\r\n".repeat(40_000)}\r\n`)],
  ["a head with line feeds only", writes((id) => jsonAnswer(chatOf(id, 1)).replaceAll("\r\n", "\n"))],
  ["an answer behind the answer", writes((id) => jsonAnswer(chatOf(id, 2)) + jsonAnswer(chatOf(FOREIGN, 2)))],
  [
    "an answer right behind, in a piece of its own",
    ({ id, exchange }) => {
      exchange.write(jsonAnswer(chatOf(id, 2)));
      exchange.write(jsonAnswer(chatOf(FOREIGN, 2)));
    },
  ],
  ["no JSON", writes(() => jsonAnswer("{"))],
  ["a page", ({ exchange }) => exchange.write(page("200 OK"))],
  ["an encoding", writes((id) => jsonAnswer(chatOf(id, 1), "200 OK", "content-encoding: gzip\r\n"))],
  [
    "an error within the stream",
    writes((id) => `${STREAM_HEAD}${chunk(eventOf(id))}${chunk(`data: ${REFUSAL}\n\n`)}0\r\n\r\n`),
  ],
  ["an error as the first event", writes(() => `${STREAM_HEAD}${chunk(`data: ${REFUSAL}\n\n`)}0\r\n\r\n`)],
  [
    "empty events and comments",
    writes(
      (id) => `${STREAM_HEAD}${chunk(`: hi\n\ndata:\n\n${eventOf(id)}data: \r\n\r\n${eventOf(id, "stop")}`)}${DONE}`,
    ),
  ],
  ["nothing but comments", writes(() => `${STREAM_HEAD}${chunk(": hi\n\n: ho\n\n")}0\r\n\r\n`)],
  ["no end marker", writes((id) => `${STREAM_HEAD}${chunk(eventOf(id) + eventOf(id, "stop"))}0\r\n\r\n`)],
  ["an end without a finish", writes((id) => `${STREAM_HEAD}${chunk(eventOf(id))}0\r\n\r\n`)],
  [
    "an empty finish in each event",
    writes(
      (id) => `${STREAM_HEAD}${chunk(eventOf(id).replace('"finish_reason":null', '"finish_reason":""'))}0\r\n\r\n`,
    ),
  ],
  ["an event that is no JSON", writes((id) => `${STREAM_HEAD}${chunk(`${eventOf(id)}data: {\n\n`)}0\r\n\r\n`)],
]);

/** After these a worker is left alone for a while: were they as frequent as the others, nobody would be left to ask. */
const RESTING: ReadonlySet<string> = new Set(["401", "429", "503 until a date", "529"]);
const OFTEN = [...FAULTS].filter(([name]) => !RESTING.has(name)).map(([, behaviour]) => behaviour);
const RARELY = [...FAULTS].filter(([name]) => RESTING.has(name)).map(([, behaviour]) => behaviour);

/** Answers one request: well, or with the share `faulty` in one of the ways above. */
export function behave(exchange: RawExchange, faulty: number, random: Random): void | Promise<void> {
  const [id = NAMELESS] = Buffer.from(exchange.body, "latin1").toString().match(ID) ?? [];
  const asked: Asked = { id, isStream: /"stream": *true/.test(exchange.body), random, exchange };
  if (!random.chance(faulty)) return answerWell(asked);
  return random.pick(random.chance(0.02) ? RARELY : OFTEN)(asked);
}
