import { z } from "zod";
import { POLICIES } from "../policy/policies.ts";

/** The options of policies as options of the gateway: each for every model, and for the models of one pattern. */

type Row = (typeof POLICIES)[number];

/** The shape that has the members of all shapes of a union. */
type Merged<Shapes> = (Shapes extends unknown ? (shape: Shapes) => void : never) extends (shape: infer All) => void
  ? All
  : never;

type PolicyOptionShape = Merged<Row["options"]["shape"]>;

interface KnownOption {
  readonly schema: z.ZodType;
  /** Policies that have it. */
  readonly policies: readonly string[];
}

const KNOWN: ReadonlyMap<string, KnownOption> = gather();

function gather(): Map<string, KnownOption> {
  const known = new Map<string, KnownOption>();
  for (const { name, options } of POLICIES) {
    for (const [key, schema] of Object.entries<z.ZodType>(options.shape)) {
      known.set(key, { schema, policies: [...(known.get(key)?.policies ?? []), name] });
    }
  }
  return known;
}

/** Entries of the configuration's schema, each documented as the policy documents it, behind the policy's name. */
export const POLICY_OPTIONS = entries();

function entries(): PolicyOptionShape {
  const shape = Object.fromEntries(
    [...KNOWN].map(([key, { schema, policies }]) => {
      const meta = z.globalRegistry.get(schema);
      const description = `${policies.join(", ")}: ${meta?.description}`;
      return [key, schema.meta({ ...meta, group: "Routing", description })];
    }),
  );
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- put together of the very shapes that the type merges
  return shape as PolicyOptionShape;
}

/**
 * What a pattern gives its policy. Without defaults: what is not given is as for the whole gateway. Other keys pass, as the
 * policy of a module has options of its own; `checkPatternOptions` refuses them where the policy is a built-in one.
 */
export const patternOptions = z.looseObject(
  Object.fromEntries(
    [...KNOWN].map(([key, { schema }]) => [
      key,
      schema instanceof z.ZodDefault ? z.optional(schema.def.innerType) : schema,
    ]),
  ),
);

/** A built-in policy takes its own options and no others. */
export function checkPatternOptions(
  { policy, config }: { readonly policy: string; readonly config: Readonly<Record<string, unknown>> },
  context: z.RefinementCtx,
): void {
  const row = POLICIES.find(({ name }) => name === policy);
  const keys = Object.keys(config);
  if (!row || keys.length === 0) return;
  if (Object.keys(row.options.shape).length === 0) {
    const others = POLICIES.filter(({ options }) => Object.keys(options.shape).length > 0).map(({ name }) => name);
    const message = `is for ${others.join(", ")}: no other policy takes options`;
    context.addIssue({ code: "custom", message, path: ["config"], input: config });
    return;
  }
  for (const key of keys) {
    const known = KNOWN.get(key);
    if (!known) context.addIssue({ code: "unrecognized_keys", keys: [key], path: ["config"], input: config });
    else if (!known.policies.includes(policy)) {
      const message = `is an option of ${known.policies.join(", ")}, not of ${policy}`;
      context.addIssue({ code: "custom", message, path: ["config", key], input: config[key] });
    }
  }
}
