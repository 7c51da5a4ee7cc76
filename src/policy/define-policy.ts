import { z } from "zod";
import { GatewayError } from "../errors/errors.ts";
import { snakeCase } from "../util/case.ts";
import type { Policy, PolicyParts } from "./policy.ts";
import type { UsedSignals } from "./signal-counts.ts";

/** Options of a policy from the configuration, keys in camel case. */
export type PolicyOptions = Readonly<Record<string, unknown>>;

/** Makes instances of a policy: a row of POLICIES, or the operator's module. */
export interface PolicyMaker {
  readonly name: string;
  /** What it needs to choose well; nothing, where it is absent. */
  readonly signals?: UsedSignals | undefined;
  /** Whether what it has in its memory stays right with other options, as long as the memory has the same size. */
  readonly keepsMemory?: boolean | undefined;
  /** Makes an instance for one model. Throws invalid_request for an unknown or wrong option. */
  create(options: PolicyOptions, parts: PolicyParts): Policy;
  /** Throws the error that `create` would throw for these options. */
  check(options: PolicyOptions): void;
}

/** Options by key. */
type PolicyShape = Readonly<Record<string, z.ZodType>>;

/** The definition of a policy. Flags, file keys, `--help`, docs/policies.md and the registry are made from it. */
interface PolicyDefinition<Name extends string, Shape extends PolicyShape> {
  /** The name in the configuration. */
  readonly name: Name;
  /** Other names for it, from other gateways. */
  readonly aliases?: readonly string[];
  /** Which worker it chooses, as one line that continues the name. */
  readonly chooses: string;
  /** The traffic that it suits. */
  readonly goodFor: string;
  /** Policies of other gateways that are not built here and are nearest to this one, with what this one does instead. */
  readonly nearestTo?: Readonly<Record<string, string>>;
  /** What it needs to choose well, each with what it does without it, as words that continue the name. The gateway says when one is missing. */
  readonly signals?: UsedSignals;
  /**
   * Whether a change of its options keeps what it has in its memory, where the memory has the same size with them. Requests in flight may
   * still ask the instance of before, so two instances of one thread must be able to share it.
   */
  readonly keepsMemory?: boolean;
  /**
   * By key in camel case; each with a default, and with `description` (and `aliases` of its flag) in its `meta`. Each is an
   * option of the gateway under the same name, and can be set for one pattern of models. Two policies may have an option in
   * common; it is one object then.
   */
  readonly options: z.ZodObject<Shape>;
  readonly create: (options: z.output<z.ZodObject<Shape>>, parts: PolicyParts) => Policy;
}

/** A built-in policy: its definition, and the maker of its instances. */
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

/** Makes a row from a policy's definition. Its schema checks the options each time an instance is made. */
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
    signals: policy.signals,
    keepsMemory: policy.keepsMemory,
    options: schema,
    create: (given, parts) => create(read(given), parts),
    check: (given) => void read(given),
  };
}
