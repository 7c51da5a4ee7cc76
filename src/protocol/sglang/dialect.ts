import { GenerateReader } from "./stream-reader.ts";
import type { Dialect } from "../dialect.ts";
import { openaiDialect } from "../openai/dialect.ts";
import { usageOfAnswer } from "./usage-of-answers.ts";

/** The dialect of SGLang's `/generate`. It has OpenAI's errors and end marker, and the counts in `meta_info` of each event. */
export const sglangDialect: Dialect = {
  ...openaiDialect,
  name: "sglang",
  createStreamReader: (body) => new GenerateReader(body),
  usageOf: usageOfAnswer,
};
