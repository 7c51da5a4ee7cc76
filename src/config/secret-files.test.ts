import { describe, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "./config-error.ts";
import { readWorkersFile } from "./workers-file.ts";
import { type ConfigSources, loadConfig, type LoadedConfig, NO_FLAGS } from "./load.ts";

const directory = mkdtempSync(join(tmpdir(), "pointsman-secrets-"));
const secretFile = (name: string, text: string): string => {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
};
/** All characters that a header's value has in any place. */
const PRINTABLE = Array.from({ length: 94 }, (_none, index) => String.fromCharCode(0x21 + index)).join("");
const KEY = secretFile("key", "hush\n");
const OTHER = secretFile("other", "hush-too\r\n\n");

function load(text: string, more: Partial<ConfigSources> = {}): LoadedConfig {
  return loadConfig({ document: { name: "f.yaml", text }, env: {}, flags: NO_FLAGS, ...more });
}

function mistakes(text: string, more: Partial<ConfigSources> = {}): string[] {
  try {
    load(text, more);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message.split("\n");
  }
}

test("a secret that no bearer token can be is refused, wherever it stands, and does not print", () => {
  const text = "has a space or a character beyond ASCII, which no bearer token can have";
  for (const wrong of ["hush hush", " hush", "hush ", "h\u00FCsh", "hush\u2028", "\uFEFFhush"]) {
    const key = JSON.stringify(wrong);
    expect(
      mistakes(
        `api_key: ${key}\napi_keys: [{name: a, key: ${key}}]\ninitial_workers: [{url: "http://a:1", api_key: ${key}}]`,
      ),
    ).toEqual([
      `f.yaml:1:10: api_key ${text}`,
      `f.yaml:2:27: api_keys[0].key ${text}`,
      `f.yaml:3:48: initial_workers[0].api_key ${text}`,
    ]);
    expect(mistakes("", { env: { POINTSMAN_ADMIN_API_KEY: wrong } })).toEqual([`POINTSMAN_ADMIN_API_KEY: ${text}`]);
  }
  expect(mistakes(`api_key_file: ${secretFile("two-words", "one two\n")}`).join()).toContain(text);
  expect(load(`api_key: ${JSON.stringify(PRINTABLE)}`).config.apiKey?.reveal()).toBe(PRINTABLE);
});

describe("a secret in a file of its own", () => {
  test("is read wherever a secret may stand, without the line break at its end", () => {
    const { config } = load(
      [
        `admin_api_key_file: ${KEY}`,
        `worker_api_key_file: "${KEY}"`,
        `api_keys: [{ name: a, key_file: ${OTHER} }]`,
        `initial_workers: [{ url: "http://a:1", api_key_file: ${OTHER} }, { url: "http://b:1" }]`,
      ].join("\n"),
    );
    expect([
      config.adminApiKey?.reveal(),
      config.apiKeys[0]?.key.reveal(),
      ...config.initialWorkers.map(({ apiKey }) => apiKey?.reveal()),
    ]).toEqual(["hush", "hush-too", "hush-too", "hush"]);
  });

  test("may be named by a flag or a variable, which come before the key itself in the file", () => {
    const flags = { values: new Map([["apiKeyFile" as const, KEY]]), workers: [] };
    expect(load("api_key: x", { flags }).config.apiKey?.reveal()).toBe("hush");
    expect(load("api_key: x", { env: { POINTSMAN_API_KEY_FILE: OTHER } }).config.apiKey?.reveal()).toBe("hush-too");
    expect(load(`api_key_file: ${KEY}`, { env: { POINTSMAN_API_KEY: "y" } }).config.apiKey?.reveal()).toBe("y");
    const { config, notices } = load("", { env: { POINTSMAN_API_KEY_FILE: KEY, POINTSMAN_WORKER: "http://a:1" } });
    expect(config.initialWorkers[0]?.apiKey?.reveal()).toBe("hush");
    expect(notices.join()).toContain("POINTSMAN_API_KEY_FILE is also sent to the workers");
  });

  test("is read each time that the configuration is", () => {
    const path = secretFile("rotated", "one");
    const now = (): unknown => load(`api_key_file: ${path}`).config.apiKey?.reveal();
    const before = now();
    writeFileSync(path, "two\n");
    expect([before, now()]).toEqual(["one", "two"]);
  });

  test("is named as the place where it is from", () => {
    const { originOf } = load(`api_key_file: ${KEY}`);
    expect(originOf(["apiKey"])).toBe("f.yaml:1:15, the file named there");
  });

  test("that cannot be had is an error at its place, and nothing else is said of it", () => {
    const empty = secretFile("empty", "\n");
    const large = secretFile("large", "x".repeat(70_000));
    expect(
      mistakes(
        `api_key_file: /nowhere\napi_keys:\n  - { name: a, key_file: ${empty} }\n  - { name: b, key_file: ${large} }\n  - { name: c, key_file: ${KEY}, key: x }`,
      ),
    ).toEqual([
      "f.yaml:1:15: api_key_file /nowhere cannot be read: there is no such file",
      `f.yaml:3:26: api_keys[0].key_file ${empty} cannot be read: it is empty`,
      `f.yaml:4:26: api_keys[1].key_file ${large} cannot be read: it is larger than 65536 bytes`,
      "f.yaml:5:26: api_keys[2].key_file stands beside key: one of them is enough",
    ]);
    const lines = secretFile("lines", "# mine\nhush\n");
    expect(mistakes(`worker_api_key_file: ${lines}`)).toEqual([
      `f.yaml:1:22: worker_api_key_file ${lines} cannot be read: it has several lines, and a secret stands alone on one`,
    ]);
    expect(mistakes("", { env: { POINTSMAN_API_KEY_FILE: KEY, POINTSMAN_API_KEY: "x" } })).toEqual([
      "POINTSMAN_API_KEY_FILE: stands beside POINTSMAN_API_KEY: one of them is enough",
      "POINTSMAN_API_KEY: stands beside POINTSMAN_API_KEY_FILE: one of them is enough",
    ]);
  });

  test("stands only beside a secret", () => {
    expect(mistakes(`host_file: ${KEY}`)).toEqual([expect.stringContaining("unknown key host_file")]);
    expect(mistakes(`initial_workers: [{ url: "http://a:1", url_file: ${KEY} }]`).join()).toContain("url_file");
  });
});

describe("a document from elsewhere", () => {
  const allowed = new Set([KEY]);

  test("names the files that it may, and no others: of secrets, and of anything else", () => {
    expect(load(`api_key_file: ${KEY}`, { allowed }).config.apiKey?.reveal()).toBe("hush");
    for (const [text, place] of [
      [`worker_api_key_file: ${OTHER}`, "worker_api_key_file"],
      [`api_keys: [{ name: a, key_file: ${OTHER} }]`, "api_keys[0].key_file"],
      [`chat_template: ${OTHER}`, "chat_template"],
      [`policy_module: ${OTHER}`, "policy_module"],
      [`initial_workers: [{ url: "http://a:1", labels: { tokenizer_path: ${OTHER} } }]`, "tokenizer_path"],
    ] as const) {
      const [first = ""] = mistakes(text, { allowed });
      expect(first).toContain(place);
      expect(first).toContain("a document from elsewhere may not");
    }
  });

  test("does not lose what flags and variables of the start name", () => {
    const env = { POINTSMAN_API_KEY_FILE: OTHER };
    expect(load("queue_size: 1", { allowed, env }).config.apiKey?.reveal()).toBe("hush-too");
  });

  test("is told with each configuration what its file takes from outside", () => {
    const { references } = load(`api_key_file: ${KEY}\nmodel_path: \${M}`, { env: { M: "m" } });
    expect([...references].sort()).toEqual(["${M}", KEY].sort());
  });
});

test("a secret in a pipe is taken at the start, and refused when it is read again, as nobody may write to it any more", () => {
  const pipe = join(directory, "pipe");
  expect(Bun.spawnSync(["mkfifo", pipe]).exitCode).toBe(0);
  const config = join(directory, "pipe.yaml");
  writeFileSync(config, `api_key_file: ${pipe}`);
  Bun.spawn(["sh", "-c", `echo hush > ${pipe}`]);
  expect(loadConfig({ file: config, env: {}, flags: NO_FLAGS }).config.apiKey?.reveal()).toBe("hush");
  expect(mistakes(`api_key_file: ${pipe}`)).toEqual([
    `f.yaml:1:15: api_key_file ${pipe} cannot be read: it cannot be read again, as a file can`,
  ]);
  const workers = join(directory, "workers.yaml");
  writeFileSync(workers, `[{url: "http://a:1", api_key_file: ${pipe}}]`);
  const rules = { enableIgw: false, pdDisaggregation: false, workerApiKey: undefined };
  expect(() => readWorkersFile(workers, rules, {})).toThrow("it cannot be read again");
});
