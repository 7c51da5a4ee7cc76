import type { Engine } from "../engine.ts";
import { connectors } from "./connectors.ts";
import { probe } from "./probe.ts";
import { questions } from "./questions.ts";

/** Whatever else answers OpenAI's API over HTTP, and a worker that has not said yet what it is. */
export const openai: Engine = {
  name: "openai",
  title: "OpenAI-compatible",
  probe,
  questions,
  codec: undefined,
  connectors,
  takesModelSpellings: false,
};
