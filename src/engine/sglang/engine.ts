import type { Engine } from "../engine.ts";
import { connectors } from "./connectors.ts";
import { codec } from "./codec.ts";
import { probe } from "./probe.ts";
import { questions } from "./questions.ts";

/** SGLang, over HTTP and gRPC. */
export const sglang: Engine = {
  name: "sglang",
  title: "SGLang",
  probe,
  questions,
  codec,
  connectors,
  takesModelSpellings: true,
};
