import { GatewayError } from "../errors/errors.ts";
import type { JsonObject } from "../protocol/json/json.ts";
import type * as Messages from "../transport/grpc/generated/engine/common.ts";
import { lazy } from "../util/lazy.ts";
import type { Engine, GrpcAsk, MethodQuestions } from "./engine.ts";
import type { ProfileOptions } from "./profile-options.ts";
import type { WorkerVoice } from "./voice.ts";
import type { Addressee, WorkerClient } from "./worker-client.ts";

const messages = lazy((): typeof Messages => require("../transport/grpc/generated/engine/common.ts"));

/** Operators' questions to one gRPC worker, each for a method that its engine's service has. */
export class MethodVoice implements WorkerVoice {
  readonly #engine: Engine;
  readonly #timeoutMs: number;
  readonly #ask: GrpcAsk;

  constructor(client: Pick<WorkerClient, "call">, to: Addressee, engine: Engine, timeoutMs: number) {
    this.#engine = engine;
    this.#timeoutMs = timeoutMs;
    this.#ask = (method, request) => client.call(to, method, request, timeoutMs);
  }

  async isHealthy(): Promise<boolean> {
    const { grpc } = this.#engine.probe;
    if (!grpc) throw noService();
    return grpc.isHealthy(this.#ask);
  }

  async info(): Promise<undefined> {
    return undefined;
  }

  async flushCache(): Promise<void> {
    const { flushCache } = this.#methods();
    if (flushCache === undefined) throw noMethod("to flush its cache");
    const request = messages()
      .FlushCacheRequest.encode({ timeoutS: this.#timeoutMs / 1000 })
      .finish();
    const { success, message } = messages().FlushCacheResponse.decode(await this.#ask(flushCache, request));
    if (!success) throw new GatewayError("upstream_error", `the worker did not flush its cache: ${message}`);
  }

  async loads(): Promise<JsonObject> {
    const { loads } = this.#methods();
    if (!loads) throw noMethod("to report its load");
    return loads(this.#ask);
  }

  startProfile(options: ProfileOptions | undefined): Promise<void> {
    const { StartProfileRequest } = messages();
    return this.#profile(
      "start",
      StartProfileRequest.encode(StartProfileRequest.fromPartial(options?.message ?? {})).finish(),
    );
  }

  stopProfile(): Promise<void> {
    return this.#profile("stop", messages().StopProfileRequest.encode({}).finish());
  }

  async #profile(step: "start" | "stop", request: Uint8Array): Promise<void> {
    const { profile } = this.#methods();
    if (!profile) throw noMethod("to profile");
    const { success, message } = messages().ProfileResponse.decode(await this.#ask(profile[step], request));
    if (!success) throw new GatewayError("upstream_error", `the worker did not profile: ${message}`);
  }

  #methods(): MethodQuestions {
    const { grpc } = this.#engine.questions;
    if (!grpc) throw noService();
    return grpc;
  }
}

function noService(): GatewayError {
  return new GatewayError("not_implemented", "the worker's engine cannot be spoken to over gRPC");
}

function noMethod(todo: string): GatewayError {
  return new GatewayError("not_implemented", `the worker's engine has no method ${todo}`);
}
