import { jsonPost, openWire, type Wire } from "../faults/wire.ts";
import type { Random } from "./random.ts";
import { ID, NAMELESS } from "./worker-faults.ts";

const CHAT = "/v1/chat/completions";

/** How one request ended; `wrong` says what must not be. */
export interface Ending {
  readonly kind: string;
  readonly outcome: string;
  readonly wrong?: string;
}

export interface ClientSettings {
  readonly url: string;
  readonly random: Random;
  /** Names of the requests: no two are alike. */
  readonly nextId: () => string;
  /** Longest that any request may take, ms. */
  readonly mostMs: number;
}

/** The kinds of clients that come. */
const KINDS = [
  "whole",
  "stream",
  "leaves",
  "pipelines",
  "half-closes",
  "reads slowly",
  "sends slowly",
  "asks wrongly",
] as const;

/** One client, with a connection of its own; resolves with how each of its requests ended. */
export async function visit(settings: ClientSettings): Promise<Ending[]> {
  const kind = settings.random.pick(KINDS);
  const asked = kind === "pipelines" ? Array.from({ length: 4 }, () => ask(kind, settings)) : [ask(kind, settings)];
  const startedAt = performance.now();
  using wire = await openWire(settings.url);
  const endings = await behave(kind, wire, asked, settings);
  const tookMs = performance.now() - startedAt;
  // Behind each other they may each take their time.
  const isLate = tookMs > settings.mostMs * asked.length;
  return isLate ? [...endings, { kind, outcome: "late", wrong: `${kind} took ${tookMs.toFixed(0)} ms` }] : endings;
}

interface Question {
  readonly id: string;
  readonly isStream: boolean;
  readonly bytes: Buffer;
}

function ask(kind: (typeof KINDS)[number], { random, nextId }: ClientSettings): Question {
  const id = `«${nextId()}»`;
  const isStream = kind === "stream" || (kind !== "whole" && random.chance(0.5));
  const filler = "x".repeat(random.chance(0.1) ? random.below(300_000) : random.below(200));
  const content = kind === "asks wrongly" ? 7 : `${id} ${filler}`;
  const model = kind === "asks wrongly" && random.chance(0.5) ? "nobody" : "chaos";
  const body = { model, stream: isStream, max_tokens: 8, messages: [{ role: "user", content }] };
  return { id, isStream, bytes: Buffer.from(jsonPost(CHAT, body), "latin1") };
}

async function behave(
  kind: (typeof KINDS)[number],
  wire: Wire,
  asked: readonly Question[],
  { random, mostMs }: ClientSettings,
): Promise<Ending[]> {
  const bytes = Buffer.concat(asked.map((one) => one.bytes));
  if (kind === "leaves") {
    await wire.write(bytes.subarray(0, random.chance(0.3) ? random.below(bytes.length) : bytes.length));
    await Promise.race([Bun.sleep(random.below(60)), wire.closed]);
    wire.hangUp();
    return [{ kind, outcome: "left" }];
  }
  if (kind === "sends slowly") {
    for (let from = 0; from < bytes.length && !wire.isClosed; from += Math.ceil(bytes.length / 6)) {
      await wire.write(bytes.subarray(from, from + Math.ceil(bytes.length / 6)));
      await Bun.sleep(random.below(30));
    }
  } else await wire.write(bytes);
  if (kind === "half-closes") wire.finish();
  if (kind === "reads slowly") await Bun.sleep(random.below(300));
  const answers = await wire.answers(asked.length, mostMs * asked.length);
  const finals = answers.filter(({ status }) => status >= 200);
  return asked.map((question, index) => judge(kind, question, finals[index], wire.isClosed));
}

function judge(
  kind: string,
  { id, isStream }: Question,
  answer: { readonly status: number; readonly body: string } | undefined,
  isClosed: boolean,
): Ending {
  // A connection that ends before an answer began tells the client that it has none; a thread or a limit may do that.
  if (!answer) return isClosed ? { kind, outcome: "closed" } : { kind, outcome: "none", wrong: `${id} has no answer` };
  const text = Buffer.from(answer.body, "latin1").toString();
  const foreign = (text.match(ID) ?? []).filter(
    (found) => found !== id && !(kind === "asks wrongly" && found === NAMELESS),
  );
  if (foreign.length > 0) return { kind, outcome: "foreign", wrong: `${id} got ${foreign[0]}` };
  if (answer.status !== 200)
    return { kind, outcome: codeIn(text) ?? `status ${answer.status}`, ...without(codeIn(text), id) };
  if (!isStream) {
    const isWhole = text.endsWith("}") && text.includes(kind === "asks wrongly" ? NAMELESS : id);
    return {
      kind,
      outcome: "ok",
      ...(isWhole ? {} : { wrong: `${id} got a 200 that is not whole: ${text.slice(0, 200)}` }),
    };
  }
  return judgeStream(kind, id, text);
}

function without(code: string | undefined, id: string): { wrong?: string } {
  return code === undefined ? { wrong: `${id} got an error without a code` } : {};
}

function judgeStream(kind: string, id: string, text: string): Ending {
  const isEnded = text.endsWith("data: [DONE]\n\n");
  const code = codeIn(text);
  if (isEnded && code !== undefined) return { kind, outcome: "both", wrong: `${id} got ${code} and [DONE]` };
  if (isEnded && !text.includes('"finish_reason":"stop"')) {
    return { kind, outcome: "unfinished", wrong: `${id} got [DONE] without a finish` };
  }
  if (!isEnded && code === undefined) {
    return { kind, outcome: "cut", wrong: `${id} got a stream that ends without a word: ${text.slice(-200)}` };
  }
  return { kind, outcome: code === undefined ? "ok" : `${code} in the stream` };
}

/** The code of the error in it. */
function codeIn(text: string): string | undefined {
  return /"error":.*"code": *"(\w+)"/.exec(text)?.[1];
}
