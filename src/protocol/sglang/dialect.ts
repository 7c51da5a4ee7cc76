import { GenerateReader } from "./stream-reader.ts";
import type { Dialect } from "../dialect.ts";
import { openaiDialect } from "../openai/dialect.ts";

/** SGLang's own `/generate`: OpenAI's errors and end marker, counts in `meta_info` of each event. */
export const sglangDialect: Dialect = {
  ...openaiDialect,
  name: "sglang",
  createStreamReader: () => new GenerateReader(),
};
