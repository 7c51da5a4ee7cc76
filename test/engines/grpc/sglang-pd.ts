import type { GenerateRequest } from "../../../src/transport/grpc/generated/engine/sglang.ts";
import type { EngineCore, EngineRecord } from "./engine-core.ts";
import { claimKv, hashOf, KvSideChannel } from "./kv-side-channel.ts";
import { STATUS } from "./rpc-server.ts";

export interface SglangPdOptions {
  readonly role: "regular" | "prefill" | "decode";
  /** Of the prefill's bootstrap server; 0 takes a free one. */
  readonly bootstrapPort: number;
}

const HOSTS = new Set(["127.0.0.1", "localhost"]);

/**
 * One half of a prefill/decode pair of SGLang: both get the request at the same time, with the host and port of the
 * prefill's bootstrap server and a room that no other request has. Every deviation is refused.
 */
export class SglangPd {
  readonly role: SglangPdOptions["role"];
  readonly #core: EngineCore;
  readonly #side: KvSideChannel | undefined;
  readonly #rooms = new Map<EngineRecord, string>();

  constructor(options: SglangPdOptions, core: EngineCore) {
    this.role = options.role;
    this.#core = core;
    if (options.role === "prefill") {
      this.#side = new KvSideChannel(options.bootstrapPort, (what) => core.violations.push(what));
    }
  }

  /** Where the two halves meet; 0 where nobody does. */
  get bootstrapPort(): number {
    return this.#side?.port ?? 0;
  }

  stop(): void {
    this.#side?.stop();
  }

  /** Checks the request against the role. Decode has the KV cache of the prompt after it. */
  async begin(record: EngineRecord, request: GenerateRequest): Promise<"received" | undefined> {
    if (this.role === "regular") return undefined;
    const params = request.disaggregatedParams;
    if (!params) return this.#refuse(record, `a ${this.role} request needs disaggregated_params`);
    const { bootstrapHost: host, bootstrapPort: port, bootstrapRoom: room } = params;
    if (room < 0) this.#refuse(record, "bootstrap_room is not negative");
    if (this.role === "prefill") {
      this.#open(record, host, port, String(room));
      return undefined;
    }
    const claim = { key: String(room), promptHash: hashOf(record.promptIds), ticket: "" };
    const failure = await claimKv(`${host}:${port}`, claim);
    if (failure !== undefined) this.#core.violate(record, `KV transfer failed: ${failure}`, STATUS.internal);
    return "received";
  }

  /** The prompt of a prefill is computed: waits until decode has it, as the transfer is a part of the prefill. */
  async handOver(record: EngineRecord, signal: AbortSignal): Promise<void> {
    const room = this.#rooms.get(record);
    if (room === undefined) return;
    this.#side?.settle(room, undefined);
    if ((await this.#side?.given(room, signal)) !== true && !signal.aborted) {
      this.#core.violate(record, `KV transfer failed: no decode came for room ${room}`, STATUS.internal);
    }
  }

  /** The prefill ended without its prompt computed. */
  giveUp(record: EngineRecord): void {
    const room = this.#rooms.get(record);
    this.#rooms.delete(record);
    if (room !== undefined) this.#side?.settle(room, "the prefill was given up");
  }

  #open(record: EngineRecord, host: string, port: number, room: string): void {
    if (!HOSTS.has(host)) this.#refuse(record, `bootstrap_host is ${host}, not this engine's`);
    if (port !== this.bootstrapPort) this.#refuse(record, `bootstrap_port is ${port}, not ${this.bootstrapPort}`);
    if (this.#side?.open(room, hashOf(record.promptIds), "") !== true)
      this.#refuse(record, `room ${room} was used before`);
    this.#rooms.set(record, room);
  }

  #refuse(record: EngineRecord, what: string): never {
    return this.#core.violate(record, what, STATUS.invalidArgument);
  }
}
