import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { bearerOf, claimAt, type ClaimSettings } from "./token-claims.ts";
import type { Role } from "./principal.ts";

const SETTINGS: ClaimSettings = { nameClaim: "sub", roleClaim: "roles", roleMapping: new Map(), modelsClaim: "models" };
const rolesOf = (roles: unknown, roleMapping: ReadonlyMap<string, Role> = new Map()): readonly Role[] =>
  bearerOf({ sub: "a", exp: 1, roles }, { ...SETTINGS, roleMapping }).principal.roles;

test("a token's claims say who its bearer is, and until when", () => {
  expect(bearerOf({ sub: "ann", exp: 100, roles: "viewer", models: ["llama-*"] }, SETTINGS)).toEqual({
    expiresAt: 100_000,
    rowVersion: 0,
    principal: {
      name: "ann",
      isBearer: true,
      roles: ["viewer"],
      priority: "normal",
      models: ["llama-*"],
      limits: undefined,
      row: -1,
    },
  });
});

test("roles are a list or words of a text, under the issuer's names where these are given", () => {
  expect([rolesOf("client admin"), rolesOf(["operator"]), rolesOf(undefined), rolesOf(["boss"]), rolesOf(7)]).toEqual([
    ["client", "admin"],
    ["operator"],
    ["client"],
    ["client"],
    ["client"],
  ]);
  const mapping = new Map<string, Role>([
    ["platform", "admin"],
    ["dev", "client"],
  ]);
  expect([rolesOf(["platform", "dev"], mapping), rolesOf(["admin"], mapping), rolesOf(undefined, mapping)]).toEqual([
    ["client", "admin"],
    [],
    [],
  ]);
});

test("models are a list or words of a text; none at all are none, and no claim is all", () => {
  const modelsOf = (models: unknown): unknown => bearerOf({ sub: "a", exp: 1, models }, SETTINGS).principal.models;
  expect([modelsOf("a  b-*"), modelsOf(["a", "b c"]), modelsOf(""), modelsOf([]), modelsOf(undefined)]).toEqual([
    ["a", "b-*"],
    ["a", "b c"],
    [],
    [],
    undefined,
  ]);
});

describe("the claim of a name", () => {
  const roles = ["admin"];

  test("is found as issuers write it: by its name, with colons, slashes and dots in it, and within others", () => {
    const tokens: readonly (readonly [issuer: string, claims: Record<string, unknown>, name: string])[] = [
      ["Entra ID", { roles }, "roles"],
      ["Cognito", { "cognito:groups": roles }, "cognito:groups"],
      ["Auth0", { "https://example.com/roles": roles }, "https://example.com/roles"],
      ["Keycloak's realm", { realm_access: { roles } }, "realm_access.roles"],
      ["Keycloak's client", { resource_access: { gateway: { roles } } }, "resource_access.gateway.roles"],
      ["a client with dots", { resource_access: { "my.client.v2": { roles } } }, "resource_access.my.client.v2.roles"],
      ["an address within", { "https://a.b/x": { roles } }, "https://a.b/x.roles"],
    ];
    for (const [issuer, claims, name] of tokens) expect([issuer, claimAt(claims, name)]).toEqual([issuer, roles]);
  });

  test("is the one of the whole name before any way, and the longest name of a way that has it", () => {
    expect(claimAt({ "a.b": 1, a: { b: 2 } }, "a.b")).toBe(1);
    expect(claimAt({ "a.b": { c: 1 }, a: { b: { c: 2 } } }, "a.b.c")).toBe(1);
    expect(claimAt({ "a.b": { d: 1 }, a: { b: { c: 2 } } }, "a.b.c")).toBe(2);
  });

  test("is none where the way ends early, leads into a list or a text, or to what every object has", () => {
    for (const [claims, name] of [
      [{ a: { c: 1 } }, "a.b"],
      [{ a: ["b"] }, "a.0"],
      [{ a: "text" }, "a.length"],
      [{ a: null }, "a.b"],
      [{}, "constructor.name"],
      [{ a: {} }, "a.toString"],
      [{ a: { "": 1 } }, "b."],
      [{ "": { a: 1 } }, ".a"],
    ] as const) {
      expect([name, claimAt(claims, name)]).toEqual([name, undefined]);
    }
  });

  test("is found wherever it is put, whatever the names on the way are", () => {
    const name = fc.stringMatching(/^[a-c.:/]{1,6}$/);
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 5 }), (names) => {
        const claims = names.reduceRight<unknown>((inner, one) => ({ [one]: inner }), roles);
        const way = names.join(".");
        // A name that begins or ends with a dot may hide where one ends.
        fc.pre(names.every((one) => !one.startsWith(".") && !one.endsWith(".")));
        expect(claimAt(claims as Record<string, unknown>, way)).toEqual(roles);
      }),
    );
  });
});

test("roles within another claim are taken, under the issuer's names", () => {
  const settings = {
    ...SETTINGS,
    roleClaim: "realm_access.roles",
    roleMapping: new Map([["platform", "admin"]] as const),
  };
  const rolesIn = (realm_access: unknown): unknown =>
    bearerOf({ sub: "a", exp: 1, realm_access }, settings).principal.roles;
  expect([rolesIn({ roles: ["offline_access", "platform"] }), rolesIn({ roles: "platform x" })]).toEqual([
    ["admin"],
    ["admin"],
  ]);
  expect([rolesIn({}), rolesIn("roles"), rolesIn(undefined)]).toEqual([[], [], []]);
});

test("a token whose claims have another form is refused, and opens nothing by mistake", () => {
  for (const claims of [
    { exp: 1 },
    { sub: 7, exp: 1 },
    { sub: "a\nb", exp: 1 },
    { sub: "a" },
    { sub: "a", exp: 1, models: { m: true } },
    { sub: "a", exp: 1, models: [""] },
  ]) {
    expect(() => bearerOf(claims, SETTINGS)).toThrow(expect.objectContaining({ code: "invalid_api_key" }));
  }
});
