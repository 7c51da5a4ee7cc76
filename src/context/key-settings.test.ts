import { describe, expect, test } from "bun:test";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { Secret } from "../util/secret.ts";
import { fixedKeys } from "./key-settings.ts";

const { config: defaults } = loadConfig({ env: {}, flags: NO_FLAGS });
const keysOf = (options: Partial<Config>): ReturnType<typeof fixedKeys> => fixedKeys({ ...defaults, ...options });
const FREE = Number.POSITIVE_INFINITY;

describe("who opens the administration", () => {
  const key = new Secret("key");
  const apiKeys: Config["apiKeys"] = [{ name: "t", key, priority: "normal", roles: ["client"] }];
  const local = (options: Partial<Config>): string => keysOf(options).localAdmin;

  test("is the admin key where there is one", () => {
    const { localAdmin, keys } = keysOf({ adminApiKey: key, apiKey: new Secret("other"), adminPort: 1 });
    expect(localAdmin).toBe("nobody");
    expect(keys.map(({ record: { name, roles } }) => [name, roles])).toEqual([
      ["default", ["client"]],
      ["admin", ["admin"]],
    ]);
  });

  test("is whoever is on this machine, without keys or on a port of its own", () => {
    expect([local({}), local({ apiKey: key, adminPort: 1 })]).toEqual(["this_machine", "this_machine"]);
  });

  test("is the one api_key, and nobody where there are only keys of clients", () => {
    expect([local({ apiKey: key }), local({ apiKey: key, apiKeys }), local({ apiKeys })]).toEqual([
      "api_key",
      "api_key",
      "nobody",
    ]);
    expect(keysOf({ apiKey: key, apiKeys }).keys.map(({ isLocalAdmin }) => isLocalAdmin)).toEqual([false, true]);
  });
});

describe("keys", () => {
  test("without limits of their own have none, and the api_key is one more", () => {
    const apiKeys: Config["apiKeys"] = [
      { name: "a", key: new Secret("a"), priority: "high", roles: ["client"], maxConcurrentRequests: 2 },
      { name: "b", key: new Secret("b"), priority: "low", roles: ["client"], requestsPerMinute: 9, tokensPerMinute: 7 },
    ];
    const { keys, isClosed } = keysOf({ apiKeys, apiKey: new Secret("c") });
    expect(isClosed).toBe(true);
    expect(
      keys.map(({ record: { name, limits } }) => [
        name,
        limits.maxConcurrent,
        limits.requestsPerMinute,
        limits.tokensPerMinute,
      ]),
    ).toEqual([
      ["a", 2, FREE, FREE],
      ["b", FREE, 9, 7],
      ["default", FREE, FREE, FREE],
    ]);
  });

  test("may end at a time, and stand as digests only", () => {
    const apiKeys: Config["apiKeys"] = [
      { name: "a", key: new Secret("a"), priority: "high", roles: ["client"], expiresAt: "2027-01-31T01:00:00+01:00" },
    ];
    const [key] = keysOf({ apiKeys }).keys;
    expect(key?.record.expiresAt).toBe(Date.UTC(2027, 0, 31));
    expect(key?.record.digest).toHaveLength(32);
  });

  test("are needed where a client has one; an admin key alone closes no serving route", () => {
    expect([keysOf({}).isClosed, keysOf({ adminApiKey: new Secret("a") }).isClosed]).toEqual([false, false]);
    expect(keysOf({ apiKey: new Secret("a") }).isClosed).toBe(true);
  });
});
