import { GatewayError } from "../errors/errors.ts";
import { POLICIES } from "../policy/policies.ts";
import { canonicalPolicy } from "../policy/policy-names.ts";
import type { PolicyOptions, PolicyRow } from "../policy/define-policy.ts";
import type { PolicyModule } from "../policy/policy-module.ts";
import { camelCase } from "../util/case.ts";
import { closest } from "../util/suggest.ts";
import { BASELINES } from "./baselines/baselines.ts";
import type { SimPolicy } from "./driver-gateway.ts";
import { LATE_ORACLE, ORACLE } from "./oracle.ts";
import { ownPolicy } from "./own-policy.ts";
import { PAIR_WAYS } from "./pair-ways.ts";

/** A policy that can be simulated, and what it is. */
export interface NamedPolicy {
  readonly name: string;
  readonly kind: "own" | "peer" | "pair" | "oracle";
  readonly chooses: string;
  /** Of a peer: where its formula was published. */
  readonly source: string | undefined;
}

/** Groups that a list of policies may name. */
const GROUPS = {
  own: "our own policies",
  peers: "formulas of other gateways",
  all: "both",
  pairs: "ways to choose pairs, for a divided fleet",
} as const;

/** All policies that can be simulated: our own, those of other gateways, and the oracle. */
export const NAMED_POLICIES: readonly NamedPolicy[] = [
  ...POLICIES.map(({ name, chooses }) => ({ name, kind: "own", chooses, source: undefined }) as const),
  ...BASELINES.map(({ name, chooses, source }) => ({ name, kind: "peer", chooses, source }) as const),
  ...PAIR_WAYS.map(({ name, chooses }) => ({ name, kind: "pair", chooses, source: undefined }) as const),
  {
    name: ORACLE.name,
    kind: "oracle",
    chooses: "the worker where this request's first token comes first, by the true state of each engine",
    source: undefined,
  },
  {
    name: LATE_ORACLE.name,
    kind: "oracle",
    chooses: "the same by what a gateway can know that hears of the others late: for --gateways with --news-ms",
    source: undefined,
  },
];

/** Replaces the names of groups by their policies. A policy that is named twice is there once. */
export function expandGroups(names: readonly string[]): string[] {
  const expanded = names.flatMap((name) =>
    Object.hasOwn(GROUPS, name) ? NAMED_POLICIES.filter(({ kind }) => isIn(name, kind)).map((one) => one.name) : [name],
  );
  return [...new Set(expanded)];
}

function isIn(group: string, kind: NamedPolicy["kind"]): boolean {
  const groups: Record<NamedPolicy["kind"], readonly string[]> = {
    own: ["own", "all"],
    peer: ["peers", "all"],
    pair: ["pairs"],
    oracle: [],
  };
  return groups[kind].includes(group);
}

/**
 * The policy of this text: a name, or one of our own or the operator's with options, as `NAME:OPTION=VALUE`. Throws invalid_request for an
 * unknown policy, and for a wrong option.
 */
export function policyFrom(text: string, own?: PolicyModule): SimPolicy {
  const [given = "", ...options] = text.split(":");
  if (given === own?.name) return ownPolicy(own, text, readOptions(own, options));
  const foreign = [...BASELINES, ...PAIR_WAYS, ORACLE, LATE_ORACLE].find(({ name }) => name === given);
  if (foreign) {
    if (options.length > 0) throw wrong(`${given} takes no options`);
    return foreign;
  }
  const name = canonicalPolicy(given);
  const row = POLICIES.find((one) => one.name === name);
  if (!row) throw wrong(unknown(given));
  const config = readOptions(row, options);
  row.check(config);
  return { name: text, create: (parts) => row.create(config, parts) };
}

function unknown(name: string): string {
  const near = closest(
    name.toLowerCase(),
    NAMED_POLICIES.map((one) => one.name),
  );
  return `unknown policy ${JSON.stringify(name)}${near === undefined ? "; pointsman simulate --help lists them" : `; did you mean ${near}?`}`;
}

function readOptions({ name }: Pick<PolicyRow, "name">, options: readonly string[]): PolicyOptions {
  const read: Record<string, unknown> = {};
  for (const option of options) {
    const [key = "", value] = option.split("=", 2);
    if (value === undefined) throw wrong(`${name}:${option} must be ${name}:option=value`);
    if (Object.hasOwn(read, camelCase(key))) throw wrong(`${name} has the option ${key} twice`);
    read[camelCase(key)] = valueOf(value);
  }
  return read;
}

/** Numbers, true and false as what they are; other text as text. */
function valueOf(text: string): unknown {
  if (text === "true" || text === "false") return text === "true";
  return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

function wrong(message: string): GatewayError {
  return new GatewayError("invalid_request", message);
}
