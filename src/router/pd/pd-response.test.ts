import { expect, test } from "bun:test";
import { PlayedResponse, type RoutingSetup, setUpRouting } from "../../../test/support/routing.ts";
import { GatewayError } from "../../errors/errors.ts";
import { PdExchange } from "./pd-exchange.ts";
import { PdResponse } from "./pd-response.ts";

const LOST = new GatewayError("upstream_closed", "gone");

function setUp(pieces: readonly (string | Error)[]): RoutingSetup & {
  readonly exchange: PdExchange;
  readonly inner: PlayedResponse;
  readonly response: PdResponse;
} {
  const setup = setUpRouting();
  const prefill = setup.attempt(setup.add("http://p:1", { modelId: "m", workerType: "prefill" }));
  const decode = setup.attempt(setup.add("http://d:1", { modelId: "m", workerType: "decode" }));
  const exchange = new PdExchange(prefill, decode, setup.client);
  const inner = new PlayedResponse(pieces);
  return { ...setup, exchange, inner, response: new PdResponse(exchange, inner) };
}

const errorOf = async (work: () => unknown): Promise<unknown> => {
  try {
    return await work();
  } catch (error) {
    return error;
  }
};

test("decode's stream is followed the fast way", async () => {
  const { response, inner } = setUp(["a", "b"]);
  await response.follow({ take: () => true });
  expect(inner.followed).toBe(2);
});

test("until it has begun a failure of prefill is what its reading fails with", async () => {
  const { response, exchange } = setUp([new GatewayError("client_closed", "cut")]);
  exchange.prefillFailed(LOST);
  expect(await errorOf(() => response.read())).toBe(LOST);
});

test("once it has begun prefill's failure ends nothing", async () => {
  const { response, exchange } = setUp(["a"]);
  response.begun();
  exchange.prefillFailed(LOST);
  expect([exchange.decodeSignal.aborted, await response.read()]).toEqual([false, Buffer.from("a")]);
});

test("a whole answer is begun when it has been read", async () => {
  const { response, exchange } = setUp(["a", "b"]);
  expect(Buffer.from(await response.bytes(10)).toString()).toBe("ab");
  exchange.prefillFailed(LOST);
  expect(exchange.decodeSignal.aborted).toBe(false);
});

test("a whole answer that is lost fails with prefill's error where that ended both", async () => {
  const { response, exchange } = setUp([new GatewayError("client_closed", "cut")]);
  exchange.prefillFailed(LOST);
  expect(await errorOf(() => response.bytes(10))).toBe(LOST);
});

test("discarding it ends both legs", () => {
  const { response, exchange, inner } = setUp(["a"]);
  response.discard();
  expect([inner.isDiscarded, exchange.prefillSignal.aborted]).toEqual([true, true]);
});
