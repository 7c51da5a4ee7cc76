import { expect, test } from "bun:test";
import { bearerOf, type ClaimSettings } from "./token-claims.ts";
import type { Role } from "./principal.ts";

const SETTINGS: ClaimSettings = { nameClaim: "sub", roleClaim: "roles", roleMapping: new Map(), modelsClaim: "models" };
const rolesOf = (roles: unknown, roleMapping: ReadonlyMap<string, Role> = new Map()): readonly Role[] =>
  bearerOf({ sub: "a", exp: 1, roles }, { ...SETTINGS, roleMapping }).principal.roles;

test("a token's claims say who its bearer is, and until when", () => {
  expect(bearerOf({ sub: "ann", exp: 100, roles: "viewer", models: ["llama-*"] }, SETTINGS)).toEqual({
    expiresAt: 100_000,
    principal: { name: "ann", roles: ["viewer"], priority: "normal", models: ["llama-*"], limits: undefined, row: -1 },
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

test("a token whose claims have another form is refused, and opens nothing by mistake", () => {
  for (const claims of [
    { exp: 1 },
    { sub: 7, exp: 1 },
    { sub: "a\nb", exp: 1 },
    { sub: "a" },
    { sub: "a", exp: 1, models: "m" },
    { sub: "a", exp: 1, models: [""] },
  ]) {
    expect(() => bearerOf(claims, SETTINGS)).toThrow(expect.objectContaining({ code: "invalid_api_key" }));
  }
});
