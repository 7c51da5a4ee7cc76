import { expect, test } from "bun:test";
import { accessOf, readUrl } from "./gateway-access.ts";

test("a gateway's address is one of http or https, without a path; any other is told with its flag", () => {
  for (const url of ["http://127.0.0.1:30000", "https://gateway.example/", "http://[::1]:8080"]) {
    expect(accessOf({ url }).url).toBe(url);
  }
  expect(accessOf({}).url).toBe("http://127.0.0.1:30000");
  for (const url of ["localhost:30000", "127.0.0.1:30000", "gateway", "", "ftp://gateway", "file:///etc/passwd"]) {
    expect(() => accessOf({ url })).toThrow(`--url: must be an address such as http://127.0.0.1:30000, not "${url}"`);
  }
  expect(() => accessOf({ url: "http://gateway/prefix" })).toThrow("--url: must have no path");
  expect(() => accessOf({ url: "http://gateway/?a=b" })).toThrow("--url: must have no path");
  expect(readUrl("--metrics-url", "http://gateway:29000/metrics").pathname).toBe("/metrics");
  expect(() => readUrl("--metrics-url", "gateway:29000")).toThrow("--metrics-url: must be an address");
});

test("an address with a password is refused, and no message shows it", () => {
  for (const url of ["http://someone:hunter2@gateway", "http://:hunter2@gateway", "someone:hunter2@gateway"]) {
    let refusal = "";
    try {
      accessOf({ url });
    } catch (error) {
      refusal = String(error);
    }
    expect(refusal).toMatch(/--url: must (not carry a user or password|be an address)/);
    expect(refusal).not.toContain("hunter2");
  }
});
