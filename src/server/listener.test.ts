import { expect, test } from "bun:test";
import { urlOf } from "./listener.ts";

test("an address is shown as it is listened on", () => {
  expect(
    ["127.0.0.1", "0.0.0.0", "::", "::1", "gateway.local"].map((host) => urlOf(8080, host, host === "gateway.local")),
  ).toEqual([
    "http://127.0.0.1:8080",
    "http://0.0.0.0:8080",
    "http://[::]:8080",
    "http://[::1]:8080",
    "https://gateway.local:8080",
  ]);
});
