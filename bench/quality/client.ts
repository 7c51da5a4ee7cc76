/**
 * The sessions of a load, sent to a gateway in real time: `bun bench/quality/client.ts ORIGIN LOAD TRACE SEED SECONDS`. Prints one
 * line of JSON for each request.
 */
import { MODEL } from "./engine-server.ts";
import { Filler } from "./filler.ts";
import { loadOf } from "./load-of.ts";
import { readStream } from "./read-stream.ts";
import type { Segment, Session, Turn } from "../../src/simulate/loads/load.ts";

/** What became of a request. Times in ms; `ttftMs` is null where it failed. */
export interface Sample {
  /** Place of its session in the load. */
  readonly session: number;
  readonly atMs: number;
  readonly ttftMs: number | null;
  readonly totalMs: number;
  readonly outputTokens: number;
  readonly failure: string | null;
}

/** After the last request was sent, its answers are waited for so long, ms. */
const LAST_ANSWERS_MS = 60_000;

const [origin = "", ...played] = process.argv.slice(2);
const load = loadOf(played);
const fillers = new Map<number, Filler>();
/** Texts of answers as they came, by the id of their segment. */
const answers = new Map<number, string>();
const startedAt = performance.now();

await Promise.race([
  Promise.all(load.sessions.map((session, place) => play(session, place))),
  Bun.sleep(load.durationMs + LAST_ANSWERS_MS),
]);
process.exit(0);

/** No turn is sent after the load's time, so nobody thinks until then either. */
async function play(session: Session, place: number): Promise<void> {
  await Bun.sleep(Math.max(0, session.startAtMs - (performance.now() - startedAt)));
  for (const [index, turn] of session.turns.entries()) {
    const thinkMs = index === 0 ? 0 : turn.thinkMs;
    if (performance.now() - startedAt + thinkMs > load.durationMs) return;
    if (thinkMs > 0) await Bun.sleep(thinkMs);
    console.log(JSON.stringify(await ask(turn, session.key, place)));
  }
}

async function ask(turn: Turn, key: number, session: number): Promise<Sample> {
  const { prompt, outputTokens, answer } = turn;
  const messages = prompt.segments.map((segment, index) => ({
    role: index === 0 ? "system" : answers.has(segment.id) ? "assistant" : "user",
    content: textOf(segment),
  }));
  const body = JSON.stringify({ model: MODEL, messages, max_tokens: outputTokens, stream: true, user: `user-${key}` });
  const from = performance.now();
  const atMs = from - startedAt;
  try {
    const response = await fetch(`${origin}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    const { text, firstAt, isWhole } = await readStream(response);
    if (answer) answers.set(answer.id, text);
    const totalMs = performance.now() - from;
    const failure = isWhole ? null : `status ${response.status}, stream not whole`;
    return { session, atMs, ttftMs: firstAt === undefined ? null : firstAt - from, totalMs, outputTokens, failure };
  } catch (error) {
    const totalMs = performance.now() - from;
    return { session, atMs, ttftMs: null, totalMs, outputTokens, failure: String(error) };
  }
}

function textOf({ id, tokens }: Segment): string {
  const answer = answers.get(id);
  if (answer !== undefined) return answer;
  let filler = fillers.get(id);
  if (!filler) fillers.set(id, (filler = new Filler(id)));
  return filler.tokens(0, tokens);
}
