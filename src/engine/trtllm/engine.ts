import { lazy } from "../../util/lazy.ts";
import type { EngineCodec } from "../codec.ts";
import type { Engine } from "../engine.ts";
import type * as Codec from "./codec.ts";
import { probe } from "./probe.ts";
import { questions } from "./questions.ts";

const load = lazy((): typeof Codec => require("./codec.ts"));

/**
 * TensorRT-LLM, written from the field numbers of its service only: no such engine was available to us. Prefill and decode on
 * separate workers are not built for it.
 */
export const trtllm: Engine = {
  name: "trtllm",
  title: "TensorRT-LLM",
  probe,
  questions,
  get codec(): EngineCodec {
    return load().codec;
  },
  connectors: undefined,
  chatForm: undefined,
  rankPin: undefined,
  takesModelSpellings: false,
};
