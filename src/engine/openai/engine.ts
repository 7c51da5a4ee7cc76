import type { Engine } from "../engine.ts";
import { connectors } from "./connectors.ts";
import { probe } from "./probe.ts";
import { questions } from "./questions.ts";

/** Any other server of OpenAI's API over HTTP, and a worker whose engine is not known yet. */
export const openai: Engine = {
  name: "openai",
  title: "OpenAI-compatible",
  probe,
  questions,
  codec: undefined,
  connectors,
  chatForm: undefined,
  // It does not say how many ranks it has; where the operator does, the header names one.
  rankPin: { members: [], cleared: [] },
  takesModelSpellings: false,
};
