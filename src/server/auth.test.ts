import { describe, expect, test } from "bun:test";
import { GatewayError } from "../errors/errors.ts";
import { RequestHeaders } from "../transport/downstream.ts";
import { FailureBound } from "../keys/failure-bound.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { EVERYBODY, type Principal, THIS_MACHINE } from "../keys/principal.ts";
import { authOf, fixed, keyNamed } from "../../test/support/keys.ts";
import type { LocalAdmin } from "../keys/key-memory.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import { Secret } from "../util/secret.ts";
import type { Auth, AuthDeps, Caller, TokenVerifier } from "./auth.ts";

const CLIENTS = [keyNamed("team-a"), keyNamed("team-b")];
const ADMIN = keyNamed("admin", { roles: ["admin"] });

/** `api_key`: it is the first of the keys. */
function authWith(localAdmin: LocalAdmin, records: readonly KeyRecord[] = CLIENTS, said: Partial<AuthDeps> = {}): Auth {
  const keys = fixed(records, { localAdmin });
  const marked = keys.keys.map((key, index) => ({ ...key, isLocalAdmin: localAdmin === "api_key" && index === 0 }));
  return authOf({ ...keys, keys: marked }, { hosts: ["gateway.example"], ...said });
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

const nameOf = (found: Principal | Promise<Principal>): string => (found instanceof Promise ? "a promise" : found.name);

const bearer = (key: string): Record<string, string> => ({ authorization: new Secret(key).bearer() });
const ELSEWHERE = "10.0.0.7";

describe("serving", () => {
  const auth = authWith("nobody");
  const who = (fields: Record<string, string>): string => {
    try {
      return nameOf(auth.serving(caller(fields)));
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
  const ask = (localAdmin: LocalAdmin, given: Caller, records?: readonly KeyRecord[]): string =>
    outcome(() => authWith(localAdmin, records).admin(given, "admin"));

  test("with an admin key that key opens it, from anywhere, and no other does", () => {
    const keys = [...CLIENTS, ADMIN];
    expect(ask("nobody", caller({ ...bearer("admin"), "x-forwarded-for": "1.2.3.4" }, ELSEWHERE), keys)).toBe("ok");
    expect(ask("nobody", caller({ ...bearer("admin"), "x-api-key": "foreign" }), keys)).toBe("ok");
    expect(ask("nobody", caller({ ...bearer("admin"), "x-api-key": "team-a" }), keys)).toStartWith("invalid_api_key");
    expect(ask("nobody", caller(bearer("team-a")), keys)).toMatch(/^forbidden: .*`admin_api_key`/);
    expect(ask("nobody", caller({}), keys)).toMatch(/^invalid_api_key: .*`admin_api_key`/);
  });

  test("without one the api_key opens it from this machine only, and keys of clients do not", () => {
    expect(ask("api_key", caller(bearer("team-a")))).toBe("ok");
    expect(ask("api_key", caller(bearer("team-a"), "::ffff:127.0.0.1"))).toBe("ok");
    expect(ask("api_key", caller(bearer("team-a"), ELSEWHERE))).toMatch(
      /^forbidden: .*this machine only.*`admin_api_key`/,
    );
    expect(ask("api_key", caller({ ...bearer("team-a"), forwarded: "for=1.2.3.4" }))).toStartWith("forbidden");
    expect(ask("api_key", caller(bearer("team-b")))).toMatch(/^forbidden: .*`admin_api_key`/);
    expect(ask("api_key", caller({}))).toMatch(/^invalid_api_key: .*`api_key`.*`admin_api_key`/);
  });

  test("with keys of clients only, nobody opens it, and the refusal names the option", () => {
    expect(ask("nobody", caller(bearer("team-a")))).toMatch(/^forbidden: .*`admin_api_key`/);
    expect(ask("nobody", caller({}))).toMatch(/^invalid_api_key: .*`admin_api_key`/);
  });

  test("without any key whoever is on this machine opens it", () => {
    expect(ask("this_machine", caller({}), [])).toBe("ok");
    expect(ask("this_machine", caller({}, ELSEWHERE), [])).toMatch(/^forbidden: .*`admin_api_key`/);
  });

  test("is open as far as the role of the key goes", () => {
    const roles = ["viewer", "operator", "admin"] as const;
    const auth = authWith("nobody", [...roles.map((role) => keyNamed(role, { roles: ["client", role] })), ...CLIENTS]);
    const opened = [...roles, "team-a"].map((key) =>
      roles.filter((needed) => outcome(() => auth.admin(caller(bearer(key), ELSEWHERE), needed)) === "ok"),
    );
    expect(opened).toEqual([["viewer"], ["viewer", "operator"], ["viewer", "operator", "admin"], []]);
    expect(outcome(() => auth.admin(caller(bearer("viewer")), "operator"))).toContain("the role `operator`");
  });

  test("is told who opens it", () => {
    const auth = authWith("this_machine", [ADMIN]);
    const who = (given: Caller): string => nameOf(auth.admin(given, "operator"));
    expect([who(caller(bearer("admin"), ELSEWHERE)), who(caller({}))]).toEqual(["admin", THIS_MACHINE.name]);
  });
});

describe("a key that is valid no more", () => {
  test("is refused, and the caller is told that it has expired", () => {
    const auth = authWith("nobody", [keyNamed("old", { expiresAt: 1, roles: ["client", "admin"] })]);
    expect(outcome(() => auth.serving(caller(bearer("old"))))).toBe("invalid_api_key: the API key has expired");
    expect(outcome(() => auth.admin(caller(bearer("old")), "viewer"))).toBe("invalid_api_key: the API key has expired");
  });
});

describe("an address with many wrong keys", () => {
  test("is told so in short, and its right keys are taken all the while", () => {
    const auth = authWith("nobody", CLIENTS, { failures: new FailureBound(2, new ManualClock()) });
    const wrong = (from?: string): string => outcome(() => auth.serving(caller(bearer("guess"), from)));
    expect([wrong(), wrong(), wrong()].map((told) => told.split(":")[0])).toEqual([
      "invalid_api_key",
      "invalid_api_key",
      "too_many_wrong_keys",
    ]);
    expect(nameOf(auth.serving(caller(bearer("team-a"))))).toBe("team-a");
    expect(wrong(ELSEWHERE)).toStartWith("invalid_api_key");
  });
});

describe("one wrong key too many is told by the head alone", () => {
  const clock = new ManualClock();
  const flooded = (said: Partial<AuthDeps> = {}): Auth => {
    const keys = [...CLIENTS, ADMIN, keyNamed("old", { expiresAt: 1 })];
    const auth = authWith("nobody", keys, { failures: new FailureBound(1, clock), ...said });
    for (let count = 0; count < 2; count += 1) outcome(() => auth.serving(caller(bearer("guess"))));
    return auth;
  };
  const isOneTooMany = (auth: Auth, fields: Record<string, string>, from?: string): boolean => {
    const { headers, peerAddress } = caller(fields, from);
    return auth.isOneTooMany(headers, { peerAddress });
  };

  test("where it is wrong, not there or valid no more", () => {
    const auth = flooded();
    expect(auth.isFlooded).toBe(true);
    const fields = [
      bearer("guess"),
      { "x-api-key": "guess" },
      {},
      bearer("old"),
      { ...bearer("team-a"), "api-key": "team-b" },
    ];
    expect(fields.map((given) => isOneTooMany(auth, given))).toEqual([true, true, true, true, true]);
  });

  test("and not where it is right, where its address has sent few, or where another answer is due", () => {
    const auth = flooded();
    expect(isOneTooMany(auth, bearer("team-a"))).toBe(false);
    expect(isOneTooMany(auth, { ...bearer("guess"), "x-api-key": "team-a" })).toBe(false);
    expect(isOneTooMany(auth, bearer("guess"), ELSEWHERE)).toBe(false);
    // A known key that is no client's is told so.
    expect(isOneTooMany(auth, bearer("admin"))).toBe(false);
  });

  test("and not before a token was verified; once it is known to be wrong, it counts as a wrong key", () => {
    const wrong = new GatewayError("invalid_api_key", "the token has expired");
    const answers: Record<string, ReturnType<TokenVerifier["verify"]>> = {
      new: Promise.resolve(EVERYBODY),
      right: EVERYBODY,
      wrong,
    };
    const failures = new FailureBound(3, clock);
    const auth = flooded({ failures, tokens: { verify: (token) => answers[token] } });
    expect(outcome(() => auth.serving(caller(bearer("wrong"))))).toBe("invalid_api_key: the token has expired");
    const seen = (): boolean[] => ["new", "right", "wrong", "none"].map((token) => isOneTooMany(auth, bearer(token)));
    expect(seen()).toEqual([false, false, true, true]);
    expect(outcome(() => auth.serving(caller(bearer("wrong"))))).toStartWith("too_many_wrong_keys");
  });

  test("and a token that nobody knows yet is one where too many wait to be verified", () => {
    const failures = new FailureBound(1, new ManualClock());
    const verify = (_: string, mayVerify: () => boolean): GatewayError | Promise<Principal> =>
      mayVerify() ? Promise.resolve(EVERYBODY) : new GatewayError("invalid_api_key", "not now");
    const auth = flooded({ failures, tokens: { verify } });
    failures.isBeyond("127.0.0.1");
    const seen = Array.from({ length: 3 }, () => isOneTooMany(auth, bearer("new")));
    expect(seen).toEqual([false, true, true]);
    expect(isOneTooMany(auth, bearer("new"), ELSEWHERE)).toBe(false);
  });

  test("and not where callers need no key", () => {
    expect(isOneTooMany(authWith("this_machine", []), {})).toBe(false);
  });
});

describe("a receipt", () => {
  const keys = [...CLIENTS, ADMIN, keyNamed("viewer", { roles: ["viewer"] })];

  test("is for who has a key for the administration in the header of its own, beside the client's key", () => {
    const ask = (fields: Record<string, string>): string =>
      outcome(() => authWith("nobody", keys).receipt(caller({ ...bearer("team-a"), ...fields }, ELSEWHERE)));
    expect(ask({ "x-pointsman-admin-key": "admin" })).toBe("ok");
    expect(ask({ "x-pointsman-admin-key": "viewer" })).toBe("ok");
    expect(ask({})).toStartWith("invalid_api_key: a receipt is the administration's: send");
    expect(ask({ "x-pointsman-admin-key": "team-a" })).toStartWith("invalid_api_key");
  });

  test("is not for the admin key in the place of the client's", () => {
    expect(outcome(() => authWith("nobody", keys).receipt(caller(bearer("admin"))))).toStartWith("invalid_api_key");
  });

  test("is for who may administrate where there is no admin key", () => {
    const open = authWith("this_machine", []);
    expect(outcome(() => open.receipt(caller({})))).toBe("ok");
    expect(outcome(() => open.receipt(caller({}, ELSEWHERE)))).toStartWith("forbidden");
    expect(outcome(() => authWith("nobody").receipt(caller(bearer("team-a"))))).toStartWith("invalid_api_key");
  });

  test("is not on the serving port where the administration has its own, unless there is an admin key", () => {
    const apart = (localAdmin: LocalAdmin, records: readonly KeyRecord[] = []): Auth =>
      authWith(localAdmin, records, { hasAdminPort: true });
    expect(outcome(() => apart("this_machine").receipt(caller({})))).toStartWith("forbidden: a receipt");
    expect(outcome(() => apart("nobody", keys).receipt(caller({ "x-pointsman-admin-key": "admin" })))).toBe("ok");
  });
});
