import { readFileSync } from "node:fs";
import { ConfigError } from "../config/config-error.ts";
import { isRecord } from "../util/objects.ts";
import type { GatewayAccess } from "./gateway-access.ts";

/** A request to the administration of a running gateway. */
export interface Question {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly path: string;
  readonly body?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Longest wait for the gateway's answer, ms: a change waits for the changes before it, and for each thread. */
const ANSWER_MS = 60_000;

/** The gateway's answer, a JSON object. Throws ConfigError where the gateway refuses, or cannot be reached. */
export async function askAdministration(
  { url, keyFile, caFile }: GatewayAccess,
  env: Readonly<Record<string, string | undefined>>,
  { method, path, body, headers = {} }: Question,
): Promise<Record<string, unknown>> {
  const key = keyFile === undefined ? (env["POINTSMAN_ADMIN_API_KEY"] ?? "") : readText(keyFile).trimEnd();
  let answer: Response;
  let text: string;
  try {
    answer = await fetch(new URL(path, url), {
      method,
      headers: { ...(key === "" ? {} : { authorization: `Bearer ${key}` }), ...headers },
      signal: AbortSignal.timeout(ANSWER_MS),
      // The key is for this gateway only.
      redirect: "error",
      ...(body === undefined ? {} : { body }),
      ...(caFile === undefined ? {} : { tls: { ca: readText(caFile) } }),
    });
    text = await answer.text();
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(
      url,
      `the gateway does not answer: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  const said = parsed(text);
  if (answer.ok && said) return said;
  const error = said?.["error"];
  const message =
    isRecord(error) && typeof error["message"] === "string" ? error["message"] : `it answers ${answer.status}`;
  throw new ConfigError(url, message);
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The text of a file. Throws ConfigError. */
export function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw new ConfigError(path, code === "ENOENT" ? "there is no such file" : `the file cannot be read (${code})`);
  }
}
