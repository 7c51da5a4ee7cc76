import { readFileSync } from "node:fs";
import { ConfigError } from "../config/config-error.ts";
import { fetchFailure } from "../util/fetch-failure.ts";
import { isRecord } from "../util/objects.ts";
import { utf8Text } from "../util/utf8-text.ts";
import type { GatewayAccess } from "./gateway-access.ts";

/** A request to the administration of a running gateway. */
export interface Question {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly path: string;
  readonly body?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Variables that name a proxy for what is not over TLS. */
const READING_PROXIES = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] as const;

const KEY_VARIABLE = "POINTSMAN_ADMIN_API_KEY";

/** Longest wait for the gateway's answer, ms: a change waits for the changes before it, and for each thread. */
const ANSWER_MS = 60_000;

/** The gateway has refused a question. `code` is a row of docs/errors.md, empty where the answer names none. */
export class RefusedError extends ConfigError {
  readonly code: string;

  constructor(where: string, message: string, code: string) {
    super(where, message);
    this.code = code;
  }
}

/**
 * The gateway's answer, a JSON object. Throws RefusedError, and ConfigError where there is no usable key, or no gateway can be reached
 * there.
 */
export async function askAdministration(
  { url, keyFile, caFile }: GatewayAccess,
  env: Readonly<Record<string, string | undefined>>,
  { method, path, body, headers = {} }: Question,
): Promise<Record<string, unknown>> {
  const key = keyFile === undefined ? usable(env[KEY_VARIABLE] ?? "", KEY_VARIABLE) : readKey(keyFile);
  const { isOk, status, text } = await answerOf(
    { url, path, caFile },
    {
      method,
      headers: { ...(key === "" ? {} : { authorization: `Bearer ${key}` }), ...headers },
      ...(body === undefined ? {} : { body }),
    },
  );
  const said = parsed(text);
  if (isOk && said) return said;
  if (isOk)
    throw new ConfigError(
      url,
      `it answers ${status} with no JSON object, so it is not the administration of a gateway`,
    );
  const error = said?.["error"];
  const message = isRecord(error) && typeof error["message"] === "string" ? error["message"] : `it answers ${status}`;
  throw new RefusedError(url, message, isRecord(error) && typeof error["code"] === "string" ? error["code"] : "");
}

/** A page of a running gateway that takes no key, as text. Throws ConfigError where it has none, or cannot be reached. */
export async function pageOf(url: string, caFile: string | undefined): Promise<string> {
  const { isOk, status, text } = await answerOf({ url, path: "", caFile }, {});
  if (isOk) return text;
  throw new ConfigError(url, `it answers ${status}`);
}

/** Throws ConfigError where the gateway cannot be reached. */
async function answerOf(
  { url, path, caFile }: Pick<GatewayAccess, "url" | "caFile"> & Pick<Question, "path">,
  init: RequestInit,
): Promise<{ readonly isOk: boolean; readonly status: number; readonly text: string }> {
  // `fetch` would send what is not over TLS, and the key with it, to the proxy that these variables name. It reads them with each request
  // (Bun 1.4.5, 2026-11-27).
  if (!url.startsWith("https:")) for (const name of READING_PROXIES) delete process.env[name];
  try {
    const answer = await fetch(new URL(path, url), {
      ...init,
      signal: AbortSignal.timeout(ANSWER_MS),
      // A key is for this gateway only.
      redirect: "error",
      ...(caFile === undefined ? {} : { tls: { ca: readAuthority(caFile) } }),
    });
    return { isOk: answer.ok, status: answer.status, text: await answer.text() };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(url, `the gateway does not answer: ${fetchFailure(error)}`);
  }
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function readKey(path: string): string {
  const key = usable(readText(path), path);
  if (key === "") throw new ConfigError(path, "there is no key in the file");
  return key;
}

/** The key in `text`, which is from `where`. Throws ConfigError where it cannot be sent. */
function usable(text: string, where: string): string {
  try {
    return new Headers({ key: text.trim() }).get("key") ?? "";
  } catch {
    throw new ConfigError(where, "has characters that no header can carry; put the key alone there, on one line");
  }
}

function readAuthority(path: string): string {
  const text = readText(path);
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  throw new ConfigError(path, "there is no certificate (PEM) in the file");
}

/** The text of a file of UTF-8, without a byte order mark. Throws ConfigError. */
export function readText(path: string): string {
  let text: string | undefined;
  try {
    text = utf8Text(readFileSync(path));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw new ConfigError(path, code === "ENOENT" ? "there is no such file" : `the file cannot be read (${code})`);
  }
  if (text === undefined) throw new ConfigError(path, "it is not UTF-8 text");
  return text;
}
