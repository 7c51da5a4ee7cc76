import type { Engine } from "../engine.ts";
import { codec } from "./codec.ts";
import { probe } from "./probe.ts";
import { questions } from "./questions.ts";

/**
 * TensorRT-LLM. From the field numbers of its service alone: no engine of it was at hand, and prefill and decode apart are not
 * spoken with it.
 */
export const trtllm: Engine = {
  name: "trtllm",
  title: "TensorRT-LLM",
  probe,
  questions,
  codec,
  connectors: undefined,
  takesModelSpellings: false,
};
