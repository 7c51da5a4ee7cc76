import { z } from "zod";
import { POLICIES } from "../policy/policies.ts";

/** A built-in policy, whose options become options of the gateway: for all models, and for the models of one pattern. */

type Row = (typeof POLICIES)[number];

/** The shape that has the members of all shapes of a union. */
type Merged<Shapes> = (Shapes extends unknown ? (shape: Shapes) => void : never) extends (shape: infer All) => void
  ? All
  : never;

type PolicyOptionShape = Merged<Row["options"]["shape"]>;

interface KnownOption {
  readonly schema: z.ZodType;
  /** Policies that have the option. */
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

/** Entries for the configuration's schema. Each names the policies that read it, and has their own description. */
export const POLICY_OPTIONS = entries();

function entries(): PolicyOptionShape {
  const shape = Object.fromEntries(
    [...KNOWN].map(([key, { schema, policies }]) => {
      const meta = z.globalRegistry.get(schema);
      const description = `${policies.join(", ")}: ${meta?.description}`;
      return [key, schema.meta({ ...meta, group: "Routing", policies, description })];
    }),
  );
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- made of the very shapes that the type merges
  return shape as PolicyOptionShape;
}

/**
 * The options that a pattern gives its policy. They have no defaults: a missing option has the gateway's value. Unknown keys
 * pass, because a module's policy has its own options; `checkPatternOptions` refuses them for a built-in policy.
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
    const message = `must be empty: the policy ${policy} takes no options`;
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
