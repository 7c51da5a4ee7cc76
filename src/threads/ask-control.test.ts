import { describe, expect, test } from "bun:test";
import { ForwardedRequest } from "../transport/forwarded-request.ts";
import { LeaveController } from "../util/leave-signal.ts";
import { authOf, fixed, keyNamed } from "../../test/support/keys.ts";
import { turn } from "../../test/support/fake-threads.ts";
import { askControl } from "./ask-control.ts";
import { ControlLink } from "./control-link.ts";
import type { ControlRoute, FromThread } from "./messages.ts";

const ROUTE = { method: "POST", path: "/workers", access: "admin", maxBodyBytes: 100, index: 3 } as const;

function setUp(): {
  readonly link: ControlLink;
  readonly said: FromThread[];
  ask(
    headers?: Record<string, string>,
    route?: ControlRoute & { readonly index: number },
    client?: LeaveController,
  ): ReturnType<typeof askControl>;
} {
  const said: FromThread[] = [];
  const link = new ControlLink((message) => said.push(message), { hasGateway: false, hasModel: false });
  const auth = authOf(fixed([keyNamed("right", { roles: ["admin"] })]));
  return {
    link,
    said,
    ask(headers = {}, route = ROUTE, client = new LeaveController()) {
      const body = Buffer.from('{"url":"http://w:1"}');
      const told = { method: "POST", path: "/workers", query: "", peerAddress: "127.0.0.1", body };
      const request = new ForwardedRequest(
        { ...told, headers: Object.entries({ host: "localhost", "content-type": "application/json", ...headers }) },
        client,
      );
      return askControl({ link, auth }, route, { request, params: {}, requestId: "r-1" });
    },
  };
}

describe("a request that the control thread answers", () => {
  test("is passed on with its body, and answered with the reply", async () => {
    const { link, said, ask } = setUp();
    const asking = ask({ authorization: "Bearer right" });
    await turn();
    expect(said).toMatchObject([{ type: "call", id: 0, call: { what: "control", route: 3, requestId: "r-1" } }]);
    link.onReply({ type: "reply", id: 0, value: { status: 202, headers: {}, body: "{}" } });
    expect(await asking).toEqual({ status: 202, headers: {}, body: "{}" });
  });

  test("is refused on the thread where the key is missing or wrong, and nobody is asked", async () => {
    const { said, ask } = setUp();
    const [missing, wrong] = [await ask(), await ask({ authorization: "Bearer wrong" })];
    expect([missing.status, wrong.status, said.length]).toEqual([401, 401, 0]);
  });

  test("with a body that is too large is refused on the thread", async () => {
    const { said, ask } = setUp();
    const { status } = await ask({ authorization: "Bearer right" }, { ...ROUTE, maxBodyBytes: 3 });
    expect([status, said.length]).toEqual([413, 0]);
  });

  test("has no body where the route reads none", async () => {
    const { link, said, ask } = setUp();
    const asking = ask({ authorization: "Bearer right" }, { ...ROUTE, maxBodyBytes: undefined });
    await turn();
    expect(said).toMatchObject([{ call: { body: undefined } }]);
    link.onReply({ type: "reply", id: 0, value: { status: 200, headers: {}, body: "" } });
    await asking;
  });

  test("that the control thread refuses is answered with its error", async () => {
    const { link, ask } = setUp();
    const asking = ask({ authorization: "Bearer right" });
    await turn();
    const error = { code: "worker_exists", message: "it is there", details: {} } as const;
    link.onReply({ type: "refusal", id: 0, error });
    expect(await asking).toMatchObject({ status: 409, body: expect.stringContaining("it is there") });
  });

  test("whose client leaves is withdrawn", async () => {
    const { said, ask } = setUp();
    const client = new LeaveController();
    const asking = ask({ authorization: "Bearer right" }, ROUTE, client);
    await turn();
    client.leave("gone");
    expect((await asking).status).toBe(499);
    expect(said.at(-1)).toEqual({ type: "release", id: 0 });
  });
});
