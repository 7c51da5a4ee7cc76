import { expect, test } from "bun:test";
import { GatewayError } from "../errors/errors.ts";
import { RequestHeaders } from "../transport/downstream.ts";
import { checkLocal, checkNotRebound } from "./local-trust.ts";

function isTrusted(fields: Record<string, string>, peerAddress = "127.0.0.1"): boolean {
  const headers = new RequestHeaders(new Map(Object.entries({ host: "localhost:30000", ...fields })));
  try {
    checkLocal({ headers, peerAddress }, ["gateway.example", "0.0.0.0"]);
    return true;
  } catch (error) {
    if (error instanceof GatewayError && error.code === "forbidden") return false;
    throw error;
  }
}

test("only addresses of loopback are this machine", () => {
  for (const address of ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"]) {
    expect([address, isTrusted({}, address)]).toEqual([address, true]);
  }
  for (const address of [
    "10.0.0.1",
    "128.0.0.1",
    "::2",
    "::ffff:10.0.0.1",
    "1127.0.0.1",
    "fe80::1",
    "fe80::1%lo",
    "172.17.0.1",
    "",
  ]) {
    expect([address, isTrusted({}, address)]).toEqual([address, false]);
  }
});

test("a proxy on this machine speaks for somebody else", () => {
  for (const name of [
    "forwarded",
    "x-forwarded-for",
    "x-real-ip",
    "via",
    // Envoy, HAProxy, Traefik, Cloudflare and Akamai may send one of these and none of the above.
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-client-cert",
    "cf-connecting-ip",
    "true-client-ip",
    "x-envoy-external-address",
  ]) {
    expect([name, isTrusted({ [name]: "127.0.0.1" })]).toEqual([name, false]);
  }
  expect(isTrusted({ via: "1.1 a, 1.1 b", "x-forwarded-for": "127.0.0.1, 127.0.0.1" })).toBe(false);
});

test("a name that is resolved to loopback by somebody else is not ours", () => {
  for (const host of [
    "localhost",
    "LOCALHOST:1",
    "127.0.0.1:30000",
    "[::1]:30000",
    "a.localhost",
    "gateway.example:1",
  ]) {
    expect([host, isTrusted({ host })]).toEqual([host, true]);
  }
  for (const host of [
    "rebind.evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example:30000",
    "",
    "rebind.evil.example.",
    "[fe80::1%lo]:30000",
    "127.0.0.1@evil.example",
    "localhost:30000:80",
  ]) {
    expect([host, isTrusted({ host })]).toEqual([host, false]);
  }
});

test("a page of another site is refused by what its browser says of it", () => {
  for (const site of ["same-origin", "none"])
    expect([site, isTrusted({ "sec-fetch-site": site })]).toEqual([site, true]);
  for (const site of ["cross-site", "same-site"]) {
    expect([site, isTrusted({ "sec-fetch-site": site })]).toEqual([site, false]);
  }
  expect(isTrusted({ origin: "http://localhost:30000" })).toBe(true);
  for (const origin of [
    "https://evil.example",
    "null",
    "http://localhost:3000",
    "http://localhost:30000.evil.example",
  ]) {
    expect([origin, isTrusted({ origin })]).toEqual([origin, false]);
  }
});

test("without a key a page under a name that was resolved to loopback is refused, and nobody else", () => {
  const isServed = (fields: Record<string, string>, peerAddress = "127.0.0.1"): boolean => {
    try {
      checkNotRebound({ headers: new RequestHeaders(new Map(Object.entries(fields))), peerAddress }, [
        "gateway.example",
      ]);
      return true;
    } catch (error) {
      return error instanceof GatewayError && error.code !== "forbidden";
    }
  };
  const host = "rebind.evil.example:30000";
  expect(isServed({ host, origin: `http://${host}` })).toBe(false);
  expect(isServed({ host, "sec-fetch-site": "same-origin" })).toBe(false);
  // A program may use any name for the gateway, and so may a proxy in front of it.
  expect(isServed({ host })).toBe(true);
  expect(isServed({ host, origin: `http://${host}`, "x-forwarded-for": "10.0.0.1" })).toBe(true);
  expect(isServed({ host, origin: `http://${host}` }, "10.0.0.1")).toBe(true);
  expect(isServed({ host: "localhost:30000", origin: "http://localhost:3000" })).toBe(true);
  expect(isServed({ host: "gateway.example", origin: "http://gateway.example" })).toBe(true);
});
