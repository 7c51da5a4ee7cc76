import { describe, expect, test } from "bun:test";
import { type ErrorCode, GatewayError } from "../errors/errors.ts";
import { textReply, type ClientRequest, type Reply, type WholeReply } from "../transport/downstream.ts";
import { IncomingRequest } from "../transport/http1-server/incoming-request.ts";
import { NO_ACCOUNT } from "../transport/http1-server/byte-account.ts";
import { readRequestHead } from "../transport/http1-server/request-head.ts";
import type { RouteAddress } from "./control-app.ts";
import { PortAnswers, type PortAnswersDeps } from "./port-answers.ts";

const VIA = "1.1 pointsman-0badcafe";
const CHAT = "/v1/chat/completions";
const SETTINGS = { corsAllowedOrigins: [], requestIdHeaders: ["x-request-id"] };
const ROUTES: readonly RouteAddress[] = [
  { method: "GET", path: "/health" },
  { method: "DELETE", path: "/workers/:id" },
  { method: "GET", path: "/workers/:id" },
];
const BRUSHED_OFF = textReply("brushed off", { status: 429 });

type DataPlane = NonNullable<PortAnswersDeps<RouteAddress>["dataPlane"]>;

interface Played {
  readonly answers: PortAnswers<RouteAddress>;
  /** Codes of what was told as a defect, with the request's id. */
  readonly defects: string[];
  /** Codes of what was refused without being a request. */
  readonly refused: unknown[];
  ask(head: string): Promise<WholeReply>;
}

function create(deps: Partial<PortAnswersDeps<RouteAddress>> = {}): Played {
  const defects: string[] = [];
  const refused: unknown[] = [];
  const answers = new PortAnswers<RouteAddress>({
    settings: SETTINGS,
    dataPlane: plane(),
    via: VIA,
    routes: ROUTES,
    answer: (route, { params, requestId }) =>
      Promise.resolve(textReply([route.method, route.path, JSON.stringify(params), requestId].join(" "))),
    metrics: { increment: (_name, labels) => void refused.push(Object.values(labels ?? {})[0]) },
    onDefect: ({ code }, requestId) => defects.push(`${code} ${requestId}`),
    ...deps,
  });
  return {
    answers,
    defects,
    refused,
    async ask(head) {
      const reply: Reply = await answers.handle(requestOf(head));
      if (typeof reply.body !== "string") throw new Error("this is no text");
      return { ...reply, body: reply.body };
    },
  };
}

function plane(parts: Partial<DataPlane> = {}): DataPlane {
  return {
    isFull: false,
    refusals: { isFlooded: false, screen: () => BRUSHED_OFF },
    handle: (endpoint, _request, requestId) => Promise.resolve(textReply(`${endpoint.name} ${requestId}`)),
    ...parts,
  };
}

/** `head`: the request line and the fields beside Host, each on a line. */
function headOf(head: string): ReturnType<typeof readRequestHead> {
  const [line = "", ...fields] = head.split("\n");
  return readRequestHead([`${line} HTTP/1.1`, "host: h", ...fields].join("\r\n"));
}

function requestOf(head: string): ClientRequest {
  const ignore = (): void => undefined;
  const connection = { pause: ignore, resume: ignore, sendContinue: ignore, peerAddress: "127.0.0.1" };
  return new IncomingRequest(headOf(head), connection, NO_ACCOUNT);
}

function codeIn({ body }: WholeReply): ErrorCode {
  return (JSON.parse(body as string) as { error: { code: ErrorCode } }).error.code;
}

describe("a request", () => {
  test("for inference goes to the data plane, with its id", async () => {
    const { ask } = create();
    expect((await ask(`POST ${CHAT}\nx-request-id: r1`)).body).toBe("chat_completions r1");
  });

  test("for another route goes to its handler, with what its path says", async () => {
    const { ask } = create();
    expect((await ask("DELETE /workers/a%2Fb\nx-request-id: r1")).body).toBe('DELETE /workers/:id {"id":"a/b"} r1');
  });

  test("without an id, or with one that is not safe to repeat, gets a new one", async () => {
    const { ask } = create();
    for (const id of ["", "\nx-request-id: a b", `\nx-request-id: ${"a".repeat(129)}`]) {
      expect((await ask(`POST ${CHAT}${id}`)).body).toMatch(/^chat_completions [0-9a-f-]{36}$/);
    }
  });

  test("of HEAD is one of GET, and of nothing else", async () => {
    const { ask } = create();
    expect((await ask("HEAD /health")).body).toStartWith("GET /health");
    const refused = await ask(`HEAD ${CHAT}`);
    expect([codeIn(refused), refused.headers["allow"]]).toEqual(["method_not_allowed", "POST"]);
  });

  test("with a method that its route does not take is told which it takes", async () => {
    const { ask } = create();
    const refused = await ask("PUT /workers/a");
    expect([refused.status, refused.headers["allow"]]).toEqual([405, "DELETE, GET"]);
  });

  test("for no route is told so, and its path is not normalised before", async () => {
    const { ask } = create();
    for (const path of ["/nothing", "/health/", "//health", "/%68ealth", "/v1/../health"]) {
      expect(codeIn(await ask(`GET ${path}`))).toBe("unknown_url");
    }
  });

  test("that opens a WebSocket is told to post, as clients try that next at once", async () => {
    const { ask } = create();
    const refused = await ask("GET /v1/responses\nupgrade: WebSocket\nconnection: upgrade");
    expect([refused.status, codeIn(refused), refused.headers["upgrade"]]).toEqual([
      426,
      "websocket_unsupported",
      "HTTP/1.1",
    ]);
  });

  test("that has come through this gateway is refused, whoever else it came through", async () => {
    const { ask } = create();
    for (const path of [`POST ${CHAT}`, "GET /health", "GET /nothing"]) {
      expect(codeIn(await ask(`${path}\nvia: 1.1 other, ${VIA}`))).toBe("request_loop");
    }
    expect((await ask("GET /health\nvia: 1.1 pointsman-11111111")).status).toBe(200);
  });

  test("that has come through it reaches a port without inference, which sends nothing on", async () => {
    const { ask } = create({ dataPlane: undefined, via: undefined });
    expect((await ask(`GET /health\nvia: ${VIA}`)).status).toBe(200);
    expect(codeIn(await ask(`POST ${CHAT}`))).toBe("unknown_url");
  });
});

describe("a handler that fails", () => {
  test("is answered with its error, which is no defect", async () => {
    const { ask, defects } = create({
      answer: () => Promise.reject(new GatewayError("overloaded", "too much", { retryAfterSecs: 2 })),
    });
    const reply = await ask("GET /health\nx-request-id: r1");
    expect([codeIn(reply), reply.headers["retry-after"], reply.headers["x-request-id"]]).toEqual([
      "overloaded",
      "2",
      "r1",
    ]);
    expect(defects).toEqual([]);
  });

  test("by a mistake of ours is told as a defect, and the client hears nothing of it but the id", async () => {
    const { ask, defects } = create({ answer: () => Promise.reject(new TypeError("a secret of ours")) });
    const reply = await ask("GET /health\nx-request-id: r1");
    expect([reply.status, codeIn(reply), defects]).toEqual([500, "internal_error", ["internal_error r1"]]);
    expect(reply.body).not.toContain("secret");
  });
});

describe("pages of other origins", () => {
  const PREFLIGHT = `OPTIONS ${CHAT}\norigin: https://page\naccess-control-request-method: POST`;

  test("are not let in where none is named", async () => {
    const { ask, answers } = create();
    expect(codeIn(await ask(PREFLIGHT))).toBe("method_not_allowed");
    const reply = textReply("");
    answers.finish(headOf("GET /health\norigin: https://page"), reply);
    expect(reply.headers["access-control-allow-origin"]).toBeUndefined();
  });

  test("are let in from the next request on where they are named, and read errors as well", async () => {
    const { ask, answers } = create();
    answers.replace({ ...SETTINGS, corsAllowedOrigins: ["https://page"] });
    expect((await ask(PREFLIGHT)).status).toBe(204);
    const refused = await ask("GET /nothing\norigin: https://page");
    answers.finish(headOf("GET /nothing\norigin: https://page"), refused);
    expect([refused.status, refused.headers["access-control-allow-origin"]]).toEqual([404, "https://page"]);
  });
});

test("settings that are replaced count for the next requests", async () => {
  const { ask, answers } = create();
  answers.replace({ ...SETTINGS, requestIdHeaders: ["x-trace"] });
  expect((await ask(`POST ${CHAT}\nx-request-id: r1\nx-trace: t1`)).body).toBe("chat_completions t1");
});

describe("while wrong keys come by the thousand", () => {
  const FLOODED = plane({ refusals: { isFlooded: true, screen: () => BRUSHED_OFF } });
  const from = { peerAddress: "127.0.0.1" };

  test("requests for inference are screened, and no others", () => {
    const { answers } = create({ dataPlane: FLOODED });
    const screened = [`POST ${CHAT}`, `GET ${CHAT}`, "GET /health", "POST /nothing"].map(
      (head) => answers.screen(headOf(head), from) === BRUSHED_OFF,
    );
    expect(screened).toEqual([true, false, false, false]);
  });

  test("and not before, nor on a port without inference", () => {
    for (const dataPlane of [plane(), undefined])
      expect(create({ dataPlane }).answers.screen(headOf(`POST ${CHAT}`), from)).toBeUndefined();
  });
});

test("answers end their connections while the memory is full, so that clients come back elsewhere", () => {
  for (const isFull of [true, false]) {
    const reply: Reply = textReply("");
    create({ dataPlane: plane({ isFull }) }).answers.finish(headOf("GET /health"), reply);
    expect(reply.endsConnection === true).toBe(isFull);
  }
});

test("what is not a request is refused as JSON with an id of its own, and counted", () => {
  const { answers, refused } = create();
  const reply = answers.refuse(new GatewayError("malformed_request", "no"));
  expect([reply.status, codeIn(reply), refused]).toEqual([400, "malformed_request", ["malformed_request"]]);
  expect(reply.headers["x-request-id"]).toMatch(/^[0-9a-f-]{36}$/);
});
