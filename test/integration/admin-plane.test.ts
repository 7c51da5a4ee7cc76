import { describe, expect, test } from "bun:test";
import { Secret } from "../../src/util/secret.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post, startGateway } from "../support/gateway.ts";

const ADMIN_ROUTES = ["/workers", "/policies", "/get_loads", "/metrics"];

describe("with a port of its own the administration is there and nowhere else", () => {
  test("without a key for whoever reaches that port", async () => {
    await using engine = await startEngine();
    await using gateway = await startGateway({
      workers: [engine.url],
      config: { adminPort: 0, apiKey: new Secret("serving") },
    });
    const { adminUrl } = gateway.server;
    for (const path of ADMIN_ROUTES) {
      expect([path, (await fetch(gateway.url + path)).status]).toEqual([path, 404]);
      expect([path, (await fetch(`${adminUrl}${path}`)).status]).toEqual([path, 200]);
    }
    expect((await fetch(`${gateway.url}/add_worker?url=http://a:1`, { method: "POST" })).status).toBe(404);
    expect((await post(`${adminUrl}/v1/chat/completions`, HELLO)).status).toBe(404);
    for (const url of [gateway.url, adminUrl]) expect((await fetch(`${url}/health`)).status).toBe(200);
    const served = await post(`${gateway.url}/v1/chat/completions`, HELLO, { authorization: "Bearer serving" });
    expect(served.status).toBe(200);
  });

  test("with an admin key only for it", async () => {
    await using gateway = await startGateway({
      config: { adminPort: 0, apiKey: new Secret("serving"), adminApiKey: new Secret("admin") },
    });
    const status = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(`${gateway.server.adminUrl}/workers`, { headers })).status;
    expect(await status({})).toBe(401);
    expect(await status({ authorization: "Bearer nonsense" })).toBe(401);
    expect(await status({ authorization: "Bearer serving" })).toBe(403);
    expect(await status({ authorization: "Bearer admin", "x-api-key": "serving" })).toBe(401);
    expect(await status({ authorization: "Bearer admin" })).toBe(200);
    expect(await status({ "x-api-key": "admin" })).toBe(200);
  });
});

test("without one it is on the main port, and no serving key opens it", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({
    workers: [engine.url],
    config: { apiKey: new Secret("serving"), adminApiKey: new Secret("admin") },
  });
  const status = async (key: string): Promise<number> =>
    (await fetch(`${gateway.url}/workers`, { headers: { authorization: `Bearer ${key}` } })).status;
  expect([await status("admin"), await status("serving"), await status("other")]).toEqual([200, 403, 401]);
  const chat = async (key: string): Promise<number> =>
    (await post(`${gateway.url}/v1/chat/completions`, HELLO, { authorization: `Bearer ${key}` })).status;
  expect([await chat("serving"), await chat("admin")]).toEqual([200, 401]);
});

describe("without a key the administration trusts this machine, and who pretends to be it is refused", () => {
  const FOREIGN: readonly Record<string, string>[] = [
    { origin: "https://evil.example", "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
    { host: "rebind.evil.example" },
    { "x-forwarded-for": "10.0.0.1" },
  ];
  for (const threads of [1, 2]) {
    test(`with ${threads} threads`, async () => {
      await using gateway = await startGateway({ config: { threads } });
      const add = (headers: Record<string, string>): Promise<Response> =>
        fetch(`${gateway.url}/add_worker?url=http://127.0.0.1:9`, { method: "POST", headers });
      for (const headers of FOREIGN) {
        const refused = await add(headers);
        expect([headers, refused.status]).toEqual([headers, 403]);
        expect(await refused.text()).toContain("`admin_api_key`");
        expect((await fetch(`${gateway.url}/workers`, { headers })).status).toBe(403);
      }
      const workers = (await (await fetch(`${gateway.url}/workers`)).json()) as { workers: unknown[] };
      expect(workers.workers).toEqual([]);
      expect((await add({})).status).toBeLessThan(300);
    });
  }
});
