import { readFileSync } from "node:fs";
import { ConfigError } from "../config/config-error.ts";
import { isRecord } from "../util/objects.ts";
import type { ConfigArguments, GatewayAccess } from "./config-commands.ts";

/** What the commands write to; tests pass a fake. */
export interface AskOutput {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
}

const PROCESS: AskOutput = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  env: process.env,
};

/** Longest wait for the gateway's answer, ms: a change waits for the changes before it, and for each thread. */
const ANSWER_MS = 60_000;
/** Exit codes of `diff`, as those of the program of that name. The other commands end with SAME or throw. */
const SAME = 0;
const DIFFERENT = 1;

/**
 * `pointsman config diff|apply|rollback|history`: asks a running gateway over its administration. Resolves with the exit code. Throws
 * ConfigError where the gateway refuses, or cannot be reached.
 */
export async function askGateway(given: ConfigArguments, output: AskOutput = PROCESS): Promise<number> {
  const { command, file, version, isPartial } = given;
  if (command === "history")
    return printHistory(await ask(given, output, { method: "GET", path: "/config/history" }), output);
  const query = new URLSearchParams({
    ...(command === "diff" ? { dry_run: "true" } : {}),
    ...(isPartial ? { partial: "true" } : {}),
    ...(version === undefined ? {} : { version: String(version) }),
  });
  const own = command === "rollback" ? "/config/rollback" : "/config/reload";
  const result = await ask(given, output, {
    method: "POST",
    path: `${file === undefined ? own : "/config"}?${query.toString()}`,
    body: file === undefined ? undefined : readText(file),
  });
  const lines = [...textsOf(result["changes"]), ...textsOf(result["waits_for_restart"])];
  for (const line of lines) output.out(`${line}\n`);
  for (const notice of stringsOf(result["notices"])) output.err(`pointsman: ${notice}\n`);
  if (command === "diff") return lines.length === 0 ? SAME : DIFFERENT;
  output.err(`pointsman: the configuration has version ${String(result["version"])}\n`);
  return SAME;
}

interface Question {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: string | undefined;
}

async function ask(
  { url, keyFile, caFile, ifVersion }: GatewayAccess & Pick<ConfigArguments, "ifVersion">,
  { env }: AskOutput,
  { method, path, body }: Question,
): Promise<Record<string, unknown>> {
  const key = keyFile === undefined ? (env["POINTSMAN_ADMIN_API_KEY"] ?? "") : readText(keyFile).trimEnd();
  const headers = {
    ...(key === "" ? {} : { authorization: `Bearer ${key}` }),
    ...(body === undefined ? {} : { "content-type": "application/yaml" }),
    ...(ifVersion === undefined ? {} : { "if-match": `"${ifVersion}"` }),
  };
  let answer: Response;
  let text: string;
  try {
    answer = await fetch(new URL(path, url), {
      method,
      headers,
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

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw new ConfigError(path, code === "ENOENT" ? "there is no such file" : `the file cannot be read (${code})`);
  }
}

function printHistory(result: Readonly<Record<string, unknown>>, { out }: AskOutput): number {
  const entries = Array.isArray(result["history"]) ? result["history"].filter(isRecord) : [];
  for (const entry of entries) {
    out(`${String(entry["version"])}  ${String(entry["at"])}  ${String(entry["by"])}\n`);
    for (const change of stringsOf(entry["changes"])) out(`    ${change}\n`);
  }
  return SAME;
}

function textsOf(differences: unknown): string[] {
  return Array.isArray(differences)
    ? differences.filter(isRecord).flatMap(({ text }) => (typeof text === "string" ? [text] : []))
    : [];
}

function stringsOf(list: unknown): string[] {
  return Array.isArray(list) ? list.filter((item) => typeof item === "string") : [];
}
