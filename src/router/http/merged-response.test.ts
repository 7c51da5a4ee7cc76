import { expect, test } from "bun:test";
import { bodyOf } from "../../../test/support/answers.ts";
import { changed } from "../../../test/support/changed.ts";
import { PlayedResponse } from "../../../test/support/routing.ts";
import { connectorNamed } from "../../engine/connectors.ts";
import { GatewayError } from "../../errors/errors.ts";
import { MergedResponse } from "./merged-response.ts";
import { mergeOf, type PrefillMerge } from "./pd-merge.ts";

const PREFILL = Buffer.from('{"meta_info":{"input_token_logprobs":[[-1,1,null]]}}');
const EVENT = 'data: {"text":"a","meta_info":{}}\n\n';
const MERGED = 'data: {"text":"a","meta_info":{"input_token_logprobs":[[-1,1,null]]}}\n\n';

function logprobs(): PrefillMerge {
  const merge = mergeOf(connectorNamed("sglang"), bodyOf({ return_logprob: true }));
  if (!merge) throw new Error("there is nothing to merge");
  return merge;
}

test("nothing of a stream passes before prefill has answered, and then each event has its part", async () => {
  const prefill = Promise.withResolvers<Uint8Array>();
  const response = new MergedResponse(new PlayedResponse([EVENT, EVENT]), logprobs(), prefill.promise);
  let text: string | undefined;
  const reading = changed(response).then((all) => (text = all));
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  expect([text, response.follow({ take: () => true })]).toEqual([undefined, undefined]);
  prefill.resolve(PREFILL);
  await reading;
  expect(text).toBe(MERGED + MERGED);
});

test("once prefill has answered the stream is followed the fast way", async () => {
  const inner = new PlayedResponse([EVENT, EVENT]);
  const response = new MergedResponse(inner, logprobs(), Promise.resolve(PREFILL));
  await response.read();
  await response.follow({ take: () => true });
  expect(inner.followed).toBe(1);
});

test("decode's failure is heard while prefill still runs", async () => {
  const lost = new GatewayError("upstream_closed", "gone");
  const response = new MergedResponse(new PlayedResponse([lost]), logprobs(), new Promise(() => undefined));
  expect(await Promise.resolve(response.read()).catch((error: unknown) => error)).toBe(lost);
});

test("prefill's failure ends the answer", async () => {
  const lost = new GatewayError("upstream_closed", "gone");
  const response = new MergedResponse(new PlayedResponse([EVENT]), logprobs(), Promise.reject(lost));
  expect(await Promise.resolve(response.read()).catch((error: unknown) => error)).toBe(lost);
});

test("a whole answer waits for prefill too, and an error does not", async () => {
  const whole = (status: number): PlayedResponse => new PlayedResponse(['{"meta_info":{}}'], { status });
  const merged = new MergedResponse(whole(200), logprobs(), Promise.resolve(PREFILL));
  expect(Buffer.from(await merged.bytes(100)).toString()).toBe(PREFILL.toString());
  const refused = new MergedResponse(whole(400), logprobs(), new Promise(() => undefined));
  expect(Buffer.from(await refused.bytes(100)).toString()).toBe('{"meta_info":{}}');
});
