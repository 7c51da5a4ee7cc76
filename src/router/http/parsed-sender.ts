import type { Endpoint } from "../../protocol/endpoint.ts";
import type { ConnectionMode } from "../../util/parse-worker-url.ts";
import type { WorkerType } from "../../util/worker-type.ts";
import { ChangedResponse } from "../changed-response.ts";
import type { WorkerResponse } from "../response-stage.ts";
import type { InferenceRequest } from "../router.ts";
import type { Sender } from "../sender.ts";
import type { Legs, Try } from "../try.ts";
import { ParsedOutput } from "./parsed-output.ts";
import { type ParsedOutputSettings, type ParsedRequest, withParser } from "./parsed-request.ts";

/** Wraps a sender, and parses calls and reasoning out of its answers' text. */
export class ParsedSender implements Sender<ParsedRequest> {
  readonly mode: ConnectionMode;
  readonly speaksTokens: boolean;
  readonly fits: Sender["fits"];
  readonly prefillsAlone: Sender["prefillsAlone"];
  readonly #inner: Sender;
  readonly #settings: ParsedOutputSettings;

  constructor(inner: Sender, settings: ParsedOutputSettings) {
    this.mode = inner.mode;
    this.speaksTokens = inner.speaksTokens;
    this.fits = inner.fits;
    this.prefillsAlone = inner.prefillsAlone;
    this.#inner = inner;
    this.#settings = settings;
  }

  refusal(endpoint: Endpoint): string | undefined {
    return this.#inner.refusal(endpoint);
  }

  rolesFor(endpoint: Endpoint): Legs<WorkerType> {
    return this.#inner.rolesFor(endpoint);
  }

  prepare(request: InferenceRequest): ParsedRequest | Promise<ParsedRequest> {
    return withParser(request, this.#settings);
  }

  send(request: ParsedRequest, tried: Try): Promise<WorkerResponse> {
    const upstream = this.#inner.send(request, tried);
    return request.parser ? parsed(upstream, new ParsedOutput(request.parser)) : upstream;
  }
}

async function parsed(upstream: Promise<WorkerResponse>, output: ParsedOutput): Promise<WorkerResponse> {
  return new ChangedResponse(await upstream, output);
}
