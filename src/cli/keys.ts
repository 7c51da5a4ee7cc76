import { existsSync } from "node:fs";
import { ConfigError } from "../config/config-error.ts";
import { GatewayError } from "../errors/errors.ts";
import { KeyAdmin } from "../keys/key-admin.ts";
import { keyView } from "../keys/key-view.ts";
import { SqliteKeyStore } from "../keys/sqlite-key-store.ts";
import { isRecord } from "../util/objects.ts";
import { askAdministration } from "./ask-administration.ts";
import { type CommandOutput, jsonText, PROCESS } from "./command-output.ts";
import type { KeysArguments } from "./keys-commands.ts";
import { textTable } from "./text-table.ts";

type Answer = Readonly<Record<string, unknown>>;

/** Keys on one page of a list. */
const PAGE = 1000;

/**
 * `pointsman keys`: in the file of the store, or over the administration of a running gateway. A key's text is alone on the standard output,
 * so that a script can take it. Throws ConfigError.
 */
export async function keys(given: KeysArguments, output: CommandOutput = PROCESS): Promise<void> {
  const { command, isJson } = given;
  if (command === "list") {
    const all = given.store === undefined ? await listOfGateway(given, output) : await listOfStore(given.store);
    output.out(isJson ? jsonText({ keys: all }) : table(all));
    return;
  }
  const answer =
    given.store === undefined ? await changeAtGateway(given, output) : await changeInStore(given.store, given);
  const { key: text, ...view } = answer;
  if (isJson) output.out(jsonText(answer));
  else if (typeof text === "string") output.out(`${text}\n`);
  else output.out(lines(view));
  if (!isJson && typeof text === "string") output.err(`pointsman: the key ${said(view["name"])} is shown this once\n`);
}

async function changeAtGateway(
  { command, key, wish, gateway }: KeysArguments,
  { env }: CommandOutput,
): Promise<Answer> {
  const path = `/keys/${encodeURIComponent(key)}`;
  const body = JSON.stringify(command === "create" ? { ...wish, name: key } : wish);
  const headers = { "content-type": "application/json" };
  switch (command) {
    case "create":
      return askAdministration(gateway, env, { method: "POST", path: "/keys", body, headers });
    case "update":
      return askAdministration(gateway, env, { method: "PATCH", path, body, headers });
    case "rotate":
      return askAdministration(gateway, env, { method: "POST", path: `${path}/rotate`, body, headers });
    case "revoke":
      return askAdministration(gateway, env, { method: "DELETE", path });
    case "show":
    case "list":
      return askAdministration(gateway, env, { method: "GET", path });
  }
}

async function changeInStore(path: string, { command, key, wish }: KeysArguments): Promise<Answer> {
  const change = async (admin: KeyAdmin): Promise<Answer> => {
    switch (command) {
      case "create":
        return shown(await admin.create({ ...wish, name: key }));
      case "update":
        return viewOf(await admin.update(key, wish));
      case "rotate":
        return shown(await admin.rotate(key, wish));
      case "revoke":
        return viewOf(await admin.revoke(key));
      case "show":
      case "list":
        return viewOf(await admin.show(key));
    }
  };
  return inStore(path, change, { mayMake: command === "create" });
}

async function listOfGateway({ gateway }: KeysArguments, { env }: CommandOutput): Promise<Answer[]> {
  const all: Answer[] = [];
  for (let after = ""; ;) {
    const query = after === "" ? "" : `&after=${encodeURIComponent(after)}`;
    const answer = await askAdministration(gateway, env, { method: "GET", path: `/keys?limit=${PAGE}${query}` });
    const page = Array.isArray(answer["keys"]) ? answer["keys"].filter(isRecord) : [];
    all.push(...page);
    if (page.length < PAGE) return all;
    after = said(page.at(-1)?.["id"]);
  }
}

function listOfStore(path: string): Promise<Answer[]> {
  return inStore(path, async (admin) => {
    const all: Answer[] = [];
    for (let after: string | undefined; ;) {
      const page = await admin.list(PAGE, after);
      all.push(...page.map(viewOf));
      if (page.length < PAGE) return all;
      after = page.at(-1)?.id;
    }
  });
}

async function inStore<T>(path: string, action: (admin: KeyAdmin) => Promise<T>, { mayMake = false } = {}): Promise<T> {
  try {
    // A list of a file that is spelt wrong must not be an empty one, and leave a new file behind.
    if (!mayMake && !existsSync(path)) throw new ConfigError(path, "there is no such file; `keys create` makes one");
    await using store = SqliteKeyStore.open(path);
    return await action(new KeyAdmin(store));
  } catch (error) {
    if (error instanceof GatewayError) throw new ConfigError(path, error.message);
    throw error;
  }
}

function viewOf(record: Parameters<typeof keyView>[0]): Answer {
  return { ...keyView(record, "store", Date.now()) };
}

function shown({ record, text }: Awaited<ReturnType<KeyAdmin["create"]>>): Answer {
  return { ...viewOf(record), key: text };
}

const COLUMNS = ["id", "name", "state", "roles", "models", "priority", "expires_at"] as const;

function table(all: readonly Answer[]): string {
  const rows = [[...COLUMNS], ...all.map((key) => COLUMNS.map((column) => said(key[column])))];
  return textTable(rows);
}

function lines(view: Answer): string {
  return Object.entries(view)
    .map(([name, value]) => `${name}: ${said(value)}\n`)
    .join("");
}

function said(value: unknown): string {
  if (value === null || value === undefined) return "-";
  if (Array.isArray(value)) return value.map(said).join(",");
  return typeof value === "string" ? value : JSON.stringify(value);
}
