import { afterAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { SignJWT } from "jose";
import { eventually } from "../faults/observe.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { Issuer } from "../support/issuer.ts";
import { TEST_PAIRS } from "../support/tls.ts";
import { mountSecret } from "../support/tls-files.ts";
import { ELSEWHERE, type GatewayProcess, startProcess } from "../support/process.ts";

const issuer = new Issuer();
afterAll(() => issuer[Symbol.dispose]());

async function chat(
  gateway: GatewayProcess,
  token: string,
  said: object = {},
): Promise<readonly [number, string | undefined]> {
  const response = await post(
    `${gateway.url}/v1/chat/completions`,
    { ...HELLO, ...said },
    { authorization: `Bearer ${token}` },
  );
  const body = (await response.json()) as { error?: { code: string; message: string } };
  return [response.status, body.error?.message];
}

async function ready(args: readonly string[]): Promise<GatewayProcess> {
  const gateway = await startProcess([...args, "--auth-failures-per-minute", "0"]);
  for (let turn = 0; turn < 400 && !(await fetch(`${gateway.url}/readiness`)).ok; turn += 1) await Bun.sleep(25);
  return gateway;
}

for (const threads of [1, 2]) {
  describe(`with ${threads} threads`, () => {
    const flags = ["--jwt-issuer", issuer.url, "--jwt-audience", "gateway", "--threads", String(threads)];

    test("a token opens what its claims say, and a wrong one nothing", async () => {
      issuer.isAway = false;
      await issuer.addKey("k1");
      await using engine = await startEngine();
      await using gateway = await ready([
        "--worker",
        engine.url,
        ...flags,
        "--jwt-role-mapping",
        "platform=admin",
        "staff=client",
      ]);
      const staff = await issuer.sign("k1", { roles: ["staff"] });
      for (let count = 0; count < 8; count += 1) expect(await chat(gateway, staff)).toEqual([200, undefined]);
      const some = await issuer.sign("k1", { roles: "staff", models: ["other-*"] });
      expect((await chat(gateway, some))[0]).toBe(403);

      const refused: readonly (readonly [string, string, string])[] = [
        [
          "for another service",
          await issuer.sign("k1", { roles: "staff" }, { audience: "another" }),
          "the token is for another audience",
        ],
        ["of another issuer", await issuer.sign("k1", { roles: "staff" }, { issuer: "http://evil" }), "another issuer"],
        ["that has expired", await issuer.sign("k1", { roles: "staff" }, { expires: "-2 minutes" }), "has expired"],
        ["without a role", await issuer.sign("k1", {}), "missing or wrong"],
        ["with another signature", `${staff.slice(0, -6)}AAAAAA`, "signature is wrong"],
        [
          "without a signature",
          `${Buffer.from('{"alg":"none"}').toString("base64url")}.${staff.split(".")[1]}.`,
          "missing or wrong",
        ],
      ];
      for (const [name, token, message] of refused) {
        const [status, told] = await chat(gateway, token);
        expect([name, status]).toEqual([name, 401]);
        expect(told).toContain(message);
      }
      // The public key as a shared secret: the attack that a pinned algorithm ends.
      const confused = await new SignJWT({ sub: "eve", roles: "staff" })
        .setProtectedHeader({ alg: "HS256", kid: "k1" })
        .setIssuer(issuer.url)
        .setAudience("gateway")
        .setExpirationTime("5 minutes")
        .sign(new TextEncoder().encode("x".repeat(32)));
      expect((await chat(gateway, confused))[0]).toBe(401);

      const status = async (token: string): Promise<number> =>
        (await fetch(`${gateway.url}/workers`, { headers: { authorization: `Bearer ${token}` } })).status;
      expect([await status(await issuer.sign("k1", { roles: "platform" })), await status(staff)]).toEqual([200, 403]);
      const id = `tokens-${threads}`;
      await post(`${gateway.url}/v1/chat/completions`, HELLO, { authorization: `Bearer ${staff}`, "x-request-id": id });
      expect(await gateway.accessLine(id)).toMatchObject({ key: "ann", status: 200 });
      expect(gateway.output).not.toContain(staff.slice(-20));
    }, 30_000);

    test("a new key of the issuer is taken when its first token comes, and its last keys are kept while it is away", async () => {
      issuer.isAway = false;
      await issuer.addKey("k1");
      await using engine = await startEngine();
      await using gateway = await ready(["--worker", engine.url, ...flags]);
      expect((await chat(gateway, await issuer.sign("k1", {})))[0]).toBe(200);
      const before = issuer.asked;
      issuer.isAway = true;
      expect((await chat(gateway, await issuer.sign("k1", { sub: "bob" })))[0]).toBe(200);
      expect(issuer.asked).toBe(before);
    }, 30_000);
  });
}

for (const threads of ["1", "2"]) {
  test(`each bearer of tokens has its own limits, which a change of the configuration changes, with ${threads} thread(s)`, async () => {
    issuer.isAway = false;
    await issuer.addKey("k1");
    await using engine = await startEngine();
    const file = join(ELSEWHERE, `token-limits-${threads}.yaml`);
    const write = (perMinute: number): void =>
      writeFileSync(
        file,
        JSON.stringify({
          initial_workers: [{ url: engine.url }],
          admin_api_key: "the-admin-key",
          jwt_issuer: issuer.url,
          jwt_audience: "gateway",
          jwt_requests_per_minute: perMinute,
          jwt_tokens_per_minute: 100_000,
          threads: Number(threads),
        }),
      );
    write(3);
    await using gateway = await ready(["--config", file]);
    const ask = (token: string): Promise<Response> =>
      post(`${gateway.url}/v1/chat/completions`, HELLO, { authorization: `Bearer ${token}`, connection: "close" });
    const ann = [await issuer.sign("k1", {}), await issuer.sign("k1", { other: 1 })] as const;
    const answers: Response[] = [];
    for (let count = 0; count < 4; count += 1) answers.push(await ask(ann[count % 2] ?? ""));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
    expect(answers.map(({ headers }) => headers.get("x-ratelimit-remaining-requests"))).toEqual(["2", "1", "0", "0"]);
    expect(answers[0]?.headers.get("x-ratelimit-limit-tokens")).toBe("100000");
    expect(await answers[3]?.json()).toMatchObject({
      error: {
        code: "rate_limit_exceeded",
        message: expect.stringContaining("no more than 3 requests a minute by the bearer of this token; try again in"),
      },
    });
    expect(Number(answers[3]?.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await ask(await issuer.sign("k1", { sub: "bob" }))).status).toBe(200);
    write(1000);
    const admin = { authorization: "Bearer the-admin-key" };
    expect((await fetch(`${gateway.url}/config/reload`, { method: "POST", headers: admin })).status).toBe(200);
    let after = await ask(ann[0]);
    expect(after.headers.get("x-ratelimit-limit-requests")).toBe("1000");
    // The bucket was empty and fills anew: one request each 60 ms.
    for (; after.status === 429; after = await ask(ann[0])) await Bun.sleep(20);
    expect(after.status).toBe(200);
  }, 30_000);
}

test("roles within another claim open what they map to, and models may be words of a text", async () => {
  issuer.isAway = false;
  await issuer.addKey("k1");
  await using engine = await startEngine();
  await using gateway = await ready([
    "--worker",
    engine.url,
    ...["--jwt-issuer", issuer.url, "--jwt-audience", "gateway", "--jwt-role-claim", "resource_access.my.client.roles"],
    ...["--jwt-role-mapping", "ops=viewer", "staff=client"],
  ]);
  const sign = (roles: unknown, more = {}): Promise<string> =>
    issuer.sign("k1", { resource_access: { "my.client": { roles } }, ...more });
  const view = async (token: string): Promise<number> =>
    (await fetch(`${gateway.url}/workers`, { headers: { authorization: `Bearer ${token}` } })).status;
  const statuses = async (token: string): Promise<number[]> => [await view(token), (await chat(gateway, token))[0]];
  expect(await statuses(await sign(["default-roles", "ops"]))).toEqual([200, 401]);
  expect(await statuses(await sign("ops staff"))).toEqual([200, 200]);
  expect(await statuses(await issuer.sign("k1", { roles: ["ops", "staff"] }))).toEqual([403, 401]);
  expect((await chat(gateway, await sign("staff", { models: "a-* sim-1" })))[0]).toBe(200);
  expect((await chat(gateway, await sign("staff", { models: "a-* b-*" })))[0]).toBe(403);
}, 30_000);

test("an issuer whose certificate is of an authority of one's own is read where NODE_EXTRA_CA_CERTS names that, and the log says what is missing", async () => {
  using secret = mountSecret(TEST_PAIRS.client);
  await issuer.addKey("k1");
  const keySet = await issuer.keySet();
  using secure = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: TEST_PAIRS.first,
    fetch: () => Response.json(keySet),
  });
  await using engine = await startEngine();
  const url = `https://localhost:${secure.port}`;
  const flags = [
    ...["--worker", engine.url, "--jwt-issuer", url, "--jwt-audience", "gateway", "--jwt-jwks-uri", `${url}/keys`],
    ...["--auth-failures-per-minute", "0"],
  ];
  const token = await issuer.sign("k1", {}, { issuer: url });
  {
    await using gateway = await startProcess(flags, { NODE_EXTRA_CA_CERTS: secret.caPath });
    for (let turn = 0; turn < 400 && !(await fetch(`${gateway.url}/readiness`)).ok; turn += 1) await Bun.sleep(25);
    expect(await chat(gateway, token)).toEqual([200, undefined]);
  }
  await using stranger = await startProcess(flags);
  expect((await chat(stranger, token))[0]).toBe(503);
  const told = (): boolean => stranger.output.includes("no authority that is trusted here has signed its certificate");
  await eventually(told, "the log says what is missing");
}, 30_000);

test("a gateway whose issuer does not answer says so to tokens, and takes keys", async () => {
  issuer.isAway = true;
  await issuer.addKey("k1");
  await using engine = await startEngine();
  const flags = ["--jwt-issuer", issuer.url, "--jwt-audience", "gateway", "--api-key", "client-key"];
  await using gateway = await ready(["--worker", engine.url, ...flags]);
  const [status, told] = await chat(gateway, await issuer.sign("k1", {}));
  expect(status).toBe(503);
  expect(told).toMatch(
    /^the token cannot be verified: its issuer has not answered the gateway yet, which asks it again in \d s$/,
  );
  expect((await chat(gateway, "client-key"))[0]).toBe(200);
  // It is asked again within seconds, not half a minute.
  issuer.isAway = false;
  const since = performance.now();
  while ((await chat(gateway, await issuer.sign("k1", {})))[0] !== 200) await Bun.sleep(100);
  expect(performance.now() - since).toBeLessThan(20_000);
}, 30_000);
