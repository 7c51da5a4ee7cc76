import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { ConfigError } from "./config-error.ts";
import { loadConfig, type LoadedConfig, NO_FLAGS } from "./load.ts";

type Env = Readonly<Record<string, string>>;

function load(text: string, env: Env = {}, allowed?: readonly string[]): LoadedConfig {
  return loadConfig({
    document: { name: "f.yaml", text },
    env,
    flags: NO_FLAGS,
    allowed: allowed && new Set(allowed),
  });
}

function mistakes(text: string, env: Env = {}, allowed?: readonly string[]): string[] {
  try {
    load(text, env, allowed);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message.split("\n");
  }
}

describe("a variable in the file", () => {
  test("is filled, alone and within a text, in quotes and blocks, in lists and deep in mappings", () => {
    const { config } = load(
      [
        "model_path: ${A}",
        'host: "10.0.0.${B}"',
        "chat_template: >-",
        "  ${A}",
        "initial_workers:",
        "  - url: http://${A}:800${B}",
        '    labels: { zone: "${A}-${B}" }',
        '    health: { endpoint: "/${A}" }',
      ].join("\n"),
      { A: "a", B: "7" },
    );
    expect(config).toMatchObject({
      modelPath: "a",
      host: "10.0.0.7",
      chatTemplate: "a",
      initialWorkers: [{ url: "http://a:8007", labels: { zone: "a-7" }, health: { endpoint: "/a" } }],
    });
  });

  test("has the type that the option wants", () => {
    const text =
      'port: ${N}\nenable_igw: "${T}"\nmodel_aliases: ${L}\nqueue_timeout_secs: ${D}\nmodel_path: ${N}\ncontinue_streams: ${T}';
    expect(load(text, { N: "8080", T: "true", L: "a=b, c=d", D: "1.5" }).config).toMatchObject({
      port: 8080,
      enableIgw: true,
      modelAliases: ["a=b", "c=d"],
      queueTimeoutSecs: 1.5,
      modelPath: "8080",
      continueStreams: ["*"],
    });
    expect(mistakes("port: ${N}", { N: "http" })).toEqual([
      'f.yaml:1:7: port must be a whole number from 0 to 65535, not "http"',
    ]);
  });

  test("has its default where it is not set or empty; the default may be empty", () => {
    expect(load("model_path: ${A:-b}\nhost: x${B:-}y", { A: "" }).config).toMatchObject({ modelPath: "b", host: "xy" });
    expect(load("model_path: ${A:-b}", { A: "a" }).config.modelPath).toBe("a");
    expect(load("model_path: ${A:-http://x:1/${B}", {}).config.modelPath).toBe("http://x:1/${B");
  });

  test("stays as it stands behind a second dollar sign, and in a comment", () => {
    expect(load("model_path: $${A}-$x # ${B}", {}).config.modelPath).toBe("${A}-$x");
  });

  test("that is not set, or is none, is an error at its place, and all are told together", () => {
    expect(
      mistakes(
        'host: x${A}\nmodel_path: "${B}"\ninitial_workers:\n  - url: http://h:${C-1}\nlabels:\n  ${D}: 1\nlog_level: ${E\n',
      ),
    ).toEqual([
      "f.yaml:1:7: the variable A is not set; set it, or write ${A:-default}",
      "f.yaml:2:13: the variable B is not set; set it, or write ${B:-default}",
      "f.yaml:4:10: ${C-1} is no variable: write ${NAME}, or ${NAME:-default}; $${ stands for ${ itself",
      "f.yaml:6:3: ${D} stands in a key: only values are filled",
      "f.yaml:7:12: ${E is no variable: write ${NAME}, or ${NAME:-default}; $${ stands for ${ itself",
      "f.yaml:5:1: unknown key labels",
    ]);
  });

  test("may hold a secret, which no message shows", () => {
    const { config, references } = load("api_key: ${KEY}", { KEY: "hush" });
    expect([config.apiKey?.reveal(), [...references]]).toEqual(["hush", ["${KEY}"]]);
    expect(mistakes("api_keys: [{ name: a, key: ${KEY}, priority: ${KEY} }]", { KEY: "hush" }).join()).not.toContain(
      "hush\n",
    );
  });

  test("is never read as YAML, whatever it holds", () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, maxLength: 40 }).filter((value) => value.trim() !== ""),
        (value) => {
          expect(load("model_path: x${A}", { A: value }).config.modelPath).toBe(`x${value}`);
          expect(
            load('initial_workers: [{ url: "http://a:1", labels: { l: "${A}" } }]', { A: value }).config,
          ).toMatchObject({
            initialWorkers: [{ labels: { l: value } }],
          });
        },
      ),
    );
  });

  test("stands for the same as its value would, written out", () => {
    const value = fc.oneof(fc.integer({ min: 0, max: 60_000 }).map(String), fc.constantFrom("true", "false", "a.b"));
    fc.assert(
      fc.property(fc.constantFrom("port", "enable_igw", "host", "queue_size"), value, (key, text) => {
        // A switch takes 1 and 0 from variables, as POINTSMAN_ENABLE_IGW does.
        fc.pre(key !== "enable_igw" || !/^[01]$/.test(text));
        const outcome = (given: string, env: Env): unknown => {
          try {
            return load(given, env).config;
          } catch (error) {
            return error instanceof ConfigError ? "refused" : error;
          }
        };
        const written = key === "host" ? stringify({ [key]: text }) : `${key}: ${text}`;
        expect(outcome(`${key}: \${A}`, { A: text })).toEqual(outcome(written, {}));
      }),
    );
  });
});

describe("a document from elsewhere", () => {
  test("uses the variables that it may, and no others, whether they are set or not", () => {
    expect(load("model_path: ${A}", { A: "a" }, ["${A}"]).config.modelPath).toBe("a");
    for (const env of [{ B: "b" }, {}]) {
      expect(mistakes("model_path: ${B}\nhost: ${B:-x}", env, ["${A}"])).toEqual([
        "f.yaml:1:13: ${B} is not used by the gateway's own file, so a document from elsewhere may not use it",
        "f.yaml:2:7: ${B} is not used by the gateway's own file, so a document from elsewhere may not use it",
      ]);
    }
  });
});
