import { lazy } from "../../util/lazy.ts";
import type { EngineCodec } from "../codec.ts";
import type { Engine } from "../engine.ts";
import { chatForm } from "./chat-form.ts";
import { connectors } from "./connectors.ts";
import type * as Codec from "./codec.ts";
import { probe } from "./probe.ts";
import { questions } from "./questions.ts";

const load = lazy((): typeof Codec => require("./codec.ts"));

/** SGLang, over HTTP and gRPC. */
export const sglang: Engine = {
  name: "sglang",
  title: "SGLang",
  probe,
  questions,
  get codec(): EngineCodec {
    return load().codec;
  },
  connectors,
  chatForm,
  // The newer name and the older one: a version reads one or both.
  rankPin: { members: ["routed_dp_rank", "data_parallel_rank"], cleared: ["disagg_prefill_dp_rank"] },
  takesModelSpellings: true,
};
