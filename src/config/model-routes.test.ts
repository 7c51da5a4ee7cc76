import { expect, test } from "bun:test";
import { ConfigError } from "./config-error.ts";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig, NO_FLAGS } from "./load.ts";
import { readAlias } from "./model-routes.ts";
import type { Config } from "./schema.ts";

const path = join(mkdtempSync(join(tmpdir(), "pointsman-routes-")), "config.yaml");

function load(yaml: string, aliases?: readonly string[]): Config {
  writeFileSync(path, yaml);
  const values = new Map(aliases ? [["modelAliases", aliases] as const] : []);
  return loadConfig({ file: path, env: {}, flags: { ...NO_FLAGS, values } }).config;
}

function refusal(yaml: string, aliases?: readonly string[]): string {
  try {
    load(yaml, aliases);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.replace(`${path}:`, "");
    throw error;
  }
  return "";
}

test("a route has targets in short or in full, fallbacks and whether it is listed", () => {
  const { modelRoutes } = load(`
model_routes:
  - model: gpt-4
    targets:
      - llama-70b
      - {model: llama-next, canary_percent: 5, match: {header: X-Canary, value: "yes"}}
    fallbacks: [llama-8b]
    listed: false`);
  expect(modelRoutes).toEqual([
    {
      model: "gpt-4",
      targets: [
        { model: "llama-70b" },
        { model: "llama-next", canaryPercent: 5, match: { header: "x-canary", value: "yes" } },
      ],
      fallbacks: ["llama-8b"],
      listed: false,
    },
  ]);
});

test("percentages that are 100 together are, whatever their fractions add up to", () => {
  for (const [one, other] of [
    [0.1, 64.6],
    [33.1, 33.2],
    [12.7, 0.3],
  ]) {
    const rest = Math.round(1000 - 10 * Number(one) - 10 * Number(other)) / 10;
    const targets = [one, other, rest].map((percent, index) => `{model: m${index}, canary_percent: ${percent}}`);
    expect(load(`model_routes: [{model: gpt-4, targets: [${targets.join(", ")}]}]`).modelRoutes).toHaveLength(1);
  }
});

test("an alias is NAME=MODEL; with a colon it is production-stack's, where no = stands in it", () => {
  expect(readAlias("gpt-4=llama:8b")).toEqual({ model: "gpt-4", target: "llama:8b" });
  expect(readAlias("gpt-4:llama")).toEqual({ model: "gpt-4", target: "llama" });
  for (const wrong of ["gpt-4", "=llama", "gpt-4=", ":"]) expect(readAlias(wrong)).toBeUndefined();
  expect(load("", ["gpt-4=llama,gpt-3=llama", "x=y"]).modelAliases).toEqual(["gpt-4=llama", "gpt-3=llama", "x=y"]);
});

const ROUTE = "model_routes:\n  - model: gpt-4\n";

const REFUSED: readonly (readonly [why: string, yaml: string, message: string])[] = [
  ["no targets", `${ROUTE}    targets: []`, "targets must be"],
  ["weights of 0", `${ROUTE}    targets: [{model: a, weight: 0}, {model: b, weight: 0}]`, "all weights of the route"],
  [
    "canaries of more than all requests",
    `${ROUTE}    targets: [{model: a, canary_percent: 60}, {model: b, canary_percent: 50}]`,
    'the canary_percent of the route "gpt-4" are 110 together',
  ],
  [
    "requests without a target",
    `${ROUTE}    targets: [{model: a, canary_percent: 60}, {model: b, weight: 0}]`,
    '40 % of the route "gpt-4" would have no target',
  ],
  [
    "targets that all have a match",
    `${ROUTE}    targets: [{model: a, match: {header: x-a}}]`,
    'every target of the route "gpt-4" has a match',
  ],
  ["a match of nothing", `${ROUTE}    targets: [a, {model: b, match: {}}]`, "must have header, routing_key or api_key"],
  ["a value without a header", `${ROUTE}    targets: [a, {model: b, match: {value: x, api_key: y}}]`, "has a value"],
  [
    "both weight and canary_percent",
    `${ROUTE}    targets: [a, {model: b, weight: 1, canary_percent: 5}]`,
    "a target has weight or canary_percent, not both",
  ],
  ["a target twice", `${ROUTE}    targets: [a, a]`, 'the target "a" is given twice; add up its weights'],
  ["a fallback twice", `${ROUTE}    targets: [a]\n    fallbacks: [b, b]`, 'the fallback "b" is given twice'],
  [
    "a key that there is not",
    `${ROUTE}    targets: [a, {model: b, match: {api_key: shop}}]`,
    'api_keys has no key named "shop"',
  ],
  ["a wild card", "model_routes:\n  - model: gpt-*\n    targets: [a]", "a route has no wild cards"],
  ["an unknown key", `${ROUTE}    target: a\n    targets: [a]`, "unknown key"],
  ["only itself", `${ROUTE}    targets: [gpt-4]`, 'the route "gpt-4" leads only to itself'],
  [
    "the same name again",
    `${ROUTE}    targets: [a]\n  - model: gpt-4\n    targets: [b]`,
    'the route "gpt-4" is given twice',
  ],
  [
    "a circle",
    "model_routes:\n  - {model: a, targets: [b]}\n  - {model: b, targets: [c]}\n  - {model: c, targets: [a, d]}",
    'routes lead in a circle: "a" -> "b" -> "c" -> "a"',
  ],
  [
    "the name of a worker's model",
    `${ROUTE}    targets: [a]\ninitial_workers: [{url: "http://w:1", model_id: gpt-4}]`,
    'the route "gpt-4" would hide the model of that name, which a worker serves',
  ],
];

for (const [why, yaml, message] of REFUSED) {
  test(`refused at the start with its place is a route with ${why}`, () => {
    const said = refusal(yaml);
    expect(said).toContain(message);
    expect(said).toMatch(/\d+:\d+: /);
  });
}

test("an alias that is none, that is a route's name too, or that leads back is refused as the flag's", () => {
  expect(refusal("", ["gpt-4"])).toContain("--model-alias");
  expect(refusal("", ["gpt-4"])).toContain("must be NAME=MODEL");
  expect(refusal(`${ROUTE}    targets: [a]`, ["gpt-4=b"])).toContain('the route "gpt-4" is given twice');
  expect(refusal("", ["a=b", "b=a"])).toContain('routes lead in a circle: "a" -> "b" -> "a"');
});

test("taken are fallbacks that lead back, a route over a model that is among its targets, and a match besides a share", () => {
  const { modelRoutes } = load(`
model_routes:
  - {model: a, targets: [a], fallbacks: [b]}
  - {model: b, targets: [b], fallbacks: [a]}
  - model: c
    targets: [{model: d, weight: 9}, {model: e, weight: 1, match: {routing_key: "team-*"}}]
initial_workers: [{url: "http://w:1", model_id: a}, {url: "http://w:2", model_id: b}]`);
  expect(modelRoutes.length).toBe(3);
});
