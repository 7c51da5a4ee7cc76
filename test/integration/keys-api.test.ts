import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROUTE_TEXTS } from "../../scripts/openapi.ts";
import { KeyAdmin } from "../../src/keys/key-admin.ts";
import { SqliteKeyStore } from "../../src/keys/sqlite-key-store.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { type GatewayProcess, startProcess } from "../support/process.ts";

const folder = mkdtempSync(join(tmpdir(), "pointsman-keys-api-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ADMIN = { authorization: "Bearer root-key" };
const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

interface KeyAnswer {
  readonly id: string;
  readonly key: string;
}

/** Asks the administration, and checks that the answer is as it is described. */
async function ask(gateway: GatewayProcess, route: string, path: string, body?: object): Promise<KeyAnswer> {
  const [method = ""] = route.split(" ");
  const response = await fetch(gateway.url + path, {
    method,
    headers: { ...ADMIN, ...(body ? { "content-type": "application/json" } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const described = ROUTE_TEXTS[route]?.answers[response.status];
  const answer: unknown = await response.json();
  if (typeof described !== "object") throw new Error(`${route}: ${response.status} ${JSON.stringify(answer)}`);
  expect(described.safeParse(answer).error?.issues).toBeUndefined();
  return answer as KeyAnswer;
}

async function chat(gateway: GatewayProcess, key: string, said: object = {}): Promise<number> {
  const response = await post(`${gateway.url}/v1/chat/completions`, { ...HELLO, ...said }, bearer(key));
  await response.arrayBuffer();
  return response.status;
}

/** Starts a gateway, and waits until its workers are ready. */
async function start(flags: readonly string[], engine?: { readonly url: string }): Promise<GatewayProcess> {
  const gateway = await startProcess(engine ? ["--worker", engine.url, ...flags] : flags);
  if (engine) await until(async () => (await fetch(`${gateway.url}/readiness`)).ok);
  return gateway;
}

/** Statuses of requests over so many connections that each thread gets some. */
async function onAllThreads(gateway: GatewayProcess, key: string): Promise<number[]> {
  const statuses = await Promise.all(
    Array.from({ length: 24 }, async () => {
      const response = await fetch(`${gateway.url}/v1/models`, { headers: { ...bearer(key), connection: "close" } });
      await response.arrayBuffer();
      return response.status;
    }),
  );
  return [...new Set(statuses)];
}

for (const threads of [1, 3]) {
  describe(`with ${threads} threads`, () => {
    const store = join(folder, `${threads}.db`);
    const audit = join(folder, `${threads}.jsonl`);
    const flags = [
      "--key-store",
      store,
      "--admin-api-key",
      "root-key",
      "--audit-log",
      audit,
      "--threads",
      String(threads),
      "--auth-failures-per-minute",
      "0",
    ];

    test("a key is made, limited, rotated and revoked without a restart, on all threads at once, and is on record", async () => {
      await using engine = await startEngine();
      await using gateway = await start(flags, engine);
      expect(await onAllThreads(gateway, "anything")).toEqual([401]);
      const made = await ask(gateway, "POST /keys", "/keys", { name: "team", models: ["sim-*"] });
      expect(await onAllThreads(gateway, made.key)).toEqual([200]);
      expect(await chat(gateway, made.key)).toBe(200);
      expect(await chat(gateway, made.key, { model: "other" })).toBe(403);

      await ask(gateway, "PATCH /keys/:id", "/keys/team", { requests_per_minute: 12 });
      const limited = await Promise.all(Array.from({ length: 30 }, () => chat(gateway, made.key)));
      // Time brings one every five seconds.
      expect(limited.filter((status) => status === 200).length).toBeWithin(11, 15);
      expect(new Set(limited)).toEqual(new Set([200, 429]));
      await ask(gateway, "PATCH /keys/:id", "/keys/team", { requests_per_minute: null });

      const rotated = await ask(gateway, "POST /keys/:id/rotate", `/keys/${made.id}/rotate`, { grace_secs: 600 });
      expect([await onAllThreads(gateway, made.key), await onAllThreads(gateway, rotated.key)]).toEqual([[200], [200]]);
      await ask(gateway, "DELETE /keys/:id", "/keys/team");
      expect([await onAllThreads(gateway, made.key), await onAllThreads(gateway, rotated.key)]).toEqual([[401], [401]]);
      await ask(gateway, "GET /keys", "/keys");
      await ask(gateway, "GET /keys/:id", `/keys/${made.id}`);

      const text = readFileSync(audit, "utf8");
      const lines = text
        .trimEnd()
        .split("\n")
        .map(
          (line) => JSON.parse(line) as { who: string; method: string; path: string; status: number; subject: string },
        );
      expect(lines.map(({ who, method, status, subject }) => [who, method, status, subject])).toEqual([
        ["admin", "POST", 201, "team"],
        ["admin", "PATCH", 200, "team"],
        ["admin", "PATCH", 200, "team"],
        ["admin", "POST", 200, "team"],
        ["admin", "DELETE", 200, "team"],
      ]);
      for (const secret of [made.key, rotated.key, "root-key"]) {
        expect(text + readFileSync(store, "latin1") + gateway.output).not.toContain(secret);
      }
    }, 30_000);

    test("a key opens the administration as far as its role goes, and an attempt beyond it is on record", async () => {
      await using gateway = await start(flags);
      const { key } = await ask(gateway, "POST /keys", "/keys", { name: `ops-${threads}`, roles: ["viewer"] });
      const status = async (method: string, path: string): Promise<number> => {
        const init =
          method === "POST"
            ? { body: "{}", headers: { ...bearer(key), "content-type": "application/json" } }
            : { headers: bearer(key) };
        return (await fetch(gateway.url + path, { method, ...init })).status;
      };
      expect([await status("GET", "/workers"), await status("GET", "/keys")]).toEqual([200, 200]);
      expect([
        await status("POST", "/keys"),
        await status("POST", "/flush_cache"),
        await status("POST", "/v1/tokenizers"),
      ]).toEqual([403, 403, 403]);
      expect(await chat(gateway, key)).toBe(401);
      const last = readFileSync(audit, "utf8")
        .trimEnd()
        .split("\n")
        .slice(-3)
        .map((line) => JSON.parse(line) as object);
      expect(last).toMatchObject(
        ["/keys", "/flush_cache", "/v1/tokenizers"].map((path) => ({
          who: `ops-${threads}`,
          path,
          status: 403,
          error: "forbidden",
        })),
      );
    }, 30_000);

    test("a key that another process makes or revokes in the same file is taken within a second", async () => {
      await using gateway = await start(flags);
      await using outside = SqliteKeyStore.open(store);
      const { text } = await new KeyAdmin(outside).create({ name: `outside-${threads}` });
      await until(async () => (await onAllThreads(gateway, text)).join() === "200");
      await new KeyAdmin(outside).revoke(`outside-${threads}`);
      await until(async () => (await onAllThreads(gateway, text)).join() === "401");
    }, 30_000);

    test("usage is told by key, model and time, and nothing of it is lost at the end", async () => {
      await using engine = await startEngine();
      const name = `used-${threads}`;
      let key: string;
      {
        await using gateway = await start(flags, engine);
        ({ key } = await ask(gateway, "POST /keys", "/keys", { name }));
        for (let count = 0; count < 20; count += 1) expect(await chat(gateway, key, { max_tokens: 4 })).toBe(200);
        // The end comes before anything was passed on or written.
        gateway.signal("SIGTERM");
        expect(await gateway.exited).toBe(0);
      }
      await using gateway = await start(flags, engine);
      expect(await chat(gateway, key)).toBe(200);
      const usage = async (query: string): Promise<{ usage: Record<string, unknown>[] }> => {
        const response = await fetch(`${gateway.url}/usage?${query}`, { headers: ADMIN });
        return (await response.json()) as { usage: Record<string, unknown>[] };
      };
      expect((await usage(`window=minute&by=key,model&key=${name}`)).usage[0]).toMatchObject({
        key: name,
        model: "sim-1",
        requests: 20,
        errors: 0,
      });
      await until(async () => (await usage(`by=key&key=${name}`)).usage[0]?.["requests"] === 21);
      const [sum] = (await usage(`by=key&key=${name}`)).usage;
      expect(Number(sum?.["completion_tokens"])).toBeGreaterThan(0);
      expect(await (await fetch(`${gateway.url}/metrics`)).text()).toContain(
        `pointsman_key_requests_total{key="${name}",outcome="served"} 1`,
      );
      expect((await usage("window=week")).usage).toBeUndefined();
    }, 30_000);
  });
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; Date.now() < end; await Bun.sleep(50)) if (await isSo()) return;
  throw new Error("it did not come about within ten seconds");
}
