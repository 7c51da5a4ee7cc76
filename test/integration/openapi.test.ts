import { expect, test } from "bun:test";
import { errorCodesOf, ROUTE_TEXTS } from "../../scripts/openapi.ts";
import { serverSettings } from "../../src/context/server-settings.ts";
import { createControlRoutes } from "../../src/server/control-routes.ts";
import { Secret } from "../../src/util/secret.ts";
import { startEngine } from "../support/engine.ts";
import { post, startGateway, type TestGateway } from "../support/gateway.ts";

/** Routes of which an answer is looked at, with what stands for the variables of their paths. */
function pathsOf(workerId: string): Record<string, string> {
  return { "GET /workers/:id": `/workers/${workerId}`, "GET /v1/models/*": "/v1/models/sim-1" };
}
const UNKNOWN = new Set(["GET /v1/tokenizers/:id", "GET /v1/tokenizers/:id/status", "GET /keys/:id", "GET /usage"]);

test("the description has each route that the gateway answers itself, with its access", async () => {
  await using gateway = await startGateway();
  const { context, transactions } = gateway;
  const { all } = createControlRoutes({ ...context, transactions }, serverSettings(context.config), {
    isDraining: () => false,
    units: () => undefined,
    plans: () => undefined,
    skipsPrefill: () => true,
  });
  const table = Object.fromEntries(all.map(({ method, path, access }) => [`${method} ${path}`, access]));
  expect(Object.fromEntries(Object.entries(ROUTE_TEXTS).map(([key, { access }]) => [key, access]))).toEqual(table);
});

async function expectAsDescribed(
  gateway: TestGateway,
  key: string,
  path: string,
  init: RequestInit = {},
): Promise<void> {
  const [method = ""] = key.split(" ");
  const reply = await fetch(gateway.url + path, { method, ...init });
  const described = ROUTE_TEXTS[key]?.answers[reply.status];
  expect([key, reply.status, described !== undefined]).toEqual([key, reply.status, true]);
  if (typeof described === "string") expect(reply.headers.get("content-type")).toStartWith(described);
  else {
    const result = described?.safeParse(await reply.json());
    expect([key, result?.error?.issues]).toEqual([key, undefined]);
  }
}

test("what is asked for is answered as it is described", async () => {
  await using engine = await startEngine({ model: "sim-1" });
  await using gateway = await startGateway({ workers: [engine.url] });
  const [worker] = gateway.context.workerRegistry.all();
  const paths = pathsOf(worker?.id ?? "");
  for (const key of Object.keys(ROUTE_TEXTS)) {
    if (key.startsWith("GET ") && !UNKNOWN.has(key)) await expectAsDescribed(gateway, key, paths[key] ?? key.slice(4));
  }
  const yaml = { body: "default_policy: random", headers: { "content-type": "application/yaml" } };
  await expectAsDescribed(gateway, "POST /config", "/config?dry_run=true", yaml);
  for (const key of ["POST /flush_cache", "POST /start_profile", "POST /stop_profile"]) {
    await expectAsDescribed(gateway, key, `${key.slice(5)}?url=${engine.url}/`);
  }
});

test("a worker's life is answered as it is described", async () => {
  await using engine = await startEngine({ model: "sim-1" });
  await using gateway = await startGateway();
  const json = (body: unknown): RequestInit => ({
    body: JSON.stringify(body),
    headers: { "content-type": "application/json" },
  });
  await expectAsDescribed(gateway, "POST /workers", "/workers?wait=true", json({ url: engine.url }));
  const id = gateway.context.workerRegistry.all()[0]?.id ?? "";
  await expectAsDescribed(gateway, "PATCH /workers/:id", `/workers/${id}`, json({ priority: 2 }));
  await expectAsDescribed(gateway, "PUT /workers/:id", `/workers/${id}?wait=true`, json({ url: engine.url }));
  await expectAsDescribed(gateway, "DELETE /workers/:id", `/workers/${id}?wait=true`);
  await expectAsDescribed(gateway, "POST /add_worker", "/add_worker", json({ url: engine.url }));
  await expectAsDescribed(gateway, "POST /remove_worker", `/remove_worker?url=${engine.url}`);
  await expectAsDescribed(gateway, "POST /finish_session", "/finish_session?session_id=a");
  await expectAsDescribed(gateway, "DELETE /sessions/:key", "/sessions/a");
  const refused = await post(`${gateway.url}/workers`, { url: "ftp://x" });
  expect([refused.status, await refused.json()]).toEqual([
    400,
    { error: { message: expect.any(String), type: expect.any(String), param: "url", code: "invalid_request" } },
  ]);
});

/** Ways to ask a route wrongly. */
function wrongRequests(key: string): [what: string, path: string, init: RequestInit][] {
  const [method = "", pattern = ""] = key.split(" ");
  const path = pattern.replace(/:\w+|\*/g, "no-such");
  const json = { "content-type": "application/json" };
  const found: [string, string, RequestInit][] = [
    ["nothing but the path", path, {}],
    ["a parameter that is not known", `${path}?no_such=1`, {}],
    ["a version that is not in force", path, { headers: { "if-match": '"99"', ...json }, ...bodyOf(method, "{}") }],
  ];
  for (const name of Object.keys(ROUTE_TEXTS[key]?.query ?? {})) {
    for (const value of ["", "no such", "-1"]) {
      found.push([`${name}=${value}`, `${path}?${new URLSearchParams({ [name]: value }).toString()}`, {}]);
    }
  }
  if (method === "GET") return found;
  for (const body of ["", "{", "[]", "{}", '{"no_such": 1}', '{"url": "ftp://x", "name": 3}', '{"queue_size": -1}']) {
    found.push([`the body ${body}`, path, { headers: json, body }]);
  }
  const coded = { "content-encoding": "gzip", ...json };
  return [
    ...found,
    ["a body of another kind", path, { headers: { "content-type": "text/plain" }, body: "{}" }],
    ["a body that is not compressed as it says", path, { headers: coded, body: "{}" }],
    ["a body that is too large", path, { headers: json, body: JSON.stringify({ url: "x".repeat(3_000_000) }) }],
  ];
}

function bodyOf(method: string, body: string): RequestInit {
  return method === "GET" ? {} : { body };
}

test("each wrong request is refused with an error that the route's description names", async () => {
  await using gateway = await startGateway({ config: { maxPayloadSize: 1_000_000 } });
  const undescribed: string[] = [];
  for (const [key, text] of Object.entries(ROUTE_TEXTS)) {
    const codes: ReadonlySet<string> = errorCodesOf(text);
    for (const [what, path, init] of wrongRequests(key)) {
      const reply = await fetch(gateway.url + path, { method: key.split(" ")[0] ?? "", ...init });
      const said = await reply.text();
      if (text.answers[reply.status] !== undefined) continue;
      const { error } = JSON.parse(said) as { error: { code: string } };
      if (!codes.has(error.code)) undescribed.push(`${key} with ${what}: ${reply.status} ${error.code}`);
    }
  }
  expect(undescribed).toEqual([]);
}, 30_000);

test("a caller who may not is refused with an error that the route's description names", async () => {
  const [admin, client] = ["the-admin-key", "the-key-of-a-client"];
  const config = { apiKey: new Secret(client), adminApiKey: new Secret(admin) };
  await using gateway = await startGateway({ config });
  for (const [key, text] of Object.entries(ROUTE_TEXTS)) {
    if (text.access === "public") continue;
    const [method = "", pattern = ""] = key.split(" ");
    const wrong = text.access === "serving" ? admin : client;
    for (const bearer of [undefined, "wrong", wrong]) {
      const headers: Record<string, string> = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
      const reply = await fetch(gateway.url + pattern.replace(/:\w+|\*/g, "no-such"), { method, headers });
      const { error } = (await reply.json()) as { error: { code: string } };
      const codes: ReadonlySet<string> = errorCodesOf(text);
      expect([key, bearer, error.code, codes.has(error.code)]).toEqual([key, bearer, expect.any(String), true]);
    }
  }
}, 30_000);
