import { conversation, type Draw, type Exchange, single } from "./draw.ts";
import type { Session } from "./load.ts";

/** Conversations under a few shared system prompts. */
export function chatSessions(draw: Draw, perSecond: number, untilMs: number): Session[] {
  const systems = draw.texts(4, () => 500);
  return Array.from(draw.arrivals(perSecond, untilMs), (startAtMs) => {
    const turns = 1 + Math.floor(draw.exponential(3));
    const exchanges = Array.from({ length: turns }, (_, turn): Exchange => ({
      message: draw.text(draw.lognormal(turn === 0 ? 200 : 120, 0.6)),
      answer: draw.text(draw.lognormal(90, 0.5)),
      thinkMs: turn === 0 ? 0 : draw.exponential(3000),
    }));
    return { startAtMs, key: draw.key(), turns: conversation([draw.popular(systems, 1)], exchanges) };
  });
}

/** Agents that call tools: many turns, short pauses, a shared system prompt with tools. */
export function agentSessions(draw: Draw, perSecond: number, untilMs: number): Session[] {
  const systems = draw.texts(2, () => 1500);
  return Array.from(draw.arrivals(perSecond, untilMs), (startAtMs) => {
    const turns = draw.whole(6, 16);
    const exchanges = Array.from({ length: turns }, (_, turn): Exchange => ({
      message: draw.text(draw.lognormal(600, 0.7)),
      answer: draw.text(draw.lognormal(60, 0.5)),
      thinkMs: turn === 0 ? 0 : draw.exponential(500),
    }));
    return { startAtMs, key: draw.key(), turns: conversation([draw.popular(systems, 1)], exchanges) };
  });
}

/** Questions about documents, of which some are popular. */
export function ragSessions(draw: Draw, perSecond: number, untilMs: number): Session[] {
  const system = draw.text(200);
  const documents = draw.texts(80, () => draw.uniform(2000, 5000));
  return Array.from(draw.arrivals(perSecond, untilMs), (startAtMs) =>
    single(
      startAtMs,
      draw.key(),
      [system, draw.popular(documents, 1), draw.text(draw.lognormal(60, 0.5))],
      Math.round(draw.lognormal(80, 0.5)),
    ),
  );
}

/** Prompts that share nothing. */
export function uniqueSessions(draw: Draw, perSecond: number, untilMs: number): Session[] {
  return Array.from(draw.arrivals(perSecond, untilMs), (startAtMs) =>
    single(startAtMs, draw.key(), [draw.text(draw.lognormal(300, 0.7))], Math.round(draw.lognormal(80, 0.5))),
  );
}
