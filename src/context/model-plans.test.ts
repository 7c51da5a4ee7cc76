import { expect, test } from "bun:test";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import { configSchema } from "../config/schema.ts";
import { modelPlans } from "./model-plans.ts";

const { config } = loadConfig({ env: {}, flags: NO_FLAGS });

function sharesOf(targets: readonly object[]): (readonly [string, number])[] {
  const modelRoutes = configSchema.shape.modelRoutes.parse([{ model: "m", targets }]);
  const [route] = modelPlans({ ...config, modelRoutes })?.routes ?? [];
  return (route?.targets ?? []).map(({ model, share }) => [model, Math.round(share * 1000) / 1000]);
}

test("a configuration without routes has no plans, so that no request is looked up", () => {
  expect(modelPlans(config)).toBeUndefined();
});

test("weights divide what percentages leave, and a match without a share takes nothing of it", () => {
  const match = { header: "x-a" };
  expect(sharesOf([{ model: "a" }, { model: "b" }])).toEqual([
    ["a", 0.5],
    ["b", 0.5],
  ]);
  expect(
    sharesOf([
      { model: "a", weight: 3 },
      { model: "b", weight: 1 },
      { model: "c", canaryPercent: 20 },
      { model: "d", match },
      { model: "e", weight: 0 },
    ]),
  ).toEqual([
    ["a", 0.6],
    ["b", 0.2],
    ["c", 0.2],
    ["d", 0],
    ["e", 0],
  ]);
  expect(
    sharesOf([
      { model: "a", canaryPercent: 100 },
      { model: "b", match, canaryPercent: 0 },
    ]),
  ).toEqual([
    ["a", 1],
    ["b", 0],
  ]);
});

test("an alias is a route with one target, and is listed", () => {
  const { routes } = modelPlans({ ...config, modelAliases: ["gpt-4=llama"] }) ?? {};
  const targets = [{ model: "llama", share: 1, match: undefined }];
  expect(routes).toEqual([{ name: "gpt-4", targets, fallbacks: [], isListed: true }]);
});
