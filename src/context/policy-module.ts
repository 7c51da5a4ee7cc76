import { isAbsolute, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { GatewayError } from "../errors/errors.ts";
import type { Policy } from "../policy/policy.ts";

/** A policy that a file of the operator's brings, under the name that the file gives it. */
export interface CustomPolicy {
  readonly name: string;
  readonly create: () => Policy;
}

/**
 * Loads a TypeScript or JavaScript file whose default export is `{ name, create }`: `create()` makes an instance for
 * each model. Throws invalid_request where there is no such file or export.
 */
export async function loadPolicyModule(path: string): Promise<CustomPolicy> {
  const absolute = isAbsolute(path) ? path : resolve(process.cwd(), path);
  let loaded: unknown;
  try {
    loaded = await import(pathToFileURL(absolute).href);
  } catch (cause) {
    throw new GatewayError("invalid_request", `the policy module ${path} cannot be loaded: ${firstLine(cause)}`, {
      cause,
    });
  }
  const policy = typeof loaded === "object" && loaded !== null && "default" in loaded ? loaded.default : undefined;
  if (!isCustomPolicy(policy)) {
    throw new GatewayError("invalid_request", `the policy module ${path} must export default { name, create }`);
  }
  const sample: unknown = policy.create();
  if (typeof sample !== "object" || sample === null || !("select" in sample) || typeof sample.select !== "function") {
    throw new GatewayError(
      "invalid_request",
      `create() of the policy module ${path} must return an object with select()`,
    );
  }
  return policy;
}

function isCustomPolicy(value: unknown): value is CustomPolicy {
  return (
    typeof value === "object" &&
    value !== null &&
    "name" in value &&
    typeof value.name === "string" &&
    "create" in value &&
    typeof value.create === "function"
  );
}

function firstLine(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).split("\n", 1)[0] ?? "";
}
