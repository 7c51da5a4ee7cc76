import { expect, test } from "bun:test";
import { join } from "node:path";
import { ROUTE_TEXTS } from "../../scripts/openapi.ts";
import { pages } from "../../scripts/generate-docs.ts";
import { POLICY_NAMES } from "../../src/policy/policy-names.ts";
import { ERRORS } from "../../src/errors/errors.ts";
import { ENDPOINTS, PARSE_ENDPOINTS } from "../../src/protocol/endpoints.ts";
import { SESSION_HEADERS } from "../../src/util/session-headers.ts";

const root = join(import.meta.dir, "../..");

for (const [path, text] of Object.entries(pages())) {
  test(`${path} says what its table says (npm run generate)`, async () => {
    expect(await Bun.file(join(root, path)).text()).toBe(text);
  });
}

test("the policies' page names each of them, and the headers of the routing key", async () => {
  const page = await Bun.file(join(root, "docs/policies.md")).text();
  for (const name of [...POLICY_NAMES, ...SESSION_HEADERS]) expect(page).toContain(`\`${name}\``);
});

test("the page on a request's life has every error of its way, and none that there is not", async () => {
  const page = await Bun.file(join(root, "docs/request-lifecycle.md")).text();
  const steps = page.slice(page.indexOf("| step |"), page.indexOf("\n\n", page.indexOf("| step |")));
  const named = steps
    .split("\n")
    .slice(2)
    .flatMap((line) => [...(line.split("|")[4] ?? "").matchAll(/`(\w+)`/g)].map(([, code]) => code ?? ""));
  const ofAdministration = [
    "forbidden",
    "tokenizer_not_found",
    "worker_not_found",
    "worker_exists",
    "key_not_found",
    "key_exists",
    "key_is_fixed",
    "no_key_store",
    "key_store_failed",
    "too_many_keys",
    "config_needs_restart",
    "config_version_mismatch",
    "config_not_applied",
  ];
  expect([...new Set(named), ...ofAdministration].sort()).toEqual(Object.keys(ERRORS).sort());
});

test("the routes' page names every inference route", async () => {
  const page = await Bun.file(join(root, "docs/routes.md")).text();
  for (const { path } of ENDPOINTS) expect(page).toContain(`\`${path}\``);
});

test("the page on security names every route that takes no key, and every one beside inference that a client's key opens", async () => {
  const page = await Bun.file(join(root, "docs/security.md")).text();
  const rows = page
    .slice(page.indexOf("| routes | port |"))
    .split("\n")
    .slice(2, 4)
    .map((row) => Array.from((row.split(" | ")[0] ?? "").matchAll(/`([^`]+)`/g), ([, route = ""]) => route).sort());
  const withAccess = (wanted: string): string[] =>
    Object.entries(ROUTE_TEXTS)
      .filter(([, { access }]) => access === wanted)
      .map(([route]) => route.replace("/*", "/{id}").replaceAll(/:(\w+)/g, "{$1}"))
      .sort();
  // Of the routes that are rows of endpoints, those that the gateway answers itself.
  const own = [...PARSE_ENDPOINTS.map(({ path }) => path), "/v1/tokenize", "/v1/detokenize"].map(
    (path) => `POST ${path}`,
  );
  expect(rows).toEqual([[...withAccess("serving"), ...own].sort(), withAccess("public")]);
});
