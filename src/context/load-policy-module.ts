import { isAbsolute, resolve } from "node:path";
import { GatewayError } from "../errors/errors.ts";
import type { PolicyOptions } from "../policy/define-policy.ts";
import type { PolicyModule } from "../policy/policy-module.ts";
import { POLICY_NAMES } from "../policy/policy-names.ts";
import type { PolicyParts } from "../policy/policy.ts";
import { errorMessage } from "../util/error-message.ts";
import { isRecord } from "../util/objects.ts";

/**
 * Loads a TypeScript or JavaScript file whose default export is a PolicyModule. Throws invalid_request, with the place if it is known,
 * if the file cannot be read or parsed, has no such export, has the name of a built-in policy, or makes no policy.
 */
export async function loadPolicyModule(path: string): Promise<PolicyModule> {
  const absolute = isAbsolute(path) ? path : resolve(process.cwd(), path);
  if (!(await Bun.file(absolute).exists()))
    throw invalid(`the policy module ${path} cannot be loaded: there is no such file`);
  let loaded: unknown;
  try {
    loaded = await import(Bun.pathToFileURL(absolute).href);
  } catch (cause) {
    throw invalid(`the policy module ${path} cannot be loaded: ${reasonOf(cause)}`, cause);
  }
  const policy = isRecord(loaded) ? loaded["default"] : undefined;
  if (!isPolicyModule(policy)) throw invalid(`the policy module ${path} must export default { name, create }`);
  if (POLICY_NAMES.includes(policy.name)) {
    throw invalid(`the policy module ${path} takes the name of a built-in policy, ${policy.name}: give it another`);
  }
  checkSample(path, policy);
  return policy;
}

/** Parts for the sample instance. */
const SAMPLE_PARTS: PolicyParts = {
  memory: (bytes) => new SharedArrayBuffer(bytes),
  random: Math.random,
  now: () => performance.now(),
  thread: 0,
  threads: 1,
};

/** Makes a sample instance before the gateway listens. A policy with required options is first made for its first pattern. */
function checkSample(path: string, module: PolicyModule): void {
  const options = sampleOptions(module);
  if (!options) return;
  let sample: unknown;
  try {
    sample = module.create(options.value, SAMPLE_PARTS);
  } catch (cause) {
    throw invalid(`create() of the policy module ${path} failed: ${reasonOf(cause)}`, cause);
  }
  const canChoose =
    isRecord(sample) && (typeof sample["pick"] === "function" || typeof sample["select"] === "function");
  if (!canChoose) throw invalid(`create() of the policy module ${path} must return an object with pick() or select()`);
}

function sampleOptions({ options }: PolicyModule): { readonly value: unknown } | undefined {
  try {
    return { value: options?.parse({}) };
  } catch {
    // It has a required option. The error names it when the policy is used without it.
    return undefined;
  }
}

function invalid(message: string, cause?: unknown): GatewayError {
  return new GatewayError("invalid_request", message, { cause });
}

function isPolicyModule(value: unknown): value is PolicyModule {
  if (!isRecord(value)) return false;
  const { name, create, options } = value;
  return (
    typeof name === "string" &&
    name !== "" &&
    typeof create === "function" &&
    (options === undefined || (typeof options === "object" && options !== null && "parse" in options))
  );
}

/** The first error and its place. Bun gathers the errors of a file that does not parse, each with a position. */
function reasonOf(cause: unknown): string {
  const first: unknown = cause instanceof AggregateError ? cause.errors[0] : cause;
  const message = errorMessage(first).split("\n", 1)[0] ?? "";
  const position = typeof first === "object" && first !== null && "position" in first ? first.position : undefined;
  return isPosition(position) ? `line ${position.line}, column ${position.column}: ${message}` : message;
}

function isPosition(value: unknown): value is { readonly line: number; readonly column: number } {
  return typeof value === "object" && value !== null && "line" in value && "column" in value;
}

/** The options for `create` of a module. Throws invalid_request where they are wrong. */
export function optionsOf({ name, options }: PolicyModule, given: PolicyOptions): unknown {
  if (!options) {
    const [first] = Object.keys(given);
    if (first === undefined) return {};
    throw invalid(`the policy ${name} takes no options: its module exports no schema (options) for them`);
  }
  try {
    return options.parse(given);
  } catch (cause) {
    throw invalid(`the options of the policy ${name} are not valid: ${reasonOf(cause)}`, cause);
  }
}
