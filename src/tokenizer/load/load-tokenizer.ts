import { GatewayError } from "../../errors/errors.ts";
import { ChatTemplates } from "../chat-templates.ts";
import { ModelTokenizer } from "./model-tokenizer.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { readTokenizerConfig } from "./tokenizer-config.ts";
import { readTokenizerFiles, type TokenizerFiles } from "./tokenizer-files.ts";
import { TokenizerThread } from "./tokenizer-thread.ts";
import { errorMessage } from "../../util/error-message.ts";

export interface LoadOptions {
  /** Source of a template that replaces the model's default one. */
  readonly chatTemplate?: string;
}

/** Loads a tokenizer from a folder with a tokenizer.json, or from the path of that file. */
export async function loadTokenizer(path: string, options: LoadOptions = {}): Promise<Tokenizer> {
  return loadTokenizerFiles(await readTokenizerFiles(path), options);
}

/**
 * Loads a tokenizer. It takes 0.3 to 3 s of CPU, nearly all on the tokenizer's own thread: parsing, tables, the self-check. The
 * calling thread copies tokenizer.json, parses the small files, and gets the tables in shared memory. That takes 10 to 30 ms in
 * pieces; 65 ms for gemma 3 with its 33 MB and 6,400 added tokens (`bench/tokenizer.ts`). Rejects with `invalid_request` (param
 * "source") if the files are not a tokenizer's. The caller disposes of the result.
 */
export async function loadTokenizerFiles(files: TokenizerFiles, options: LoadOptions = {}): Promise<Tokenizer> {
  const json = files.get("tokenizer.json");
  if (!json) throw new GatewayError("invalid_request", "there is no tokenizer.json", { param: "source" });
  const config = readTokenizerConfig(files);
  const own = new ChatTemplates(config.templates, config.namedTokens);
  const chatTemplates = options.chatTemplate === undefined ? own : own.withDefault(options.chatTemplate);
  const thread = new TokenizerThread();
  try {
    const tables = await thread.load(json);
    return new ModelTokenizer({
      config,
      chatTemplates,
      tables,
      thread,
    });
  } catch (cause) {
    thread[Symbol.dispose]();
    throw new GatewayError("invalid_request", `tokenizer.json cannot be read: ${errorMessage(cause)}`, {
      param: "source",
      cause,
    });
  }
}
