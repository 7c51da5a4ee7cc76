import { z } from "zod";

/** Longest name of a model, characters. */
const MAX_NAME = 256;
/** Most targets, and most fallbacks, of one route: a request that fails everywhere is sent to each of its fallbacks. */
const MAX_MODELS = 16;

const modelName = z
  .string()
  .min(1)
  .max(MAX_NAME)
  // oxlint-disable-next-line no-control-regex -- it matches control characters
  .regex(/^[^\u0000-\u001f\u007f]*$/, "must not have control characters");
const text = z.string().min(1).max(MAX_NAME);

const match = z
  .strictObject({
    header: z
      .string()
      .regex(/^[A-Za-z0-9-]{1,64}$/, "must be a header name")
      .transform((value) => value.toLowerCase())
      .optional(),
    value: text.optional(),
    routingKey: text.optional(),
    apiKey: text.optional(),
  })
  .refine(({ value, header }) => value === undefined || header !== undefined, "has a value, but no header")
  .refine(
    ({ header, routingKey, apiKey }) => header !== undefined || routingKey !== undefined || apiKey !== undefined,
    "must have header, routing_key or api_key",
  );

const target = z.preprocess(
  (value) => (typeof value === "string" ? { model: value } : value),
  z.strictObject({
    model: modelName,
    weight: z.number().min(0).max(1_000_000).optional(),
    canaryPercent: z.number().min(0).max(100).optional(),
    match: match.optional(),
  }),
);

/** A name that clients may ask for, and the models that answer for it. */
export const modelRouteSchema = z.strictObject({
  model: modelName.regex(/^[^*?]*$/, "must be one name: a route has no wild cards"),
  targets: z.array(target).min(1).max(MAX_MODELS),
  fallbacks: z.array(modelName).max(MAX_MODELS).default([]),
  listed: z.boolean().default(true),
});

/** An alias: `NAME=MODEL`, or `NAME:MODEL` as production-stack writes it. */
export const modelAliasSchema = z
  .string()
  .max(2 * MAX_NAME + 1)
  .refine(
    (alias) => readAlias(alias) !== undefined,
    "must be NAME=MODEL: the name that clients ask for, and the model that answers",
  );

/** Reads an alias; undefined for a text that is none. */
export function readAlias(alias: string): { readonly model: string; readonly target: string } | undefined {
  const at = alias.includes("=") ? alias.indexOf("=") : alias.indexOf(":");
  if (at < 0) return undefined;
  const [model, name] = [alias.slice(0, at).trim(), alias.slice(at + 1).trim()];
  return model === "" || name === "" ? undefined : { model, target: name };
}
