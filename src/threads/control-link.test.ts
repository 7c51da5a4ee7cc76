import { describe, expect, test } from "bun:test";
import { LeaveController } from "../util/leave-signal.ts";
import { ControlLink } from "./control-link.ts";
import type { FromThread } from "./messages.ts";

const ENTRY = { client: "everybody", priority: "normal", patienceMs: Number.POSITIVE_INFINITY } as const;

function setUp(hasGateway = true): { readonly link: ControlLink; readonly said: FromThread[] } {
  const said: FromThread[] = [];
  const link = new ControlLink((message) => said.push(message), { hasGateway, hasModel: false });
  return { link, said };
}

describe("a thread's way to the control thread", () => {
  test("where there is no limit nobody is asked", async () => {
    const { link, said } = setUp(false);
    (await link.enter(ENTRY, new LeaveController())).release();
    expect(said).toEqual([]);
  });

  test("who would be refused is asked beforehand, and nothing is given back for the answer", async () => {
    expect(setUp(false).link.foresee(ENTRY, new LeaveController())).toBeUndefined();
    const { link, said } = setUp();
    const seen = link.foresee(ENTRY, new LeaveController());
    link.onReply({ type: "reply", id: 0, value: {} });
    await seen;
    const refused = Promise.resolve(link.foresee(ENTRY, new LeaveController())).catch((error: unknown) => error);
    const error = { code: "queue_full", message: "full", details: {} } as const;
    link.onReply({ type: "refusal", id: 1, error });
    expect(await refused).toMatchObject({ code: "queue_full" });
    expect(said.map((message) => message.type)).toEqual(["call", "call"]);
  });

  test("workers that requests found down are named to the control thread, and nothing is waited for", () => {
    const { link, said } = setUp();
    link.wanted(["one", "two"]);
    expect(said).toEqual([{ type: "wanted", workers: ["one", "two"] }]);
  });

  test("a place is given back once", async () => {
    const { link, said } = setUp();
    const entering = link.enter(ENTRY, new LeaveController());
    link.onReply({ type: "reply", id: 0, value: undefined });
    const permit = await entering;
    permit.release();
    permit.release();
    expect(said.map(({ type }) => type)).toEqual(["call", "release"]);
  });

  test("a client that leaves before the answer gives back the question or the place, whichever there is by then", async () => {
    const { link, said } = setUp();
    const client = new LeaveController();
    const entering = Promise.resolve(link.enter(ENTRY, client)).catch((error: unknown) => error);
    client.leave("gone");
    // The grant was already on its way.
    link.onReply({ type: "reply", id: 0, value: undefined });
    expect(await entering).toMatchObject({ code: "client_closed" });
    expect(said.slice(1)).toEqual([{ type: "release", id: 0 }]);
  });

  test("a client that leaves in the turn of the answer has the place, which its request then gives back", async () => {
    const { link, said } = setUp();
    const client = new LeaveController();
    const entering = link.enter(ENTRY, client);
    link.onReply({ type: "reply", id: 0, value: undefined });
    client.leave("gone");
    (await entering).release();
    expect(said.slice(1)).toEqual([{ type: "release", id: 0 }]);
  });

  test("a client that has left asks nothing", async () => {
    const { link, said } = setUp();
    const client = new LeaveController();
    client.leave("gone");
    expect(await Promise.resolve(link.enter(ENTRY, client)).catch((error: unknown) => error)).toMatchObject({
      code: "client_closed",
    });
    expect(said).toEqual([]);
  });

  test("at the end whoever waits is told that the gateway stops", async () => {
    const { link } = setUp();
    const entering = Promise.resolve(link.enter(ENTRY, new LeaveController())).catch((error: unknown) => error);
    link.close();
    expect(await entering).toMatchObject({ code: "server_shutting_down" });
  });
});
