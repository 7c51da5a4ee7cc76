import { isAbsolute, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { GatewayError } from "../errors/errors.ts";
import type { Logger } from "../observability/logger.ts";
import { GuardedPolicy, type PolicyFault } from "../policy/guarded-policy.ts";
import type { Policy } from "../policy/policy.ts";
import { POLICIES } from "../policy/policy-config.ts";
import type { Clock } from "../util/clock.ts";

/** A policy that a file of the operator's brings, under the name that the file gives it. */
export interface CustomPolicy {
  readonly name: string;
  readonly create: () => Policy;
}

/**
 * Loads a TypeScript or JavaScript file whose default export is `{ name, create }`: `create()` makes an instance for
 * each model. Throws invalid_request, with the place where there is one, where the file cannot be read or parsed, has no
 * such export, takes the name of a built-in policy, or makes no policy.
 */
export async function loadPolicyModule(path: string): Promise<CustomPolicy> {
  const absolute = isAbsolute(path) ? path : resolve(process.cwd(), path);
  if (!(await Bun.file(absolute).exists()))
    throw invalid(`the policy module ${path} cannot be loaded: there is no such file`);
  let loaded: unknown;
  try {
    loaded = await import(pathToFileURL(absolute).href);
  } catch (cause) {
    throw invalid(`the policy module ${path} cannot be loaded: ${reasonOf(cause)}`, cause);
  }
  const policy = typeof loaded === "object" && loaded !== null && "default" in loaded ? loaded.default : undefined;
  if (!isCustomPolicy(policy)) throw invalid(`the policy module ${path} must export default { name, create }`);
  if (POLICIES.has(policy.name)) {
    throw invalid(`the policy module ${path} takes the name of a built-in policy, ${policy.name}: give it another`);
  }
  checkSample(path, policy);
  return policy;
}

/** What a model's policy should be able to do is tried once before anything listens. */
function checkSample(path: string, policy: CustomPolicy): void {
  let sample: unknown;
  try {
    sample = policy.create();
  } catch (cause) {
    throw invalid(`create() of the policy module ${path} failed: ${reasonOf(cause)}`, cause);
  }
  if (typeof sample !== "object" || sample === null || !("select" in sample) || typeof sample.select !== "function") {
    throw invalid(`create() of the policy module ${path} must return an object with select()`);
  }
}

function invalid(message: string, cause?: unknown): GatewayError {
  return new GatewayError("invalid_request", message, { cause });
}

function isCustomPolicy(value: unknown): value is CustomPolicy {
  return (
    typeof value === "object" &&
    value !== null &&
    "name" in value &&
    typeof value.name === "string" &&
    value.name !== "" &&
    "create" in value &&
    typeof value.create === "function"
  );
}

/** The first error and its place. Bun gathers the errors of a file that does not parse, each with a position. */
function reasonOf(cause: unknown): string {
  const first: unknown = cause instanceof AggregateError ? cause.errors[0] : cause;
  const message = (first instanceof Error ? first.message : String(first)).split("\n", 1)[0] ?? "";
  const position = typeof first === "object" && first !== null && "position" in first ? first.position : undefined;
  return isPosition(position) ? `line ${position.line}, column ${position.column}: ${message}` : message;
}

function isPosition(value: unknown): value is { readonly line: number; readonly column: number } {
  return typeof value === "object" && value !== null && "line" in value && "column" in value;
}

/** The same complaint is not written more often, ms: a policy that fails does so on every request. */
const SILENCE_MS = 60_000;

/** Guards the policies of a module; each fault is an error line, the same one at most once a minute. */
export function guardPolicy({ name, create }: CustomPolicy, logger: Logger, clock: Clock): CustomPolicy {
  const lastTold = new Map<string, number>();
  const onFault = ({ policy, what, stack }: PolicyFault): void => {
    const now = clock.now();
    if (now - (lastTold.get(what) ?? Number.NEGATIVE_INFINITY) < SILENCE_MS) return;
    // What it returns may differ each time.
    if (lastTold.size >= MAX_COMPLAINTS) lastTold.clear();
    lastTold.set(what, now);
    logger.error({ policy, what, stack }, "the policy module fails");
  };
  return { name, create: () => new GuardedPolicy({ name, create, onFault }) };
}

const MAX_COMPLAINTS = 16;
