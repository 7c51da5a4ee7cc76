import { expect, test } from "bun:test";
import { GatewayError } from "../errors/errors.ts";
import { RequestHeaders } from "./downstream.ts";
import { createVia, refuseLoop, viaLine } from "./via.ts";

/** What the gateway with this entry says of a request that comes with such a `Via`. */
function refusal(entry: string, via?: string): string | undefined {
  try {
    refuseLoop(entry, new RequestHeaders(new Map(via === undefined ? [] : [["via", via]])));
    return undefined;
  } catch (error) {
    return error instanceof GatewayError ? error.code : String(error);
  }
}

test("a request that comes back is known, whoever it came through in between", () => {
  const [one, other] = [createVia(), createVia()];
  const sentOn = (line: string): string => line.slice("via: ".length).trim();
  const first = sentOn(viaLine(one, "1.1 proxy.example"));
  const second = sentOn(viaLine(other, first));
  expect(second).toBe(`1.1 proxy.example, ${one}, ${other}`);
  expect([refusal(one, first), refusal(other, first)]).toEqual(["request_loop", undefined]);
  expect([refusal(one, second), refusal(other, second)]).toEqual(["request_loop", "request_loop"]);
});

test("a request without Via, or through others only, is new", () => {
  expect([refusal(createVia()), refusal(createVia(), "1.1 varnish, 1.1 pointsman")]).toEqual([undefined, undefined]);
});
