import { expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HELLO, post, startGateway } from "../support/gateway.ts";
import { TEST_CERT, TEST_KEY } from "../support/tls.ts";

function startTlsEngine(): { url: string; seen: string[]; stop(): void } {
  const seen: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: { cert: TEST_CERT, key: TEST_KEY },
    fetch(request) {
      seen.push(request.url);
      return Response.json({ object: "chat.completion", data: [{ id: "sim-1" }] });
    },
  });
  return { url: `https://127.0.0.1:${server.port}`, seen, stop: () => void server.stop(true) };
}

test("a worker whose certificate nobody vouches for never sees a request", async () => {
  const engine = startTlsEngine();
  await using gateway = await startGateway({ workers: [engine.url], config: { disableHealthCheck: true } });
  const response = await post(`${gateway.url}/v1/chat/completions`, HELLO);
  expect([response.status, ((await response.json()) as { error: { code: string } }).error.code]).toEqual([
    502,
    "upstream_connect_failed",
  ]);
  expect(engine.seen).toEqual([]);
  engine.stop();
});

test("with its authority trusted, an https worker is a worker like others", async () => {
  const engine = startTlsEngine();
  const authority = join(mkdtempSync(join(tmpdir(), "pointsman-tls-")), "ca.pem");
  writeFileSync(authority, TEST_CERT);
  // Trust is read when a process starts, so this takes one of its own.
  const child = Bun.spawn(
    [
      join(import.meta.dir, "../../bin/pointsman"),
      "--host",
      "127.0.0.1",
      "--port",
      "0",
      "--prometheus-port",
      "0",
      "--worker",
      engine.url,
    ],
    { stdout: "pipe", stderr: "inherit", env: { ...process.env, NODE_EXTRA_CA_CERTS: authority } },
  );
  const { value } = await child.stdout.getReader().read();
  const { url } = JSON.parse(
    Buffer.from(value ?? [])
      .toString()
      .split("\n")[0] ?? "",
  ) as { url: string };
  while (!(await fetch(`${url}/readiness`)).ok) await Bun.sleep(10);
  for (let count = 0; count < 3; count += 1) expect((await post(`${url}/v1/chat/completions`, HELLO)).status).toBe(200);
  expect(engine.seen.filter((path) => path.endsWith("/v1/chat/completions"))).toHaveLength(3);
  child.kill("SIGTERM");
  await child.exited;
  engine.stop();
});
