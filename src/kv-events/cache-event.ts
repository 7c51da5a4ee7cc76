import { errorMessage } from "../util/error-message.ts";
import { type MsgpackValue, MsgpackError, readMsgpack } from "./msgpack.ts";

/** The engine's own hash of a block, as it came: a number, a 64-bit one, or its bytes as a text of one character each. */
export type BlockKey = number | bigint | string;

/** Blocks that the engine now holds. */
export interface BlocksStored {
  readonly kind: "stored";
  readonly keys: readonly BlockKey[];
  /** The block before the first one; undefined at the beginning of a prompt. */
  readonly parent: BlockKey | undefined;
  /** The tokens of all blocks. Empty where the blocks were stored before, and are copied to another tier. */
  readonly tokens: readonly number[];
  readonly blockTokens: number;
  /** Name of the LoRA adapter. */
  readonly lora: string | undefined;
  /** The client's salt, where the engine tells it by itself (SGLang); vLLM has it among the extra keys of a prompt's first block. */
  readonly salt: string | undefined;
  /** Where: `GPU`, `CPU`, `DISK`, or what the engine calls it. */
  readonly tier: string;
  /** The tier is not the engine's own but storage elsewhere, which other engines may use as well. */
  readonly isRemote: boolean;
  /** For each block what its hash depends on besides tokens: adapter, salt, pictures. Empty where the engine does not say. */
  readonly extraKeys: readonly (readonly MsgpackValue[])[];
  /** Group of layers, in models with several kinds of attention. */
  readonly group: number | undefined;
  /** Kind of attention of the group; undefined where the engine does not say. */
  readonly attention: string | undefined;
}

/** Blocks that one tier of the engine no longer holds. */
export interface BlocksRemoved {
  readonly kind: "removed";
  readonly keys: readonly BlockKey[];
  readonly tier: string;
  readonly isRemote: boolean;
  readonly group: number | undefined;
}

/** The load that SGLang reports between its other events, requests and tokens. */
export interface LoadReport {
  readonly kind: "load";
  readonly running: number;
  readonly waiting: number;
  readonly tokens: number;
  readonly maxTokens: number;
}

export type CacheEvent = BlocksStored | BlocksRemoved | { readonly kind: "cleared" } | LoadReport;

/** Events that an engine published together, with a sequence number. */
export interface CacheEventBatch {
  readonly events: readonly CacheEvent[];
  /** Events of kinds that we do not know. */
  readonly skipped: number;
  readonly rank: number | undefined;
}

/** Fields of the events in the order in which they stand in the array form. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  BlockStored: [
    "block_hashes",
    "parent_block_hash",
    "token_ids",
    "block_size",
    "lora_id",
    "medium",
    "lora_name",
    "extra_keys",
    "group_idx",
    "kv_cache_spec_kind",
    "kv_cache_spec_sliding_window",
    "locality",
    "ownership",
  ],
  BlockRemoved: ["block_hashes", "medium", "group_idx", "locality", "ownership"],
  AllBlocksCleared: [],
  LoadStat: ["running", "waiting", "num_tokens", "max_total_num_tokens"],
};

/** The tier of events that name none. */
const DEFAULT_TIER = "GPU";

/** A field of an event by its name. */
type Field = (name: string) => MsgpackValue;

/**
 * Reads a batch of events of vLLM or SGLang. Batch and events are each an array or a map, in any combination: an array has its fields by
 * place, with the tag first in an event; a map by name, with the tag under `type`. Fields may be missing at the end, or be more than we
 * know. Throws MsgpackError.
 */
export function readBatch(payload: Uint8Array): CacheEventBatch {
  const batch = readMsgpack(payload);
  const field = fieldsOf(batch, 0, ["ts", "events", "data_parallel_rank"]);
  const listed = field("events");
  if (!isList(listed)) throw new MsgpackError("a batch without a list of events");
  const events: CacheEvent[] = [];
  let skipped = 0;
  for (const one of listed) {
    const event = readEvent(one);
    if (event) events.push(event);
    else skipped += 1;
  }
  return { events, skipped, rank: countOf(field("data_parallel_rank") ?? field("attn_dp_rank")) };
}

/** A batch, or why it cannot be read. */
export function batchOf(payload: Uint8Array): CacheEventBatch | string {
  try {
    return readBatch(payload);
  } catch (error) {
    return `a batch cannot be read: ${errorMessage(error)}`;
  }
}

function readEvent(value: MsgpackValue): CacheEvent | undefined {
  const tag = isList(value) ? value[0] : value instanceof Map ? value.get("type") : undefined;
  const names = typeof tag === "string" ? FIELDS[tag] : undefined;
  if (!names) return undefined;
  const field = fieldsOf(value, 1, names);
  switch (tag) {
    case "BlockStored":
      return stored(field);
    case "BlockRemoved":
      return { kind: "removed", keys: keysOf(field), ...placeOf(field), group: countOf(field("group_idx")) };
    case "AllBlocksCleared":
      return { kind: "cleared" };
    default:
      return load(field);
  }
}

function stored(field: Field): BlocksStored {
  const tokens = tokensOf(field("token_ids") ?? []);
  const extra = field("extra_keys");
  const blockTokens = countOf(field("block_size")) ?? (tokens?.length === 0 ? 0 : undefined);
  if (!tokens || blockTokens === undefined) throw new MsgpackError("stored blocks without tokens or size");
  const parent = field("parent_block_hash");
  return {
    kind: "stored",
    keys: keysOf(field),
    parent: parent === null || parent === undefined ? undefined : keyOf(parent),
    tokens,
    blockTokens,
    lora: loraOf(field),
    salt: saltOf(field),
    ...placeOf(field),
    extraKeys: isList(extra) ? extra.map((keys) => (isList(keys) ? keys : [])) : [],
    group: countOf(field("group_idx")),
    attention: textOf(field("kv_cache_spec_kind")),
  };
}

function load(field: Field): LoadReport | undefined {
  const [running, waiting] = [countOf(field("running")), countOf(field("waiting"))];
  const [tokens, maxTokens] = [countOf(field("num_tokens")), countOf(field("max_total_num_tokens"))];
  if (running === undefined || waiting === undefined || tokens === undefined || maxTokens === undefined)
    return undefined;
  return { kind: "load", running, waiting, tokens, maxTokens };
}

/** Older engines name the adapter by its number only. */
function loraOf(field: Field): string | undefined {
  const name = textOf(field("lora_name"));
  if (name !== undefined) return name;
  const id = countOf(field("lora_id"));
  return id === undefined ? undefined : String(id);
}

/** SGLang names the salt in a field of its own; before its events were maps, in a map where vLLM's arrays have the adapter's name. */
function saltOf(field: Field): string | undefined {
  const metadata = field("lora_name");
  return textOf(metadata instanceof Map ? metadata.get("cache_salt") : field("cache_salt"));
}

/** Engines that guess ahead (Eagle) name each token with the next one. */
function tokensOf(value: MsgpackValue): readonly number[] | undefined {
  if (isNumbers(value)) return value;
  if (!isList(value)) return undefined;
  const firsts = value.map((one) => (isList(one) ? one[0] : undefined));
  return isNumbers(firsts) ? firsts : undefined;
}

/** The tier. What another owner than the engine stores there (vLLM's `ownership`) it also removes by itself, so it is a tier of its own. */
function placeOf(field: Field): { readonly tier: string; readonly isRemote: boolean } {
  const medium = textOf(field("medium")) ?? DEFAULT_TIER;
  const owner = textOf(field("ownership"));
  return { tier: owner === undefined ? medium : `${medium} ${owner}`, isRemote: field("locality") === "REMOTE" };
}

function keysOf(field: Field): BlockKey[] {
  const keys = field("block_hashes");
  if (!isList(keys)) throw new MsgpackError("an event without hashes of blocks");
  return keys.map(keyOf);
}

function keyOf(value: MsgpackValue): BlockKey {
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "string") return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("latin1");
  throw new MsgpackError("a hash that is neither a number nor bytes");
}

/** The fields of an array from `first` on, or of a map. Throws MsgpackError for any other value. */
function fieldsOf(value: MsgpackValue, first: number, names: readonly string[]): Field {
  if (value instanceof Map) return (name) => value.get(name);
  if (!isList(value)) throw new MsgpackError("neither an array nor a map");
  return (name) => {
    const place = names.indexOf(name);
    return place < 0 ? undefined : value[first + place];
  };
}

function isList(value: MsgpackValue): value is readonly MsgpackValue[] {
  return Array.isArray(value);
}

function isNumbers(value: MsgpackValue): value is readonly number[] {
  return isList(value) && value.every((one) => typeof one === "number");
}

function countOf(value: MsgpackValue): number | undefined {
  return typeof value === "number" && Number.isInteger(value) ? value : undefined;
}

function textOf(value: MsgpackValue): string | undefined {
  return typeof value === "string" ? value : undefined;
}
