import { type JsonObject, jsonObjectOf } from "../../../src/protocol/json/json.ts";
import type { GenerateRequest } from "../../../src/transport/grpc/generated/engine/vllm.ts";
import type { EngineCore, EngineRecord } from "./engine-core.ts";
import { claimKv, hashOf, type KvClaim, KvSideChannel } from "./kv-side-channel.ts";
import { STATUS } from "./rpc-server.ts";

export type VllmConnector = "NixlConnector" | "MooncakeConnector";

export interface VllmPdOptions {
  readonly role: "regular" | "prefill" | "decode";
  readonly connector: VllmConnector | undefined;
  /** Decode computes the prompt of a request without parameters itself. Otherwise a gateway that forgets them is found out. */
  readonly prefillsAlone: boolean;
  /** Of the prefill's side channel; 0 takes a free one. */
  readonly sidePort: number;
  readonly dataParallelSize: number;
}

const HOST = "127.0.0.1";
const ROLES = { regular: "", prefill: "kv_producer", decode: "kv_consumer" };

/**
 * One half of a prefill/decode pair of vLLM. It is true to the protocol and refuses every deviation from it, so that a
 * gateway that only seems to move KV is found out. NIXL: the prefill answers with a ticket that decode must get to the
 * letter, under the same request id. Mooncake: the gateway mints the transfer id and names the engine and its address.
 */
export class VllmPd {
  readonly connector: VllmConnector | undefined;
  readonly engineId: string;
  readonly #role: VllmPdOptions["role"];
  readonly #core: EngineCore;
  readonly #side: KvSideChannel | undefined;
  readonly #ranks: number;
  readonly #prefillsAlone: boolean;
  /** Keys under which the prompts of running prefills are given out. */
  readonly #keys = new Map<EngineRecord, { readonly key: string; readonly ticket: string }>();

  constructor(options: VllmPdOptions, core: EngineCore) {
    this.#role = options.role;
    this.#core = core;
    this.#ranks = options.dataParallelSize;
    this.#prefillsAlone = options.prefillsAlone;
    this.connector = options.role === "regular" ? undefined : (options.connector ?? "NixlConnector");
    this.engineId = this.connector ? crypto.randomUUID() : "";
    if (options.role === "prefill") {
      this.#side = new KvSideChannel(options.sidePort, (what) => core.violations.push(what));
    }
  }

  get kvRole(): string {
    return ROLES[this.#role];
  }

  /** Where decode comes for the KV cache; 0 where there is nothing to come for. */
  get sidePort(): number {
    return this.#side?.port ?? 0;
  }

  stop(): void {
    this.#side?.stop();
  }

  /** Checks the request against the role. Decode has the KV cache of the prompt after it. */
  async begin(record: EngineRecord, request: GenerateRequest): Promise<"received" | undefined> {
    if (this.#role === "regular") return undefined;
    // With several answers vLLM has no hand-over: decode computes the prompt itself.
    if (this.#role === "decode" && (request.samplingParams?.n ?? 1) > 1) return undefined;
    const isAlone = this.#role === "decode" && request.kvTransferParamsJson === undefined;
    if (isAlone && this.#prefillsAlone) return undefined;
    const params = this.#params(record, request);
    if (this.#role === "prefill") {
      this.#open(record, request, params);
      return undefined;
    }
    const address = this.#addressOf(record, params);
    const failure = await claimKv(address, this.#claimOf(record, request, params));
    if (failure !== undefined) this.#core.violate(record, `KV transfer failed: ${failure}`, STATUS.internal);
    return "received";
  }

  /** What a prefill answers as `kv_transfer_params_json`; Mooncake answers nothing. */
  ticketOf(record: EngineRecord): string | undefined {
    const entry = this.#keys.get(record);
    return entry === undefined || this.connector === "MooncakeConnector" ? undefined : entry.ticket;
  }

  /** The prompt of a prefill is computed, or will not be. */
  computed(record: EngineRecord, failure: string | undefined): void {
    const entry = this.#keys.get(record);
    if (!entry) return;
    this.#keys.delete(record);
    this.#side?.settle(entry.key, failure);
  }

  #params(record: EngineRecord, request: GenerateRequest): JsonObject {
    const text = request.kvTransferParamsJson;
    const params = text === undefined ? undefined : jsonObjectOf(text);
    if (!params) return this.#refuse(record, `a ${this.#role} request needs kv_transfer_params_json`);
    return params;
  }

  #open(record: EngineRecord, request: GenerateRequest, params: JsonObject): void {
    const sampling = request.samplingParams;
    if (sampling?.maxTokens !== 1) this.#refuse(record, `a prefill has max_tokens 1, not ${sampling?.maxTokens}`);
    if (sampling.n > 1) this.#refuse(record, "a prefill has one answer");
    if (request.stream) this.#refuse(record, "a prefill is not streamed");
    if (params["do_remote_decode"] !== true) this.#refuse(record, "a prefill has do_remote_decode true");
    if (params["do_remote_prefill"] !== false) this.#refuse(record, "a prefill has do_remote_prefill false");
    const isMooncake = this.connector === "MooncakeConnector";
    const key = isMooncake ? this.#textOf(record, params, "transfer_id") : record.requestId;
    const ticket = isMooncake ? this.#engineIdOf(record, request) : this.#mint(record);
    if (this.#side?.open(key, hashOf(record.promptIds), ticket) !== true) {
      this.#refuse(record, `${key} was prefilled before`);
    }
    this.#keys.set(record, { key, ticket });
  }

  #mint(record: EngineRecord): string {
    const blocks = Math.ceil(record.promptIds.length / 16);
    return JSON.stringify({
      do_remote_prefill: true,
      do_remote_decode: false,
      remote_block_ids: [Array.from({ length: blocks }, (_, block) => block + record.order)],
      remote_engine_id: this.engineId,
      remote_request_id: record.requestId,
      remote_host: HOST,
      remote_port: this.sidePort,
      tp_size: 1,
    });
  }

  #addressOf(record: EngineRecord, params: JsonObject): string {
    if (params["do_remote_prefill"] !== true) this.#refuse(record, "a decode has do_remote_prefill true");
    if (params["do_remote_decode"] !== false) this.#refuse(record, "a decode has do_remote_decode false");
    if (this.connector === "MooncakeConnector") {
      const address = this.#textOf(record, params, "remote_bootstrap_addr");
      if (!address.startsWith("http://")) this.#refuse(record, `remote_bootstrap_addr is a URL, not ${address}`);
      return address.slice("http://".length);
    }
    const port = params["remote_port"];
    if (typeof port !== "number") this.#refuse(record, "a decode has remote_port");
    return `${this.#textOf(record, params, "remote_host")}:${port}`;
  }

  #claimOf(record: EngineRecord, request: GenerateRequest, params: JsonObject): KvClaim {
    const promptHash = hashOf(record.promptIds);
    if (this.connector !== "MooncakeConnector") {
      return { key: record.requestId, promptHash, ticket: request.kvTransferParamsJson ?? "" };
    }
    const ticket = this.#textOf(record, params, "remote_engine_id");
    return { key: this.#textOf(record, params, "transfer_id"), promptHash, ticket };
  }

  /** Under which a decode must name this engine: with ranks, the one on which the prompt is. */
  #engineIdOf(record: EngineRecord, { dataParallelRank }: GenerateRequest): string {
    if (this.#ranks === 1) return this.engineId;
    if (dataParallelRank === undefined) this.#refuse(record, "a prefill with several ranks is pinned to one");
    return `${this.engineId}_dp${dataParallelRank}`;
  }

  #textOf(record: EngineRecord, params: JsonObject, name: string): string {
    const value = params[name];
    return typeof value === "string" && value !== "" ? value : this.#refuse(record, `kv_transfer_params has ${name}`);
  }

  #refuse(record: EngineRecord, what: string): never {
    return this.#core.violate(record, what, STATUS.invalidArgument);
  }
}
