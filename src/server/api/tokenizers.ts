import { GatewayError } from "../../errors/errors.ts";
import { type JsonObject, stringField } from "../../protocol/json/json.ts";
import type { Call, Route } from "../route.ts";
import type { FolderOfPaths } from "./folder-of-paths.ts";
import { readJson } from "./json-request.ts";
import { jsonReply, type Reply } from "../../transport/downstream.ts";

/** A tokenizer as the API shows it. */
export interface TokenizerView {
  readonly id: string;
  readonly name: string;
  readonly source: string;
  readonly status: "processing" | "completed" | "failed";
  readonly vocabSize?: number;
  readonly error?: string;
}

/** The tokenizers that the API can change. The registry fits it by shape. */
export interface TokenizerAdmin {
  /** Begins to load a tokenizer. Throws invalid_request (409) if the name is in use. */
  add(name: string, source: { readonly path: string; readonly chatTemplate?: string }): TokenizerView;
  list(): readonly TokenizerView[];
  info(idOrName: string): TokenizerView | undefined;
  remove(idOrName: string): boolean;
}

export interface TokenizersDeps {
  readonly tokenizers: TokenizerAdmin;
  readonly paths: FolderOfPaths;
  readonly maxBodyBytes: number;
}

/** Routes for tokenizers. Their names are model ids; they are loaded from folders on the gateway's machine. */
export function tokenizerRoutes(deps: TokenizersDeps): Route[] {
  const { tokenizers, maxBodyBytes } = deps;
  return [
    {
      method: "GET",
      path: "/v1/tokenizers",
      access: "viewer",
      handle: () => jsonReply({ tokenizers: tokenizers.list().map(view) }),
    },
    { method: "POST", path: "/v1/tokenizers", access: "admin", maxBodyBytes, handle: (call) => add(deps, call) },
    {
      method: "GET",
      path: "/v1/tokenizers/:id",
      access: "viewer",
      handle: (call) => jsonReply(view(find(deps, call))),
    },
    { method: "GET", path: "/v1/tokenizers/:id/status", access: "viewer", handle: (call) => status(find(deps, call)) },
    { method: "DELETE", path: "/v1/tokenizers/:id", access: "admin", handle: (call) => remove(deps, call) },
  ];
}

async function add({ tokenizers, paths }: TokenizersDeps, call: Call): Promise<Reply> {
  const body = readJson(call);
  const name = required(body, "name");
  const path = await paths.resolve(required(body, "source"), "source");
  const template = stringField(body, "chat_template_path");
  const chatTemplate = template === undefined ? undefined : await paths.text(template, "chat_template_path");
  const added = tokenizers.add(name, chatTemplate === undefined ? { path } : { path, chatTemplate });
  return jsonReply(
    { id: added.id, status: "pending", message: `the tokenizer of ${name} is being loaded` },
    { status: 202, headers: { location: `/v1/tokenizers/${added.id}` } },
  );
}

function required(body: JsonObject, name: string): string {
  const value = stringField(body, name);
  if (value !== undefined && value !== "" && value.length <= 1024) return value;
  throw new GatewayError("invalid_request", `${name} must be a text of 1 to 1024 characters`, { param: name });
}

function status(tokenizer: TokenizerView): Reply {
  const { id, name, status: state, vocab_size, error } = view(tokenizer);
  return jsonReply({ id, name, status: state, vocab_size, error });
}

function remove(deps: TokenizersDeps, call: Call): Reply {
  const { id, name } = find(deps, call);
  deps.tokenizers.remove(id);
  return jsonReply({ success: true, message: `the tokenizer of ${name} was removed` });
}

function find({ tokenizers }: TokenizersDeps, { params }: Call): TokenizerView {
  const found = tokenizers.info(params["id"] ?? "");
  if (found) return found;
  throw new GatewayError("tokenizer_not_found", "there is no tokenizer with this id or name");
}

interface Shown {
  readonly id: string;
  readonly name: string;
  readonly source: string;
  readonly status: string;
  readonly vocab_size: number | null;
  readonly error: string | null;
}

function view({ id, name, source, status: state, vocabSize, error }: TokenizerView): Shown {
  return { id, name, source, status: state, vocab_size: vocabSize ?? null, error: error ?? null };
}
