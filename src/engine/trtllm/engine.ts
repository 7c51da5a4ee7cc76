import type { Engine } from "../engine.ts";
import { codec } from "./codec.ts";
import { probe } from "./probe.ts";
import { questions } from "./questions.ts";

/**
 * TensorRT-LLM, written from the field numbers of its service only: no such engine was available to us. Prefill and decode on
 * separate workers are not built for it.
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
