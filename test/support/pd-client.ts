import type { PdEngine } from "../engines/pd/pd-engine.ts";
import type { PdFleet } from "./pd-engines.ts";

/*
 * A client that speaks to prefill and decode engines by hand, rightly and, where a test asks for it, wrongly. It shares
 * nothing with the gateway.
 */

export const CHAT = "/v1/chat/completions";
export const COMPLETIONS = "/v1/completions";
export const QUESTION = { model: "sim-1", messages: [{ role: "user", content: "Which train goes to Crewe?" }] };

export interface Answer {
  readonly choices: readonly {
    readonly index: number;
    readonly text?: string;
    readonly message?: { readonly content: string };
  }[];
  readonly usage: {
    readonly prompt_tokens: number;
    readonly prompt_tokens_details: { readonly cached_tokens: number };
  };
  readonly kv_transfer_params?: Readonly<Record<string, unknown>>;
}

export interface NativeAnswer {
  readonly text: string;
  readonly meta_info: {
    readonly prompt_tokens: number;
    readonly input_token_logprobs: readonly unknown[];
    readonly output_token_logprobs: readonly unknown[];
  };
}

export async function read<T = Answer>(response: Response | Promise<Response>): Promise<T> {
  return (await (await response).json()) as T;
}

/** JSON with bigints as numbers. */
function write(body: object): string {
  const text = JSON.stringify(body, (_key, value: unknown) => (typeof value === "bigint" ? `@${value}@` : value));
  return text.replaceAll(/"@(-?\d+)@"/g, "$1");
}

export function send(
  engine: { readonly url: string },
  path: string,
  body: object | string,
  init: { readonly headers?: Record<string, string>; readonly signal?: AbortSignal } = {},
): Promise<Response> {
  const text = typeof body === "string" ? body : write(body);
  return fetch(`${engine.url}${path}`, { method: "POST", body: text, ...init });
}

/** The first of each. */
export function firstPair(fleet: PdFleet): { readonly prefill: PdEngine; readonly decode: PdEngine } {
  const [prefill] = fleet.prefills;
  const [decode] = fleet.decodes;
  if (!prefill || !decode) throw new Error("an empty fleet");
  return { prefill, decode };
}

let lastRoom = 9_223_372_036_854_000_000n;

/** A room of 63 bits that was not used before. */
export function nextRoom(): bigint {
  lastRoom += 1n;
  return lastRoom;
}

export function bootstrap({ kvPort }: PdEngine, room = nextRoom()): object {
  return { bootstrap_host: "127.0.0.1", bootstrap_port: kvPort, bootstrap_room: room };
}

/** SGLang: both legs at once, with the same three fields; the decode engine's answer counts. */
export async function askBoth(
  fleet: PdFleet,
  path: string,
  body: object,
  more: object = {},
  decodeMore: object = {},
): Promise<{ readonly prefilled: Response; readonly decoded: Response }> {
  const { prefill, decode } = firstPair(fleet);
  const whole = { ...body, ...bootstrap(prefill), ...more };
  const [prefilled, decoded] = await Promise.all([
    send(prefill, path, whole),
    send(decode, path, { ...whole, ...decodeMore }),
  ]);
  return { prefilled, decoded };
}

export const REMOTE_DECODE = {
  do_remote_decode: true,
  do_remote_prefill: false,
  remote_engine_id: null,
  remote_block_ids: null,
  remote_host: null,
  remote_port: null,
};

/** The body of a prefill leg at vLLM. */
export function prefillBody(body: object, params: object = REMOTE_DECODE): object {
  return { ...body, max_tokens: 1, stream: false, kv_transfer_params: params };
}

/** The `kv_transfer_params` of an answer, as they are written there. */
export function writtenParams(text: string): string {
  return text.slice(text.indexOf('"kv_transfer_params":') + '"kv_transfer_params":'.length, -1);
}

/** A body with the parameters in it as they are written. */
export function withParams(body: object, params: string): string {
  return `${JSON.stringify(body).slice(0, -1)},"kv_transfer_params":${params}}`;
}
