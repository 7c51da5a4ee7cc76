import type { Engine } from "../engine.ts";
import { connectors } from "./connectors.ts";
import { codec } from "./codec.ts";
import { probe } from "./probe.ts";
import { questions } from "./questions.ts";

/** vLLM, over HTTP and gRPC. */
export const vllm: Engine = {
  name: "vllm",
  title: "vLLM",
  probe,
  questions,
  codec,
  connectors,
  takesModelSpellings: false,
};
