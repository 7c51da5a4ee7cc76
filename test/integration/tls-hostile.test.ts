import { describe, expect, test } from "bun:test";
import { connect as connectTcp, type Socket } from "node:net";
import { connect } from "node:tls";
import type { HandshakeEnd } from "../../src/transport/http1-server/tls-acceptor.ts";
import type { PortTls } from "../../src/transport/tls/server-tls.ts";
import { eventually } from "../faults/observe.ts";
import { echo, startHttpServer } from "../support/http-server.ts";
import { TEST_CA, TEST_PAIRS } from "../support/tls.ts";
import { tlsClient } from "../support/tls-client.ts";

const TLS: PortTls = { pair: TEST_PAIRS.first, clientCa: undefined, minVersion: "1.2" };
const GET = "GET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n";

/** The first bytes of a client's handshake. */
async function helloOf(maxVersion: "TLSv1.2" | "TLSv1.3"): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        resolve(Buffer.from(bytes));
        socket.terminate();
      },
    },
  });
  connect({ port: listener.port, host: "127.0.0.1", servername: "localhost", maxVersion }).on("error", () => undefined);
  const hello = await promise;
  listener.stop(true);
  return hello;
}

function sendTo(port: number, bytes: Uint8Array, end: "close" | "half" | "reset"): Promise<void> {
  return new Promise((resolve) => {
    const socket: Socket = connectTcp({ port, host: "127.0.0.1", allowHalfOpen: true }, () => {
      socket.write(bytes, () => {
        if (end === "half") socket.end();
        else if (end === "reset") socket.resetAndDestroy();
        else socket.destroy();
      });
    });
    socket.on("error", () => undefined);
    socket.on("end", () => socket.destroy());
    socket.on("close", () => resolve());
    socket.resume();
  });
}

async function expectServes(port: number): Promise<void> {
  const client = tlsClient(port);
  client.socket.write(GET);
  await client.until("GET /hello");
  client.socket.destroy();
}

describe("a port with TLS outlives", () => {
  test("handshakes that are cut anywhere, in each way in which a client can leave", async () => {
    using started = startHttpServer(echo, { tls: TLS });
    const { port } = started.server;
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const hello = await helloOf(version);
      const places = Array.from({ length: 40 }, (_, index) => Math.floor((index * hello.length) / 40));
      for (const end of ["close", "half", "reset"] as const) {
        await Promise.all(places.map((place) => sendTo(port, hello.subarray(0, place), end)));
      }
    }
    await expectServes(port);
    await eventually(() => started.server.connections === 0, "no connection is left");
    expect(started.defects).toEqual([]);
  });

  test("handshakes in which one byte is another, wherever it stands", async () => {
    const ends: HandshakeEnd[] = [];
    using started = startHttpServer(echo, { tls: TLS, onHandshake: (end) => ends.push(end) });
    const { port } = started.server;
    const hello = await helloOf("TLSv1.3");
    for (let at = 0; at < hello.length; at += 3) {
      const changed = Buffer.from(hello);
      changed[at] = (changed[at] ?? 0) ^ 0xff;
      await sendTo(port, changed, "half");
    }
    await expectServes(port);
    await eventually(() => started.server.connections === 0, "no connection is left");
    expect(ends.length).toBeGreaterThanOrEqual(Math.floor(hello.length / 3));
    expect(started.defects).toEqual([]);
  });

  test("a stall of many handshakes: others are served meanwhile", async () => {
    using started = startHttpServer(echo, { tls: TLS });
    const { port } = started.server;
    const hello = await helloOf("TLSv1.3");
    const stalled = Array.from({ length: 300 }, () => connectTcp(port, "127.0.0.1"));
    for (const socket of stalled) {
      socket.on("error", () => undefined);
      socket.write(hello.subarray(0, 100));
    }
    await eventually(() => started.server.connections === 300, "all have begun");
    await expectServes(port);
    for (const socket of stalled) socket.destroy();
    await eventually(() => started.server.connections === 0, "no connection is left");
  });

  test("a client that wants to renegotiate, which ends its connection and no other", async () => {
    using started = startHttpServer(echo, { tls: TLS });
    const { port } = started.server;
    const other = tlsClient(port);
    await other.secured;
    const client = Bun.spawn(["openssl", "s_client", "-tls1_2", "-connect", `127.0.0.1:${port}`], {
      stdin: "pipe",
      stdout: "ignore",
      stderr: "ignore",
    });
    await eventually(() => started.server.connections === 2, "it is connected");
    void client.stdin.write("R\n");
    await client.stdin.flush();
    await client.exited;
    other.socket.write(GET);
    await other.until("GET /hello");
    other.socket.destroy();
  });

  test("bytes that were changed within a connection: they reach no request", async () => {
    const paths: string[] = [];
    using started = startHttpServer(
      (request) => {
        paths.push(request.path);
        return echo(request);
      },
      { tls: TLS },
    );
    const { port } = started.server;
    // Somebody on the way, who changes what the client sends after its handshake.
    let isChanging = false;
    const between = Bun.listen<{ up: Socket | undefined }>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open(socket) {
          const up = connectTcp(port, "127.0.0.1");
          up.on("data", (bytes: Buffer) => void socket.write(bytes));
          up.on("close", () => socket.terminate());
          up.on("error", () => undefined);
          socket.data = { up };
        },
        data(socket, bytes) {
          if (isChanging) bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
          socket.data.up?.write(Buffer.from(bytes));
        },
        close: (socket) => void socket.data.up?.destroy(),
      },
    });
    const client = tlsClient(between.port);
    client.socket.write(GET);
    await client.until("GET /hello");
    isChanging = true;
    client.socket.write(GET.replace("hello", "changed"));
    await client.closed;
    between.stop(true);
    expect(paths).toEqual(["/hello"]);
  });
});

test("a client that closes its side of TLS after its request still gets its answer, as without TLS", async () => {
  using started = startHttpServer(echo, { tls: TLS });
  const { port } = started.server;
  const script = `
import socket, ssl
context = ssl.create_default_context(cadata=${JSON.stringify(TEST_CA)})
raw = socket.create_connection(("127.0.0.1", ${port}))
into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(into, out, server_hostname="localhost")
def pump(step):
    while True:
        try:
            return step()
        except ssl.SSLWantReadError:
            raw.sendall(out.read())
            piece = raw.recv(65536)
            into.write(piece) if piece else into.write_eof()
pump(tls.do_handshake)
tls.write(b"GET /half HTTP/1.1\\r\\nhost: localhost\\r\\n\\r\\n")
try:
    tls.unwrap()
except ssl.SSLWantReadError:
    pass
raw.sendall(out.read())
answer = b""
while True:
    try:
        piece = pump(lambda: tls.read(65536))
        if not piece:
            break
        answer += piece
    except ssl.SSLError:
        break
print(answer.decode().splitlines()[0])
`;
  const child = Bun.spawn(["python3", "-c", script], { stdout: "pipe", stderr: "inherit" });
  expect((await new Response(child.stdout).text()).trim()).toBe("HTTP/1.1 200 OK");
});
