import { ConfigError } from "../../config/config-error.ts";
import { shown } from "../../config/shown-config.ts";
import { GatewayError } from "../../errors/errors.ts";
import { type ConfigDifference, inWords } from "../../reload/config-diff.ts";
import type { ChangeRequest, ChangeResult } from "../../reload/change.ts";
import type { ConfigTransactions } from "../../reload/transactions.ts";
import { jsonReply, type Reply } from "../../transport/downstream.ts";
import type { Call, Route } from "../route.ts";
import { refuseUnknown, wholeNumberIn } from "./query.ts";

/** The part of ConfigTransactions that the administration uses. */
export type ConfigAdmin = Pick<
  ConfigTransactions,
  "version" | "config" | "document" | "differsFromFile" | "waiting" | "notices" | "history" | "change" | "rollback"
>;

/** Largest document, bytes; the same as for a file. */
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * The configuration in force, its history, and changes of it. A body of `POST /config` is a document in the form of the file, YAML or
 * JSON, which stands in for the file until that is read again. Secrets are in no answer.
 */
export function configRoutes(config: ConfigAdmin): Route[] {
  const change = (path: string, handle: (call: Call) => Promise<ChangeResult>): Route => ({
    method: "POST",
    path,
    access: "admin",
    handle: async (call) => {
      const result = await withoutConfigError(() => handle(call));
      call.note(`configuration ${result.version}`);
      return resultReply(result);
    },
  });
  return [
    { method: "GET", path: "/config", access: "viewer", handle: () => currentReply(config) },
    { method: "GET", path: "/config/history", access: "viewer", handle: () => historyReply(config) },
    {
      ...change("/config", async (call) => {
        const text = documentText(call);
        return config.change({ ...askedBy(call, CHANGE), document: { name: "POST /config", text } });
      }),
      maxBodyBytes: MAX_BYTES,
      takesYaml: true,
    },
    change("/config/reload", (call) => config.change({ ...askedBy(call, CHANGE), document: "file" })),
    change("/config/rollback", (call) =>
      config.rollback(wholeNumberIn(call.query, "version"), askedBy(call, [...CHANGE, "version"])),
    ),
  ];
}

/** Throws invalid_request where there is no body. */
function documentText({ body }: Call): string {
  if (body && body.length > 0) return Buffer.from(body).toString("utf8");
  throw new GatewayError("invalid_request", "the body must be a configuration, in the form of the file");
}

/** Parameters of each change. */
const CHANGE = ["dry_run", "partial"] as const;

function askedBy({ request, query, principal }: Call, known: readonly string[]): Omit<ChangeRequest, "document"> {
  refuseUnknown(query, known);
  return {
    via: "api",
    by: `${principal?.name ?? "the administration"}, from ${request.peerAddress}`,
    ifVersion: readIfMatch(request.headers.get("if-match")),
    isDryRun: readSwitch(query, "dry_run"),
    isPartial: readSwitch(query, "partial"),
  };
}

function readSwitch(query: URLSearchParams, name: (typeof CHANGE)[number]): boolean {
  const value = query.get(name);
  if (value === null || value === "false") return false;
  if (value === "true" || value === "") return true;
  throw new GatewayError("invalid_request", `${name} must be true or false`, { param: name });
}

/** The version that the caller has seen (RFC 9110, section 13.1.1); undefined where any will do. */
function readIfMatch(text: string | null): number | undefined {
  if (text === null || text.trim() === "*") return undefined;
  const [, version] = /^\s*(?:W\/)?"?(\d{1,9})"?\s*$/.exec(text) ?? [];
  if (version !== undefined) return Number(version);
  throw new GatewayError("invalid_request", 'If-Match must be the version of the configuration, such as "3", or *', {
    param: "if-match",
  });
}

/** A mistake in the document is the caller's. */
async function withoutConfigError<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new GatewayError("invalid_request", error.message, { cause: error });
  }
}

function currentReply({ version, config, document, differsFromFile, waiting, notices }: ConfigAdmin): Reply {
  return versioned(version, {
    version,
    read_from: document.name,
    differs_from_file: differsFromFile,
    waits_for_restart: waiting.map(differenceView),
    notices,
    config: shown(config),
  });
}

function historyReply({ version, history }: ConfigAdmin): Reply {
  return versioned(version, {
    version,
    history: history.map((entry) => ({
      version: entry.version,
      at: new Date(entry.at).toISOString(),
      by: entry.by,
      read_from: entry.document.name,
      changes: entry.changes,
      waits_for_restart: entry.waiting,
    })),
  });
}

function resultReply({ version, changes, waiting, notices }: ChangeResult): Reply {
  return versioned(version, {
    version,
    changes: changes.map(differenceView),
    waits_for_restart: waiting.map(differenceView),
    notices,
  });
}

function versioned(version: number, body: object): Reply {
  const reply = jsonReply(body);
  reply.headers["etag"] = `"${version}"`;
  return reply;
}

function differenceView(difference: ConfigDifference): object {
  const { path, kind, before, after } = difference;
  return { path, kind, before, after, text: inWords(difference) };
}
