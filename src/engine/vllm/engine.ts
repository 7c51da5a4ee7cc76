import { lazy } from "../../util/lazy.ts";
import type { EngineCodec } from "../codec.ts";
import type { Engine } from "../engine.ts";
import { chatForm } from "./chat-form.ts";
import { connectors } from "./connectors.ts";
import type * as Codec from "./codec.ts";
import { probe } from "./probe.ts";
import { questions } from "./questions.ts";

const load = lazy((): typeof Codec => require("./codec.ts"));

/** vLLM, over HTTP and gRPC. */
export const vllm: Engine = {
  name: "vllm",
  title: "vLLM",
  probe,
  questions,
  get codec(): EngineCodec {
    return load().codec;
  },
  connectors,
  chatForm,
  rankPin: { members: [], cleared: [] },
  takesModelSpellings: false,
};
