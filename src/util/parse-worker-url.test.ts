import { describe, expect, test } from "bun:test";
import { connectionModeOf, leftOutNotice, parseWorkerUrl, workerNameOf } from "./parse-worker-url.ts";

describe("addresses", () => {
  test("become origins", () => {
    const origin = (text: string): string => {
      const parsed = parseWorkerUrl(text);
      return parsed.ok ? `${parsed.connectionMode} ${parsed.url}` : parsed.reason;
    };
    expect(origin("HTTP://GPU1:8080/")).toBe("http http://gpu1:8080");
    expect(origin("gpu1:8080")).toBe("http http://gpu1:8080");
    expect(origin("https://gpu1")).toBe("http https://gpu1");
    expect(origin("grpc://gpu1:50051")).toBe("grpc grpc://gpu1:50051");
    expect(origin("http://[::1]:8000")).toBe("http http://[::1]:8000");
  });

  test("lose the /v1 that clients are given with them, which is said", () => {
    for (const text of ["http://gpu1:8000/v1", "https://gpu1/v1/", "gpu1:8000//v1"]) {
      expect([text, parseWorkerUrl(text)]).toMatchObject([text, { ok: true, leftOut: "/v1" }]);
    }
    expect(leftOutNotice("gpu1:8000/v1")).toContain("http://gpu1:8000 was given with /v1");
    expect(leftOutNotice("gpu1:8000")).toBeUndefined();
  });

  test("with a tab, a line break or a space within are refused, not put together", () => {
    for (const text of [
      "http://a\t:9",
      "http://a:8\n0",
      "http://\r\nb:1",
      "http://a b:1",
      "a\u0000:1",
      "grpc://a:1\u007f",
    ]) {
      expect([text, parseWorkerUrl(text)]).toEqual([
        text,
        { ok: false, reason: "it must not contain spaces or control characters" },
      ]);
    }
    expect(parseWorkerUrl(" http://a:9\n").ok).toBe(true);
  });

  test("that lead elsewhere are refused", () => {
    for (const text of [
      "file:///etc/passwd",
      "ftp://x",
      "http://a/b",
      "http://a?x",
      "http://u:p@a",
      "http://",
      "",
      "http://a:99999",
      "http://a:0",
      "grpc://a:1/v1",
      "http://a/v1/models",
      "http://a/v1?x",
    ]) {
      expect([text, parseWorkerUrl(text).ok]).toEqual([text, false]);
    }
  });
});

test("an address says by itself how its worker is spoken to", () => {
  for (const address of ["http://a:1", "https://a", "a:1", "grpc://a:1", "grpcs://a:1", "GRPC://A:1"]) {
    const parsed = parseWorkerUrl(address);
    expect([address, parsed.ok && connectionModeOf(parsed.url)]).toEqual([address, parsed.ok && parsed.connectionMode]);
  }
});

test("a worker is named by its address, and a data-parallel rank by its number behind it", () => {
  expect(
    ["HTTP://GPU1:8080/", "gpu1:8080@3", " http://[::1]:8000@07 ", "grpc://gpu1:50051@0"].map(workerNameOf),
  ).toEqual(["http://gpu1:8080", "http://gpu1:8080@3", "http://[::1]:8000@7", "grpc://gpu1:50051@0"]);
  for (const text of ["", "ftp://a@1", "http://a:1@", "http://user:key@a:1", "http://a:1@12345"]) {
    expect(workerNameOf(text)).toBeUndefined();
  }
});
