import { expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { createSecureServer, type ServerHttp2Stream } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { callOptions, failureCode, startTransport } from "../grpc/calls.ts";
import { grpcMessage } from "../grpc/raw-http2.ts";
import { TEST_CERT, TEST_KEY } from "../support/tls.ts";

interface TlsServer extends AsyncDisposable {
  readonly origin: string;
  readonly seen: string[];
}

async function startTlsServer(): Promise<TlsServer> {
  const seen: string[] = [];
  const server = createSecureServer({ cert: TEST_CERT, key: TEST_KEY });
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    seen.push(String(headers[":path"]));
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(grpcMessage(Buffer.from("answer")));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  return {
    origin: `grpcs://127.0.0.1:${typeof address === "object" ? address?.port : 0}`,
    seen,
    [Symbol.asyncDispose]: async () => void server.close(),
  };
}

test("a worker whose certificate nobody vouches for never sees a call", async () => {
  await using server = await startTlsServer();
  using transport = startTransport();
  const call = transport.unary(server.origin, "/test.Test/Unary", Buffer.from("q"), callOptions(transport));
  expect(await failureCode(call)).toBe("upstream_connect_failed");
  expect(server.seen).toEqual([]);
});

test("with its authority trusted, a grpcs worker is a worker like others", async () => {
  await using server = await startTlsServer();
  const directory = mkdtempSync(join(tmpdir(), "pointsman-tls-"));
  const authority = join(directory, "ca.pem");
  writeFileSync(authority, TEST_CERT);
  // Trust is read when a process starts, so this takes one of its own.
  const script = `
    import { callOptions, startTransport } from ${JSON.stringify(join(import.meta.dir, "../grpc/calls.ts"))};
    const transport = startTransport();
    const answer = await transport.unary(process.argv[1], "/test.Test/Unary", Buffer.from("q"), callOptions(transport));
    console.log(Buffer.from(answer).toString());
    transport[Symbol.dispose]();
  `;
  const child = Bun.spawn([process.execPath, "-e", script, server.origin], {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: authority },
    stdout: "pipe",
    stderr: "inherit",
  });
  expect((await new Response(child.stdout).text()).trim()).toBe("answer");
  expect(await child.exited).toBe(0);
  expect(server.seen).toEqual(["/test.Test/Unary"]);
});
