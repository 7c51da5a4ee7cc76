import { describe, expect, test } from "bun:test";
import { GatewayError } from "../errors/errors.ts";
import { RequestHeaders } from "../transport/downstream.ts";
import { Secret } from "../util/secret.ts";
import { type AdminAccess, type Auth, createAuth, type Caller } from "./auth.ts";

const tenant = (name: string) =>
  ({ name, priority: "normal", maxConcurrent: 1, requestsPerMinute: 1, key: new Secret(name) }) as const;

function authWith(admin: AdminAccess, names: readonly string[] = ["team-a", "team-b"]): Auth {
  return createAuth({ keys: names.map(tenant), admin, hosts: ["gateway.example"] });
}

function caller(fields: Record<string, string>, peerAddress = "127.0.0.1"): Caller {
  return { headers: new RequestHeaders(new Map(Object.entries({ host: "localhost:1", ...fields }))), peerAddress };
}

/** `ok`, or the code and message of the refusal. */
function outcome(ask: () => unknown): string {
  try {
    ask();
    return "ok";
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return `${error.code}: ${error.message}`;
  }
}

const bearer = (key: string): Record<string, string> => ({ authorization: new Secret(key).bearer() });
const ELSEWHERE = "10.0.0.7";

describe("serving", () => {
  const auth = authWith({ by: "nobody" });
  const who = (fields: Record<string, string>): string => {
    try {
      return auth.serving(caller(fields)).name;
    } catch {
      return "refused";
    }
  };
  test("a key is taken as Bearer, x-api-key or api-key", () => {
    expect([bearer("team-a"), { "x-api-key": "team-b" }, { "api-key": "team-a" }].map(who)).toEqual([
      "team-a",
      "team-b",
      "team-a",
    ]);
  });

  test("beside a credential of another service the known key counts; two known that differ are none", () => {
    expect(who({ ...bearer("session-of-another"), "x-api-key": "team-a" })).toBe("team-a");
    expect(who({ ...bearer("team-a"), "x-api-key": "session-of-another" })).toBe("team-a");
    expect(who({ authorization: "Basic dXNlcg==", "api-key": "team-a" })).toBe("team-a");
    expect(who({ ...bearer("team-a"), "x-api-key": "team-a" })).toBe("team-a");
    expect(who({ ...bearer("team-a"), "x-api-key": "team-b" })).toBe("refused");
    expect(who({ ...bearer("one"), "x-api-key": "two" })).toBe("refused");
    expect(who({})).toBe("refused");
  });
});

describe("the administration", () => {
  const ask = (admin: AdminAccess, given: Caller, names?: readonly string[]): string =>
    outcome(() => authWith(admin, names).admin(given));

  test("with an admin key that key opens it, from anywhere, and no other does", () => {
    const admin: AdminAccess = { by: "admin_key", key: new Secret("admin") };
    expect(ask(admin, caller({ ...bearer("admin"), "x-forwarded-for": "1.2.3.4" }, ELSEWHERE))).toBe("ok");
    expect(ask(admin, caller({ ...bearer("admin"), "x-api-key": "foreign" }))).toBe("ok");
    expect(ask(admin, caller({ ...bearer("admin"), "x-api-key": "team-a" }))).toStartWith("invalid_api_key");
    expect(ask(admin, caller(bearer("team-a")))).toMatch(/^forbidden: .*`admin_api_key`/);
    expect(ask(admin, caller({}))).toMatch(/^invalid_api_key: .*`admin_api_key`/);
  });

  test("without one the api_key opens it from this machine only, and keys of clients do not", () => {
    const admin: AdminAccess = { by: "api_key", key: new Secret("team-a") };
    expect(ask(admin, caller(bearer("team-a")))).toBe("ok");
    expect(ask(admin, caller(bearer("team-a"), "::ffff:127.0.0.1"))).toBe("ok");
    expect(ask(admin, caller(bearer("team-a"), ELSEWHERE))).toMatch(/^forbidden: .*this machine only.*`admin_api_key`/);
    expect(ask(admin, caller({ ...bearer("team-a"), forwarded: "for=1.2.3.4" }))).toStartWith("forbidden");
    expect(ask(admin, caller(bearer("team-b")))).toMatch(/^forbidden: .*`admin_api_key`/);
    expect(ask(admin, caller({}))).toMatch(/^invalid_api_key: .*`api_key`.*`admin_api_key`/);
  });

  test("with keys of clients only, nobody opens it, and the refusal names the option", () => {
    expect(ask({ by: "nobody" }, caller(bearer("team-a")))).toMatch(/^forbidden: .*`admin_api_key`/);
    expect(ask({ by: "nobody" }, caller({}))).toMatch(/^invalid_api_key: .*`admin_api_key`/);
  });

  test("without any key whoever is on this machine opens it", () => {
    expect(ask({ by: "this_machine" }, caller({}), [])).toBe("ok");
    expect(ask({ by: "this_machine" }, caller({}, ELSEWHERE), [])).toMatch(/^forbidden: .*`admin_api_key`/);
  });
});

describe("a receipt", () => {
  const KEY = { by: "admin_key", key: new Secret("admin") } as const;

  test("is for who has the admin key in the header of its own, beside the client's key", () => {
    const ask = (fields: Record<string, string>): string =>
      outcome(() => authWith(KEY).receipt(caller({ ...bearer("team-a"), ...fields }, ELSEWHERE)));
    expect(ask({ "x-pointsman-admin-key": "admin" })).toBe("ok");
    expect(ask({})).toStartWith("invalid_api_key: a receipt is the administration's: send");
    expect(ask({ "x-pointsman-admin-key": "team-a" })).toStartWith("invalid_api_key");
  });

  test("is not for the admin key in the place of the client's", () => {
    expect(outcome(() => authWith(KEY).receipt(caller(bearer("admin"))))).toStartWith("invalid_api_key");
  });

  test("is for who may administrate where there is no admin key", () => {
    const open = authWith({ by: "this_machine" }, []);
    expect(outcome(() => open.receipt(caller({})))).toBe("ok");
    expect(outcome(() => open.receipt(caller({}, ELSEWHERE)))).toStartWith("forbidden");
    expect(outcome(() => authWith({ by: "nobody" }).receipt(caller(bearer("team-a"))))).toStartWith("forbidden");
  });

  test("is not on the serving port where the administration has its own, unless there is an admin key", () => {
    const apart = (admin: AdminAccess): Auth => createAuth({ keys: [], admin, hosts: [], hasAdminPort: true });
    expect(outcome(() => apart({ by: "this_machine" }).receipt(caller({})))).toStartWith("forbidden: a receipt");
    expect(outcome(() => apart(KEY).receipt(caller({ "x-pointsman-admin-key": "admin" })))).toBe("ok");
  });
});
