import { describe, expect, test } from "bun:test";
import type { Socket } from "bun";
import { Agent, request as httpRequest } from "node:http";
import type { ClientRequest, Reply } from "../../src/transport/downstream.ts";
import { echo, startHttpServer, streamReply } from "../support/http-server.ts";

/** What a client made of the answer: status and body. */
type Got = readonly [status: number, body: string];

interface Client {
  readonly name: string;
  /** The program that it needs. */
  readonly needs?: string;
  /** Asks for each path in turn, over the same connection where it can, and says what it got. */
  get(url: string, paths: readonly string[]): Promise<readonly Got[]>;
}

/** Runs a script that gets the URL and the paths as JSON, and prints what it got as JSON. */
async function run(command: readonly string[], url: string, paths: readonly string[]): Promise<readonly Got[]> {
  // Not spawnSync: the server that it talks to runs on this thread.
  const child = Bun.spawn([...command, JSON.stringify({ url, paths })], { stdout: "pipe", stderr: "inherit" });
  const text = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  return JSON.parse(text) as Got[];
}

const NODE = `
  const http = require("node:http");
  const { url, paths } = JSON.parse(process.argv[1]);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const get = (path) => new Promise((resolve, reject) => {
    http.get(url + path, { agent }, (res) => {
      let body = "";
      res.setEncoding("utf8").on("data", (piece) => (body += piece)).on("error", reject);
      res.on("end", () => resolve([res.statusCode, body]));
    }).on("error", reject);
  });
  (async () => {
    const got = [];
    for (const path of paths) got.push(await get(path));
    console.log(JSON.stringify(got));
    agent.destroy();
  })();`;

const PYTHON = `
import http.client, json, sys
told = json.loads(sys.argv[1])
connection = http.client.HTTPConnection(told["url"].split("//")[1], timeout=20)
got = []
for path in told["paths"]:
    connection.request("GET", path)
    answer = connection.getresponse()
    got.append([answer.status, answer.read().decode()])
print(json.dumps(got))`;

function getWithAgent(agent: Agent, url: string): Promise<Got> {
  return new Promise((resolve, reject) => {
    const asked = httpRequest(url, { agent }, (answer) => {
      let body = "";
      answer.setEncoding("utf8");
      answer.on("data", (piece: string) => (body += piece));
      answer.on("error", reject);
      answer.on("end", () => resolve([answer.statusCode ?? 0, body]));
    });
    asked.on("error", reject);
    asked.end();
  });
}

const CLIENTS: readonly Client[] = [
  {
    name: "fetch",
    async get(url, paths) {
      const got: Got[] = [];
      for (const path of paths) {
        const answer = await fetch(url + path);
        got.push([answer.status, await answer.text()]);
      }
      return got;
    },
  },
  {
    name: "node:http of Bun",
    async get(url, paths) {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const got: Got[] = [];
      for (const path of paths) got.push(await getWithAgent(agent, url + path));
      agent.destroy();
      return got;
    },
  },
  { name: "node:http of Node", needs: "node", get: (url, paths) => run(["node", "-e", NODE], url, paths) },
  { name: "http.client of Python", needs: "python3", get: (url, paths) => run(["python3", "-c", PYTHON], url, paths) },
  {
    name: "curl",
    needs: "curl",
    async get(url, paths) {
      const urls = paths.map((path) => url + path);
      const child = Bun.spawn(["curl", "-sS", "-g", "--write-out", "\\n%{http_code}\\n", ...urls], { stdout: "pipe" });
      const lines = (await new Response(child.stdout).text()).split("\n");
      expect(await child.exited).toBe(0);
      return paths.map((_, index): Got => [Number(lines[index * 2 + 1]), lines[index * 2] ?? ""]);
    },
  },
];

interface Relay extends Disposable {
  readonly url: string;
  /** Resolves when the server has written what is looked for. */
  readonly seen: Promise<void>;
}

/**
 * Passes a client's bytes on to the server and back, and closes the client's half towards the server when the server has
 * sent `after`, or with the request where that is empty. Then it waits to see `probe`.
 */
function startHalfClosing(url: string, after: string, probe: RegExp): Relay {
  const { promise: seen, resolve: onSeen } = Promise.withResolvers<void>();
  const { hostname, port } = new URL(url);
  const listener = Bun.listen<{ upstream?: Socket }>({
    hostname: "127.0.0.1",
    port: 0,
    allowHalfOpen: true,
    socket: {
      data(client, bytes) {
        let answer = "";
        let isHalfClosed = false;
        const halfClose = (socket: Socket): void => {
          if (isHalfClosed) return;
          isHalfClosed = true;
          socket.shutdown();
        };
        void Bun.connect({
          hostname,
          port: Number(port),
          allowHalfOpen: true,
          socket: {
            open(socket) {
              socket.write(bytes);
              if (after === "") halfClose(socket);
            },
            data(socket, piece) {
              answer += piece.toString("latin1");
              client.write(piece);
              if (answer.includes(after)) halfClose(socket);
              if (probe.test(answer)) onSeen();
            },
            end(socket) {
              client.end();
              socket.end();
            },
          },
        });
      },
    },
  });
  return { url: `http://127.0.0.1:${listener.port}`, seen, [Symbol.dispose]: () => listener.stop(true) };
}

/** Two pieces, and an end that comes after a gate has opened. */
function inPieces(gates: readonly Promise<void>[]): Reply {
  return streamReply(async (sink) => {
    await sink.write(Buffer.from("héllo"));
    await gates[0];
    await sink.write(Buffer.from(", w€rld"));
    await gates[1];
  });
}

describe.each(CLIENTS.map((client) => [client.name, client] as const))("%s", (_, client) => {
  // Where the program is not installed there is nothing to check it with.
  const has = test.skipIf(client.needs !== undefined && Bun.which(client.needs) === null);

  has("reads 60 answers of every kind, one after another", async () => {
    using started = startHttpServer((request) => {
      if (request.path === "/stream") return inPieces([Bun.sleep(1)]);
      if (request.path === "/empty") return streamReply(async () => undefined);
      if (request.path === "/none") return { status: 404, headers: {}, body: "" };
      return echo(request);
    });
    const paths = Array.from({ length: 60 }, (_, index) => ["/a?b", "/stream", "/empty", "/none"][index % 4] ?? "");
    const wanted = {
      "/a?b": [200, "GET /a b "],
      "/stream": [200, "héllo, w€rld"],
      "/empty": [200, ""],
      "/none": [404, ""],
    };
    const got = await client.get(started.url, paths);
    expect(got).toEqual(paths.map((path) => wanted[path as keyof typeof wanted]) as unknown as Got[]);
  });

  has("reads an answer behind a 100 that it did not ask for", async () => {
    const { promise: gate, resolve: goOn } = Promise.withResolvers<void>();
    using started = startHttpServer(async (request: ClientRequest) => {
      await gate;
      return echo(request);
    });
    using relay = startHalfClosing(started.url, "", /^HTTP\/1\.1 100 Continue\r\n\r\n/);
    const got = client.get(relay.url, ["/a"]);
    await relay.seen;
    goOn();
    expect(await got).toEqual([[200, "GET /a  "]]);
  });

  has("reads a chunk whose size has a zero before it", async () => {
    const { promise: gate, resolve: goOn } = Promise.withResolvers<void>();
    using started = startHttpServer(() => inPieces([gate]));
    using relay = startHalfClosing(started.url, "llo\r\n", /llo\r\n0$/);
    const got = client.get(relay.url, ["/a"]);
    await relay.seen;
    goOn();
    expect(await got).toEqual([[200, "héllo, w€rld"]]);
  });

  has("reads a last chunk that has two zeros", async () => {
    const { promise: gate, resolve: goOn } = Promise.withResolvers<void>();
    using started = startHttpServer(() => inPieces([Promise.resolve(), gate]));
    using relay = startHalfClosing(started.url, "rld\r\n", /rld\r\n0$/);
    const got = client.get(relay.url, ["/a"]);
    await relay.seen;
    goOn();
    expect(await got).toEqual([[200, "héllo, w€rld"]]);
  });
});

const POOL = `
  const http = require("node:http");
  const { url } = JSON.parse(process.argv[1]);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
  const ports = new Set();
  const ask = (index) => new Promise((resolve, reject) => {
    const method = ["GET", "POST", "PUT"][index % 3];
    const req = http.request(url + "/r" + index, { agent, method }, (res) => {
      let body = "";
      res.setEncoding("utf8").on("data", (piece) => (body += piece)).on("error", reject);
      res.on("end", () => resolve([res.statusCode, body]));
    }).on("error", reject);
    req.on("socket", (socket) => socket.localPort ? ports.add(socket.localPort) : socket.once("connect", () => ports.add(socket.localPort)));
    if (method === "GET") req.end();
    else if (method === "PUT") { req.setHeader("expect", "100-continue"); req.flushHeaders(); req.once("continue", () => req.end("put" + index)); }
    else { req.write("chunk "); req.end(String(index)); }
  });
  Promise.all(Array.from({ length: 300 }, (_, index) => ask(index))).then((got) => {
    console.log(JSON.stringify([[ports.size, ""], ...got]));
    agent.destroy();
  });`;

test.skipIf(Bun.which("node") === null)(
  "Node's agent sends 300 requests, with and without bodies, over four connections",
  async () => {
    using started = startHttpServer(echo);
    const [pool, ...got] = await run(["node", "-e", POOL], started.url, []);
    const wanted = Array.from({ length: 300 }, (_, index): Got => {
      const body = ["", `chunk ${index}`, `put${index}`][index % 3] ?? "";
      return [200, `${["GET", "POST", "PUT"][index % 3]} /r${index}  ${body}`];
    });
    expect([pool, got]).toEqual([[4, ""], wanted]);
  },
);

test("fetch sends 300 requests at once, with and without bodies", async () => {
  using started = startHttpServer(echo);
  const got = await Promise.all(
    Array.from({ length: 300 }, async (_, index): Promise<string> => {
      const init = index % 2 === 0 ? {} : { method: "POST", body: `body ${index}` };
      return (await fetch(`${started.url}/r${index}`, init)).text();
    }),
  );
  const wanted = Array.from({ length: 300 }, (_, index) =>
    index % 2 === 0 ? `GET /r${index}  ` : `POST /r${index}  body ${index}`,
  );
  expect(got).toEqual(wanted);
});
