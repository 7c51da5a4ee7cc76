import { expect, test } from "bun:test";
import { fetchFailure } from "./fetch-failure.ts";

function failed(code: string): Error {
  return Object.assign(new TypeError("Was there a typo in the url or port?"), { code });
}

test("why there was no answer is said in words, with the code for those who look it up", () => {
  expect(["ECONNREFUSED", "ENOTFOUND", "EPROTO", "ERR_PROXY_TUNNEL"].map((code) => fetchFailure(failed(code)))).toEqual(
    [
      "it refuses connections: nobody listens at this address (ECONNREFUSED)",
      "its name does not resolve (ENOTFOUND)",
      "the TLS handshake failed: it speaks no TLS there, or wants to see a certificate (EPROTO)",
      "the proxy that the environment names makes no tunnel to it (ERR_PROXY_TUNNEL)",
    ],
  );
  expect(fetchFailure(new DOMException("The operation timed out.", "TimeoutError"))).toBe(
    "it has not answered in time",
  );
});

test("what has no words keeps its own", () => {
  expect([fetchFailure(new Error("the answer is no key set")), fetchFailure("text")]).toEqual([
    "the answer is no key set",
    "text",
  ]);
});
