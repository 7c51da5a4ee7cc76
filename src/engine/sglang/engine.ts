import type { Engine } from "../engine.ts";
import { connectors } from "./connectors.ts";
import { probe } from "./probe.ts";
import { questions } from "./questions.ts";

/** SGLang, over HTTP and gRPC. */
export const sglang: Engine = {
  name: "sglang",
  title: "SGLang",
  probe,
  questions,
  connectors,
  takesModelSpellings: true,
};
