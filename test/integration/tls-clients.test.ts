import { existsSync } from "node:fs";
import { describe, expect, test } from "bun:test";
import OpenAI from "openai";
import { freePort } from "../faults/free-port.ts";
import { eventually } from "../faults/observe.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO } from "../support/gateway.ts";
import { type GatewayProcess, startProcess } from "../support/process.ts";
import { TEST_CA, TEST_PAIRS } from "../support/tls.ts";
import { type TlsClient, tlsClient } from "../support/tls-client.ts";
import { mountSecret, type MountedSecret } from "../support/tls-files.ts";

const { first, second } = TEST_PAIRS;

function flags({ certPath, keyPath }: MountedSecret): string[] {
  return ["--tls-cert-path", certPath, "--tls-key-path", keyPath];
}

function portOf({ url }: GatewayProcess): number {
  return Number(new URL(url).port);
}

async function isReady({ url }: GatewayProcess): Promise<void> {
  const readiness = `${url}/readiness`;
  await eventually(async () => (await fetch(readiness, { tls: { ca: TEST_CA } })).ok, "the worker is ready");
}

function chat(more: object): string {
  const body = JSON.stringify({ ...HELLO, ...more });
  return `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

/** A stream whose second half comes when it is let to. */
function twoHalves(released: Promise<void>): Response {
  const event = (content: string, finish: string | null): string =>
    `data: ${JSON.stringify({ object: "chat.completion.chunk", choices: [{ index: 0, delta: { content }, finish_reason: finish }] })}\n\n`;
  const body = async function* (): AsyncGenerator<string> {
    yield event("first half", null);
    await released;
    yield event("second half", "stop");
    yield "data: [DONE]\n\n";
  };
  return new Response(body as never, { headers: { "content-type": "text/event-stream" } });
}

/** Asks over a connection of its own. */
async function isServed(port: number): Promise<boolean> {
  const client = tlsClient(port);
  client.socket.write("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n");
  const isAnswered = await client.until("200 OK").then(
    () => true,
    () => false,
  );
  client.socket.destroy();
  return isAnswered;
}

/** Serial numbers that new connections get. With several threads, each of them takes some of the connections. */
async function serials(port: number, connections: number): Promise<Set<string>> {
  const clients = Array.from({ length: connections }, () => tlsClient(port));
  await Promise.all(clients.map(({ secured }) => secured));
  const found = new Set(clients.map(({ socket }) => socket.getPeerCertificate().serialNumber));
  for (const { socket } of clients) socket.destroy();
  return found;
}

describe("a gateway with TLS", () => {
  test("says https, and serves curl, Node, Bun and the OpenAI SDK that trust its authority", async () => {
    await using engine = await startEngine();
    using secret = mountSecret(first);
    await using gateway = await startProcess(["--worker", engine.url, ...flags(secret)]);
    const url = gateway.url.replace("127.0.0.1", "localhost");
    expect(url).toStartWith("https://");
    await isReady(gateway);
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify(HELLO),
      headers: { "content-type": "application/json" },
      tls: { ca: TEST_CA },
    });
    expect(answer.status).toBe(200);
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: secret.caPath };
    const run = async (words: string[]): Promise<string> =>
      new Response(Bun.spawn(words, { env, stdout: "pipe", stderr: "inherit" }).stdout).text();
    expect(
      await run(["curl", "-sS", "--cacert", secret.caPath, `${url}/health`, "-w", "%{http_code} %{http_version}"]),
    ).toEndWith("200 1.1");
    expect(await run(["node", "-e", `fetch("${url}/health").then((answer) => console.log(answer.status))`])).toBe(
      "200\n",
    );
    const sdk = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", fetchOptions: { tls: { ca: TEST_CA } } as object });
    let text = "";
    const stream = await sdk.chat.completions.create({
      model: "sim-1",
      messages: [{ role: "user", content: "Hello" }],
      stream: true,
    });
    for await (const { choices } of stream) text += choices[0]?.delta.content ?? "";
    expect(text.length).toBeGreaterThan(0);
  }, 20_000);

  for (const threads of [1, 2]) {
    test(`with ${threads} threads takes a renewed certificate on all of them, and ends no stream`, async () => {
      const release = Promise.withResolvers<void>();
      await using engine = await startEngine({ respond: () => twoHalves(release.promise) });
      using secret = mountSecret(first);
      await using gateway = await startProcess([
        "--worker",
        engine.url,
        ...flags(secret),
        ...["--threads", String(threads)],
      ]);
      const port = portOf(gateway);
      await isReady(gateway);
      const [before] = await serials(port, 1);
      const streams: TlsClient[] = Array.from({ length: 40 }, () => tlsClient(port));
      for (const { socket } of streams) socket.write(chat({ stream: true, max_tokens: 40 }));
      await Promise.all(streams.map((client) => client.until("first half")));
      secret.swap(second);
      gateway.signal("SIGHUP");
      await eventually(() => gateway.output.includes("certificates changed"), "the new certificate");
      const after = await serials(port, 40);
      expect([after.size, after.has(before ?? "")]).toEqual([1, false]);
      release.resolve();
      const ended = await Promise.all(streams.map((client) => client.until("0\r\n\r\n")));
      expect(ended.filter((text) => text.includes("second half") && text.includes("[DONE]"))).toHaveLength(40);
      for (const { socket } of streams) socket.destroy();
      secret.swap({ cert: first.cert, key: second.key });
      await eventually(() => {
        gateway.signal("SIGHUP");
        return gateway.output.includes("are not used");
      }, "the refusal");
      expect(await serials(port, 8)).toEqual(after);
    }, 30_000);
  }

  const python = process.env["POINTSMAN_PYTHON_OPENAI"];
  test.skipIf(python === undefined)(
    "serves Python's OpenAI SDK with its own authority (POINTSMAN_PYTHON_OPENAI)",
    async () => {
      await using engine = await startEngine();
      using secret = mountSecret(first);
      await using gateway = await startProcess(["--worker", engine.url, ...flags(secret)]);
      await isReady(gateway);
      const script = `
import openai, ssl
context = ssl.create_default_context(cafile="${secret.caPath}")
client = openai.OpenAI(base_url="https://localhost:${portOf(gateway)}/v1", api_key="none", http_client=openai.DefaultHttpxClient(verify=context))
messages = [{"role": "user", "content": "Hello"}]
print(len(client.chat.completions.create(model="sim-1", messages=messages).choices))
print(sum(1 for _ in client.chat.completions.create(model="sim-1", messages=messages, stream=True)) > 1)
`;
      const child = Bun.spawn([python ?? "", "-c", script], { stdout: "pipe", stderr: "inherit" });
      expect(await new Response(child.stdout).text()).toBe("1\nTrue\n");
    },
    20_000,
  );

  test("wants certificates at the ports where it is told to", async () => {
    using secret = mountSecret(first);
    const metricsPort = freePort();
    await using gateway = await startProcess([
      ...flags(secret),
      ...["--tls-client-ca-path", secret.caPath, "--prometheus-port", String(metricsPort)],
    ]);
    const stranger = tlsClient(portOf(gateway));
    stranger.socket.write("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n");
    expect(await stranger.closed).toBe("");
    const known = tlsClient(portOf(gateway), TEST_PAIRS.client);
    known.socket.write("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await known.until("200 OK");
    known.socket.destroy();
    const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    expect(metrics).toContain('pointsman_tls_handshakes_total{result="no_certificate"} 1');
    expect(metrics).toMatch(/pointsman_certificate_expiry_seconds\{use="server",path="[^"]*tls.crt"\} \d{9,}/);
    // A prober without a certificate.
    const statusOf = async (path: string): Promise<number> =>
      (await fetch(`http://127.0.0.1:${metricsPort}${path}`)).status;
    const paths = ["/health", "/liveness", "/readiness", "/workers"];
    expect(await Promise.all(paths.map(statusOf))).toEqual([200, 200, 503, 404]);
  }, 20_000);

  test("has its metrics port speak TLS where it is told to", async () => {
    using secret = mountSecret(first);
    const metricsPort = freePort();
    await using _ = await startProcess([
      ...flags(secret),
      ...["--prometheus-tls", "--prometheus-port", String(metricsPort)],
    ]);
    const answer = await fetch(`https://localhost:${metricsPort}/metrics`, { tls: { ca: TEST_CA } });
    expect(answer.status).toBe(200);
  }, 20_000);

  test("keeps its admin port in TLS, unless it is told otherwise", async () => {
    using secret = mountSecret(first);
    await using usual = await startProcess([...flags(secret), "--admin-port", "0"]);
    expect(usual.started["admin_url"]).toStartWith("https://");
    await using told = await startProcess([...flags(secret), "--admin-port", "0", "--no-admin-tls"]);
    expect(told.started["admin_url"]).toStartWith("http://");
    expect((await fetch(`${String(told.started["admin_url"])}/workers`)).status).toBe(200);
  }, 20_000);

  test("hands its port over to the next gateway while clients connect", async () => {
    await using engine = await startEngine();
    using secret = mountSecret(first);
    const words = ["--worker", engine.url, ...flags(secret), "--reuse-port", "--shutdown-delay-secs", "1"];
    await using old = await startProcess(words);
    const port = portOf(old);
    await using next = await startProcess([...words, "--port", String(port)]);
    old.signal("SIGTERM");
    let served = 0;
    let resets = 0;
    const isGone = (): boolean => !existsSync(`/proc/${old.pid}`);
    while (!isGone() || served < 50) {
      // Linux resets connections that wait to be accepted when the old gateway stops listening: clients connect again.
      if (await isServed(port)) served += 1;
      else resets += 1;
    }
    expect([portOf(next), resets <= 1]).toEqual([port, true]);
  }, 30_000);
});
