import { isRecord } from "../util/objects.ts";
import { askAdministration, readText } from "./ask-administration.ts";
import { type CommandOutput, PROCESS } from "./command-output.ts";
import type { ConfigArguments } from "./config-commands.ts";
import type { GatewayAccess } from "./gateway-access.ts";

/** Exit codes of `diff`, as those of the program of that name. The other commands end with SAME or throw. */
const SAME = 0;
const DIFFERENT = 1;

/**
 * `pointsman config diff|apply|rollback|history`: asks a running gateway over its administration. Resolves with the exit code. Throws
 * ConfigError where the gateway refuses, or cannot be reached.
 */
export async function askGateway(given: ConfigArguments, output: CommandOutput = PROCESS): Promise<number> {
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

interface ConfigQuestion {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: string | undefined;
}

function ask(
  { ifVersion, ...access }: GatewayAccess & Pick<ConfigArguments, "ifVersion">,
  { env }: CommandOutput,
  { method, path, body }: ConfigQuestion,
): Promise<Record<string, unknown>> {
  const headers = {
    ...(body === undefined ? {} : { "content-type": "application/yaml" }),
    ...(ifVersion === undefined ? {} : { "if-match": `"${ifVersion}"` }),
  };
  return askAdministration(access, env, { method, path, body, headers });
}

function printHistory(result: Readonly<Record<string, unknown>>, { out }: CommandOutput): number {
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
