import { z } from "zod";
import { GatewayError } from "../errors/errors.ts";
import { snakeCase } from "../util/case.ts";
import type { Policy, PolicyParts } from "./policy.ts";

/** Options of a policy as the configuration gives them, keys in camel case. */
export type PolicyOptions = Readonly<Record<string, unknown>>;

/** What instances of a policy are made by: a row of POLICIES, or what a module of the operator's brings. */
export interface PolicyMaker {
  readonly name: string;
  /** An instance for one model. Throws invalid_request where an option is unknown or wrong. */
  create(options: PolicyOptions, parts: PolicyParts): Policy;
  /** Throws what `create` would throw because of the options. */
  check(options: PolicyOptions): void;
}

/** Options by key. */
type PolicyShape = Readonly<Record<string, z.ZodType>>;

/** What a policy says of itself: flags, file keys, `--help`, docs/policies.md and the registry are made of it. */
interface PolicyDefinition<Name extends string, Shape extends PolicyShape> {
  /** As in the configuration. */
  readonly name: Name;
  /** Other names that are taken for it, as other gateways write them. */
  readonly aliases?: readonly string[];
  /** Which worker it chooses, in one line that goes on from the name. */
  readonly chooses: string;
  /** The traffic it is meant for. */
  readonly goodFor: string;
  /** Policies of other gateways that are not built here and come nearest to this one: what this one does in their place. */
  readonly nearestTo?: Readonly<Record<string, string>>;
  /**
   * By key in camel case; each with a default, and with `description` (and `aliases` of its flag) in its `meta`. Each is an
   * option of the gateway under the same name, and can be set for one pattern of models. Two policies may have an option in
   * common; it is one object then.
   */
  readonly options: z.ZodObject<Shape>;
  readonly create: (options: z.output<z.ZodObject<Shape>>, parts: PolicyParts) => Policy;
}

/** A built-in policy: the maker of its instances, and what it says of itself. */
export interface PolicyRow<Name extends string = string, Shape extends PolicyShape = PolicyShape> extends PolicyMaker {
  readonly name: Name;
  readonly aliases: readonly string[];
  readonly chooses: string;
  readonly goodFor: string;
  readonly nearestTo: Readonly<Record<string, string>>;
  readonly options: z.ZodObject<Shape>;
}

/** A policy that takes no options. */
export const NO_OPTIONS = z.strictObject({});

/** Makes a row of what a policy says of itself. Options are checked by its schema each time that an instance is made. */
export function definePolicy<const Name extends string, Shape extends PolicyShape>(
  policy: PolicyDefinition<Name, Shape>,
): PolicyRow<Name, Shape> {
  const { name, options: schema, create } = policy;
  const read = (given: PolicyOptions): z.output<z.ZodObject<Shape>> => {
    const result = schema.safeParse(given);
    if (result.success) return result.data;
    const [issue] = result.error.issues;
    const param = issue?.code === "unrecognized_keys" ? issue.keys[0] : issue?.path.join(".");
    throw new GatewayError(
      "invalid_request",
      `the option ${snakeCase(param ?? "")} of the policy ${name}: ${issue?.message}`,
      {
        param: snakeCase(param ?? "config"),
      },
    );
  };
  return {
    name,
    aliases: policy.aliases ?? [],
    chooses: policy.chooses,
    goodFor: policy.goodFor,
    nearestTo: policy.nearestTo ?? {},
    options: schema,
    create: (given, parts) => create(read(given), parts),
    check: (given) => void read(given),
  };
}
