import { z } from "zod";

/** Bytes of prompts that an index remembers. One option of all policies that have an index. */
export const INDEX_SIZE = z
  .int()
  .min(65_536)
  .max(4_294_967_296)
  .default(67_108_864)
  .meta({ description: "bytes of prompts that the index of a model remembers." });
