import { describe, expect, test } from "bun:test";
import { GatewayError } from "../errors/errors.ts";
import { EVERYBODY } from "../keys/principal.ts";
import type { Permit } from "../server/admission.ts";
import type { ControlRequest } from "../server/control-app.ts";
import type { Route } from "../server/route.ts";
import type { Reply } from "../transport/downstream.ts";
import { LeaveController } from "../util/leave-signal.ts";
import { answerCall, type AnswerCallDeps } from "./answer-call.ts";
import { isPermit } from "./held-calls.ts";
import type { Call, ControlCall } from "./messages.ts";

const ENTRY = { client: "t", priority: "normal", patienceMs: 1 } as const;
const VERIFIED = { principal: EVERYBODY, expiresAt: 7, rowVersion: 0 };
const PERMIT: Permit = { release: () => undefined };
const ROUTE: Route = { method: "POST", path: "/workers", access: "admin", handle: () => Promise.reject(new Error()) };
const CONTROL: ControlCall = {
  what: "control",
  route: 0,
  method: "POST",
  path: "/workers",
  query: "wait=true",
  peerAddress: "127.0.0.1",
  headers: [["x-team", "signals"]],
  params: { id: "7" },
  requestId: "r-1",
  body: Buffer.from("{}"),
};

function setUp(parts: Partial<AnswerCallDeps> = {}): { readonly deps: AnswerCallDeps; readonly asked: unknown[] } {
  const asked: unknown[] = [];
  const deps: AnswerCallDeps = {
    gate: {
      enter: (entry) => (asked.push(["enter", entry]), PERMIT),
      foresee: (entry) => (asked.push(["foresee", entry]), undefined),
      enterModel: (model, entry) => (asked.push(["enterModel", model, entry]), Promise.resolve(PERMIT)),
    },
    verifyToken: () => Promise.resolve(VERIFIED),
    modelFinder: {
      find: (model) => {
        asked.push(["find", model]);
        return Promise.resolve();
      },
      wanted: () => undefined,
    },
    control: { answer: () => Promise.reject(new Error("nobody answers")) },
    routes: [ROUTE],
    ...parts,
  };
  return { deps, asked };
}

const ask = (deps: AnswerCallDeps, call: Call): Promise<object> => answerCall(deps, call, new LeaveController());

describe("a call of a thread", () => {
  test("for a place is answered with the place", async () => {
    const { deps, asked } = setUp();
    expect(await ask(deps, { what: "enter", entry: ENTRY })).toBe(PERMIT);
    expect(await ask(deps, { what: "enterModel", model: "m", entry: ENTRY })).toBe(PERMIT);
    expect(asked).toEqual([
      ["enter", ENTRY],
      ["enterModel", "m", ENTRY],
    ]);
  });

  test("for the bearer of a token is answered with the bearer", async () => {
    expect(await ask(setUp().deps, { what: "verifyToken", token: "a.b.c" })).toEqual(VERIFIED);
  });

  test("that only waits is answered with nothing that would be held", async () => {
    const { deps, asked } = setUp();
    const answers = [
      await ask(deps, { what: "findModel", model: "m" }),
      await ask(deps, { what: "foresee", entry: ENTRY }),
    ];
    expect(answers.map(isPermit)).toEqual([false, false]);
    expect(asked).toEqual([
      ["find", "m"],
      ["foresee", ENTRY],
    ]);
  });

  test("that is refused fails with the refusal", async () => {
    const refusal = new GatewayError("model_not_found", "no worker has it");
    const { deps } = setUp({ modelFinder: { find: () => Promise.reject(refusal), wanted: () => undefined } });
    expect(ask(deps, { what: "findModel", model: "m" })).rejects.toBe(refusal);
  });
});

describe("a request for a route of the control thread", () => {
  test("comes to the route as the client sent it, and its answer goes back as data", async () => {
    const seen: [Route, ControlRequest][] = [];
    const answer = (route: Route, request: ControlRequest): Promise<Reply> => {
      seen.push([route, request]);
      return Promise.resolve({ status: 202, headers: { location: "/workers/7" }, body: "{}" });
    };
    const { deps } = setUp({ control: { answer } });
    expect(await ask(deps, CONTROL)).toEqual({ status: 202, headers: { location: "/workers/7" }, body: "{}" });
    const [route, told] = seen[0] ?? [];
    const request = told?.request;
    expect([route, told?.params, told?.requestId]).toEqual([ROUTE, { id: "7" }, "r-1"]);
    expect([request?.path, request?.query, request?.headers.get("x-team")]).toEqual([
      "/workers",
      "wait=true",
      "signals",
    ]);
    expect(Buffer.from((await request?.read()) ?? []).toString()).toBe("{}");
  });

  test("that does not exist is a defect", () => {
    expect(ask(setUp().deps, { ...CONTROL, route: 1 })).rejects.toThrow("no route 1");
  });
});
