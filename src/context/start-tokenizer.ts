import type { Config } from "../config/schema.ts";
import { GatewayError } from "../errors/errors.ts";
import type { TokenizerRegistry } from "../tokenizer/tokenizer-registry.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { checkModelTexts } from "./model-texts.ts";
import { errorMessage } from "../util/error-message.ts";

/** Loads the tokenizer of `tokenizer_path` with `enable_grpc`, before the routers serve. Throws if it cannot be loaded. */
export async function startTokenizer(config: Config, tokenizers: TokenizerRegistry): Promise<Tokenizer | undefined> {
  checkModelTexts(config);
  const { enableGrpc, tokenizerPath } = config;
  if (!enableGrpc || tokenizerPath === undefined) return undefined;
  const name = config.modelPath ?? tokenizerPath;
  if (!tokenizers.info(name)) tokenizers.add(name, { path: tokenizerPath });
  try {
    return await tokenizers.whenLoaded(name);
  } catch (cause) {
    throw new GatewayError("invalid_request", `tokenizer_path ${tokenizerPath}: ${errorMessage(cause)}`, { cause });
  }
}
