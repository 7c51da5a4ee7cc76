import { conversation, type Draw, type Exchange, single } from "./draw.ts";
import type { Segment, Session } from "./load.ts";

/** Draws sessions that begin at so many a second until a time, ms. */
export type SessionKind = (draw: Draw, perSecond: number, untilMs: number) => Session[];

/** Numbers of a conversation. Tokens are medians, with the standard deviation of their logarithm; times are means. */
interface Talk {
  /** Shared beginnings of prompts, all as popular as each other. */
  readonly systems: number;
  readonly systemTokens: number;
  readonly firstTokens: number;
  readonly nextTokens: number;
  readonly sigma: number;
  readonly answerTokens: number;
  readonly turns: (draw: Draw) => number;
  readonly thinkMs: (draw: Draw) => number;
}

function talks(talk: Talk): SessionKind {
  return (draw, perSecond, untilMs) => {
    const systems = draw.texts(talk.systems, () => talk.systemTokens);
    return Array.from(draw.arrivals(perSecond, untilMs), (startAtMs) => {
      const beginning = draw.oneOf(systems);
      const exchanges = Array.from({ length: talk.turns(draw) }, (_, turn) => exchange(draw, talk, turn));
      return { startAtMs, key: draw.key(), turns: conversation([beginning], exchanges) };
    });
  };
}

function exchange(draw: Draw, talk: Talk, turn: number): Exchange {
  return {
    message: draw.text(draw.lognormal(turn === 0 ? talk.firstTokens : talk.nextTokens, talk.sigma)),
    answer: draw.text(draw.lognormal(talk.answerTokens, 0.5)),
    thinkMs: turn === 0 ? 0 : talk.thinkMs(draw),
  };
}

/** Short conversations under shared system prompts. */
export const chat: SessionKind = talks({
  systems: 10,
  systemTokens: 880,
  firstTokens: 235,
  nextTokens: 185,
  sigma: 0.6,
  answerTokens: 55,
  turns: (draw) => 1 + Math.floor(draw.exponential(2.6)),
  thinkMs: (draw) => draw.exponential(350),
});

/** Agents that call tools: many turns, short pauses, a long system prompt. */
export const agents: SessionKind = talks({
  systems: 1,
  systemTokens: 800,
  firstTokens: 700,
  nextTokens: 640,
  sigma: 0.5,
  answerTokens: 30,
  turns: (draw) => draw.whole(5, 9),
  thinkMs: (draw) => draw.exponential(150),
});

/**
 * Long conversations: the batches of decode and the contexts in memory are what fills the workers. They end after a minute or two, so
 * that after three minutes as many end as begin: what the load shows does not depend on how long it is run.
 */
export const longChat: SessionKind = talks({
  systems: 6,
  systemTokens: 1000,
  firstTokens: 1600,
  nextTokens: 900,
  sigma: 0.8,
  answerTokens: 200,
  turns: (draw) => draw.whole(1, 7),
  thinkMs: (draw) => draw.exponential(6000),
});

/** Agents with contexts from 30,000 to 150,000 tokens and pauses of 1 to 3 s. */
export const toolAgents: SessionKind = (draw, perSecond, untilMs) =>
  Array.from(draw.arrivals(perSecond, untilMs), (startAtMs) => {
    const most = draw.uniform(60_000, 150_000);
    let tokens = draw.uniform(30_000, 40_000);
    const exchanges: Exchange[] = [{ message: draw.text(tokens), answer: draw.text(150), thinkMs: 0 }];
    while (tokens < most) {
      const message = draw.text(draw.lognormal(700, 1));
      const answer = draw.text(draw.lognormal(150, 0.5));
      tokens += message.tokens + answer.tokens;
      exchanges.push({ message, answer, thinkMs: draw.uniform(1000, 3000) });
    }
    return { startAtMs, key: draw.key(), turns: conversation([], exchanges) };
  });

/** Questions about documents, of which some are popular. */
export const rag: SessionKind = (draw, perSecond, untilMs) => {
  const system = draw.text(400);
  const documents = draw.texts(200, () => draw.uniform(1150, 5200));
  return Array.from(draw.arrivals(perSecond, untilMs), (startAtMs) => {
    const question = draw.text(draw.lognormal(50, 0.5));
    return single(draw, startAtMs, [system, draw.popular(documents, 1.3), question], draw.lognormal(52, 0.5));
  });
};

/** Prompts that share nothing. */
export const unique: SessionKind = (draw, perSecond, untilMs) =>
  Array.from(draw.arrivals(perSecond, untilMs), (startAtMs) =>
    single(draw, startAtMs, [draw.text(draw.lognormal(240, 1))], draw.lognormal(80, 0.5)),
  );

/** Prompts that share nothing, most short, some of up to 100,000 tokens. */
export const heavyTail: SessionKind = (draw, perSecond, untilMs) =>
  Array.from(draw.arrivals(perSecond, untilMs), (startAtMs) =>
    single(draw, startAtMs, [draw.text(Math.min(100_000, draw.lognormal(1000, 1.6)))], draw.lognormal(150, 0.7)),
  );

/** Time between two families of siblings, the time in which a family arrives, ms, its size, and its common prefix, tokens. */
const FAMILY = { eachMs: 4000, withinMs: 100, size: 20, prefixTokens: 20_000 };

/** Conversations, and every few seconds many requests at once that share a long prefix which nobody has seen. */
export const siblings: SessionKind = (draw, perSecond, untilMs) => {
  const sessions = chat(draw, perSecond, untilMs);
  // A larger fleet gets families more often.
  const eachMs = FAMILY.eachMs * (SIBLINGS_PER_SECOND / perSecond);
  for (let at = eachMs / 2; at < untilMs; at += eachMs) {
    const prefix = draw.text(FAMILY.prefixTokens);
    for (let member = 0; member < FAMILY.size; member += 1) {
      const startAtMs = at + draw.uniform(0, FAMILY.withinMs);
      sessions.push(single(draw, startAtMs, [prefix, draw.text(draw.lognormal(100, 0.5))], draw.lognormal(180, 0.5)));
    }
  }
  return sessions.toSorted((one, other) => one.startAtMs - other.startAtMs);
};

/** Rate of the conversations around siblings with the usual fleet. */
export const SIBLINGS_PER_SECOND = 2.6;

/** Time for which a document is hot, ms. */
const HOT_MS = 60_000;

/** Most questions are about one document of 6,000 to 20,000 tokens; each minute it is another one. */
export const hotShift: SessionKind = (draw, perSecond, untilMs) => {
  const others = draw.texts(40, () => draw.uniform(6000, 20_000));
  let hot: Segment = draw.oneOf(others);
  let hotUntil = 0;
  return Array.from(draw.arrivals(perSecond, untilMs), (startAtMs) => {
    if (startAtMs >= hotUntil) {
      hot = draw.text(draw.uniform(6000, 20_000));
      hotUntil += HOT_MS;
    }
    const document = draw.random() < 0.8 ? hot : draw.oneOf(others);
    return single(draw, startAtMs, [document, draw.text(draw.lognormal(400, 0.6))], draw.lognormal(200, 0.5));
  });
};
