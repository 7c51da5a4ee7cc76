import { afterAll, expect, test } from "bun:test";
import { fetchFailure } from "../../src/util/fetch-failure.ts";
import { TEST_PAIRS } from "../support/tls.ts";

const stack = new DisposableStack();
afterAll(() => stack.dispose());

/** A server that answers each connection's first bytes with these. */
function serverOf(answer: string): number {
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket) {
        socket.end(answer);
      },
    },
  });
  stack.defer(() => server.stop(true));
  return server.port;
}

async function told(url: string, init: BunFetchRequestInit = {}): Promise<string> {
  try {
    await (await fetch(url, init)).text();
  } catch (error) {
    return fetchFailure(error);
  }
  throw new Error("it has answered");
}

test("a server that cannot be asked is told in words that say what to look at, and without the address", async () => {
  const secure = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: TEST_PAIRS.nameless,
    fetch: () => new Response("no"),
  });
  const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
  const elsewhere = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => Response.redirect("http://127.0.0.1:1/"),
  });
  stack.defer(() => {
    for (const server of [secure, elsewhere, silent]) void server.stop(true);
  });
  const gone = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
  gone.stop(true);
  const query = "?token=secret";
  const trusted = { tls: { ca: TEST_PAIRS.nameless.cert } };
  const cases: readonly (readonly [string, BunFetchRequestInit, string])[] = [
    [
      `http://127.0.0.1:${gone.port}/${query}`,
      {},
      "it refuses connections: nobody listens at this address (ECONNREFUSED)",
    ],
    [`http://no-such-host.invalid/${query}`, {}, "its name does not resolve (ENOTFOUND)"],
    [`http://127.0.0.1:${serverOf("")}/${query}`, {}, "it broke the connection (ECONNRESET)"],
    [
      `http://127.0.0.1:${serverOf("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nno")}/${query}`,
      {},
      "it broke the connection (ECONNRESET)",
    ],
    [`http://127.0.0.1:${silent.port}/${query}`, { signal: AbortSignal.timeout(50) }, "it has not answered in time"],
    [
      `https://127.0.0.1:${serverOf("no TLS")}/${query}`,
      {},
      "the TLS handshake failed: it speaks no TLS there, or wants to see a certificate (EPROTO)",
    ],
    [
      `https://127.0.0.1:${secure.port}/${query}`,
      {},
      "no authority that is trusted here has signed its certificate (DEPTH_ZERO_SELF_SIGNED_CERT)",
    ],
    [
      `https://localhost:${secure.port}/${query}`,
      trusted,
      "its certificate is for another name than its address (ERR_TLS_CERT_ALTNAME_INVALID)",
    ],
    [
      `http://127.0.0.1:${elsewhere.port}/${query}`,
      { redirect: "error" },
      "it sends the question on to another address, which is not asked (UnexpectedRedirect)",
    ],
  ];
  for (const [url, init, words] of cases) expect([url, await told(url, init)]).toEqual([url, words]);
});
