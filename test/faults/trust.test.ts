import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { startEngine } from "../support/engine.ts";
import { post } from "../support/gateway.ts";
import { expectSameProcessServes, observe, openaiError } from "./observe.ts";
import { chat, type FaultGateway, type Served, startFaultGateway } from "./setup.ts";
import { exchange, head, jsonPost } from "./wire.ts";

const CHAT = "/v1/chat/completions";

let gateway: FaultGateway;
let engine: SimulatedEngine;
let served: Served;
/** Where no connection must come to. */
let canary: { readonly authority: string; readonly connections: number; stop(): void };
beforeAll(async () => {
  gateway = await startFaultGateway();
  engine = await startEngine({ model: "m" });
  served = await gateway.serve("m", [engine.url]);
  canary = startCanary();
});
afterAll(async () => {
  canary.stop();
  await served[Symbol.asyncDispose]();
  await expectSameProcessServes(gateway);
  await gateway[Symbol.asyncDispose]();
  await engine.stop();
});

function startCanary(): typeof canary {
  let connections = 0;
  const listener = Bun.listen({
    hostname: "127.0.0.99",
    port: 0,
    socket: {
      open() {
        connections += 1;
      },
      data: () => undefined,
    },
  });
  return {
    authority: `127.0.0.99:${listener.port}`,
    get connections() {
      return connections;
    },
    stop: () => listener.stop(true),
  };
}

test("row 113: a worker's URL that is more or other than an origin is refused, and nobody is asked", async () => {
  const { authority } = canary;
  const urls = [
    "file:///etc/passwd",
    `gopher://${authority}/_GET%20/`,
    `ftp://${authority}`,
    `data:text/plain,${authority}`,
    "unix:///var/run/docker.sock",
    `http://user:password@${authority}`,
    `http://127.0.0.1@${authority}`,
    `http://${authority}/path`,
    `http://${authority}/..;/`,
    `http://${authority}?x=1`,
    `http://${authority}#x`,
    `http://${authority}\\@127.0.0.1/`,
    `http://${authority} http://127.0.0.1`,
    "http://",
    "http://127.0.0.99:99999",
    "",
  ];
  const before = await (await fetch(`${gateway.url}/workers`)).text();
  for (const url of urls) {
    const response = await post(`${gateway.url}/workers?wait=true`, { url });
    expect([url, response.status]).toEqual([url, 400]);
    expect(openaiError(await response.text()).code).toBe("invalid_request");
  }
  expect(await (await fetch(`${gateway.url}/workers`)).text()).toBe(before);
  expect(canary.connections).toBe(0);
  observe(113, `${urls.length} URLs: 400, 0 connections at the canary`);
});

test("row 113: nothing in a request says where it goes: no field, no header, no target", async () => {
  const url = `http://${canary.authority}`;
  const fields = {
    api_base: url,
    base_url: url,
    endpoint: url,
    url,
    worker: url,
    custom_llm_provider: url,
    metadata: { api_base: url },
  };
  const headers = [
    `x-portkey-custom-host: ${url}`,
    `x-forwarded-host: ${canary.authority}`,
    `x-original-url: ${url}/`,
    `x-worker-url: ${url}`,
    `x-smg-target-worker: ${url}`,
    `forwarded: host=${canary.authority}`,
    `x-upstream: ${url}`,
    `api-base: ${url}`,
  ];
  const seen = engine.requests.length;
  const whole = jsonPost(CHAT, chat("m", fields), headers);
  for (const bytes of [
    whole,
    whole.replace("host: gateway", `host: ${canary.authority}`),
    whole.replace(CHAT, `${CHAT}?api_base=${url}&host=${canary.authority}`),
  ]) {
    const [answer] = await exchange(gateway.url, bytes);
    expect(answer?.status).toBe(200);
  }
  // A proxy would go there.
  for (const bytes of [whole.replace(CHAT, url + CHAT), head(`CONNECT ${canary.authority}`, [])]) {
    const [answer] = await exchange(gateway.url, bytes);
    expect(answer?.status).toBeOneOf([undefined, 200, 400, 404, 405]);
  }
  const unknown = await post(gateway.url + CHAT, chat(url));
  expect(openaiError(await unknown.text()).code).toBe("model_not_found");
  expect(engine.requests.length).toBeGreaterThanOrEqual(seen + 3);
  expect(canary.connections).toBe(0);
  observe(113, "7 fields, 8 headers, Host, query, whole URLs and CONNECT: 0 connections at the canary");
});

interface LockedPackage {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly optional?: boolean;
  readonly dev?: boolean;
}

test("row 122: dependencies have exact versions, and each package that users get is locked with a digest", () => {
  const read = (name: string): unknown => JSON.parse(readFileSync(join(import.meta.dir, "../..", name), "utf8"));
  const { dependencies, devDependencies } = read("package.json") as Record<string, Record<string, string>>;
  const { packages } = read("package-lock.json") as { readonly packages: Record<string, LockedPackage> };
  const wanted = { ...dependencies, ...devDependencies };
  for (const [name, version] of Object.entries(wanted)) {
    expect([name, version]).toEqual([name, expect.stringMatching(/^\d+\.\d+\.\d+$/)]);
    expect([name, packages[`node_modules/${name}`]?.version]).toEqual([name, version]);
  }
  const all = Object.entries(packages).filter(([path]) => path !== "");
  // Binaries of other platforms that developers have: npm wrote them down without having had them.
  const locked = all.filter(([, { optional, dev, integrity }]) => !optional || !dev || integrity !== undefined);
  const loose = locked.filter(
    ([, { integrity, resolved, link }]) =>
      link === true ||
      !(integrity ?? "").startsWith("sha512-") ||
      (resolved !== undefined && !resolved.startsWith("https://registry.npmjs.org/")),
  );
  expect(loose.map(([path]) => path)).toEqual([]);
  observe(
    122,
    `${Object.keys(wanted).length} exact versions, ${locked.length} locked packages with sha512, ${all.length - locked.length} without`,
  );
});
