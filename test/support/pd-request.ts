import type { PdRequest } from "../../src/engine/connector.ts";
import { readJsonBody } from "../../src/protocol/json/json-body.ts";
import type { Worker } from "../../src/worker/worker.ts";
import { endpointNamed } from "./endpoints.ts";
import { setUpFleet } from "./fleet.ts";

/** A chat request that a pair of workers answers. */
export async function pdRequest({
  prefill = setUpFleet().add("http://p:1", { workerType: "prefill" }),
  body = {},
}: {
  readonly prefill?: Worker;
  readonly body?: object;
}): Promise<PdRequest> {
  return {
    endpoint: endpointNamed("chat_completions"),
    body: await readJsonBody(Buffer.from(JSON.stringify(body))),
    prefill,
    decode: setUpFleet().add("http://d:1", { workerType: "decode" }),
    requestId: "r",
  };
}
