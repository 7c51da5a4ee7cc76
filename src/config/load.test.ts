import { describe, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keysOf } from "../util/objects.ts";
import { POLICY_NAMES } from "../policy/policy-names.ts";
import { ConfigError } from "./config-error.ts";
import { type GivenWorker, loadConfig, NO_FLAGS } from "./load.ts";
import type { GivenFlags } from "./merged.ts";
import { envName, flagName, optionKind } from "./options.ts";
import { type Config, type ConfigKey, configSchema } from "./schema.ts";

const directory = mkdtempSync(join(tmpdir(), "pointsman-config-"));
const path = join(directory, "config.yaml");

function load(yaml: string, flags: Partial<GivenFlags> = {}, env: Record<string, string> = {}): Config {
  writeFileSync(path, yaml);
  return loadConfig({ file: path, env, flags: { ...NO_FLAGS, ...flags } }).config;
}

/** The error without the name of the file. */
function refusal(yaml: string, flags: Partial<GivenFlags> = {}, env: Record<string, string> = {}): string {
  try {
    load(yaml, flags, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.replace(`${path}:`, "");
    throw error;
  }
  return "";
}

describe("the file", () => {
  test("of the seed loads unchanged", async () => {
    const config = load(await Bun.file(join(import.meta.dir, "../../examples/seed.yaml")).text());
    expect(config.defaultPolicy).toBe("round_robin");
    expect(config.modelPolicies.patterns).toEqual([
      { match: "llama-*", policy: "cache_aware", config: { cacheThreshold: 0.7 } },
      { match: "*-instruct", policy: "shortest_queue", config: {} },
      { match: "gpt-*", policy: "cache_aware", config: { cacheThreshold: 0.8 } },
    ]);
    expect(config.initialWorkers.map(({ url, modelId }) => [url, modelId])).toEqual([
      ["http://gpu1:8080", "llama-3"],
      ["http://gpu2:8080", "llama-3"],
    ]);
  });

  test("may be empty", () => {
    expect(load("")).toEqual(loadConfig({ env: {}, flags: NO_FLAGS }).config);
  });

  test("keeps labels as they are written", () => {
    const config = load("initial_workers:\n  - url: http://a:1\n    labels: {some_key: x, otherKey: y}");
    expect(config.initialWorkers[0]?.labels).toEqual({ some_key: "x", otherKey: "y" });
  });
});

describe("refused with its place is", () => {
  const cases: readonly [name: string, yaml: string, message: string][] = [
    ["an unknown key", "port: 1\nprot: 2", "2:1: unknown key prot; did you mean port?"],
    [
      "a key in another case",
      "requestTimeoutSecs: 5",
      "1:1: unknown key requestTimeoutSecs; did you mean request_timeout_secs?",
    ],
    ["a flag's name", "policy: random", "1:1: unknown key policy; did you mean default_policy?"],
    ["another word for workers", "workers: []", "1:1: unknown key workers; did you mean initial_workers?"],
    [
      "an unknown key of a worker",
      "initial_workers:\n  - url: http://a:1\n    modle_id: x",
      "3:5: unknown key initial_workers[0].modle_id; did you mean model_id?",
    ],
    [
      "a key of a worker in another case",
      "initial_workers:\n  - url: http://a:1\n    modelId: x",
      "3:5: unknown key initial_workers[0].modelId; did you mean model_id?",
    ],
    [
      "an unknown key of a worker's health",
      "initial_workers:\n  - url: http://a:1\n    health: {timeout_sec: 1}",
      "3:14: unknown key initial_workers[0].health.timeout_sec; did you mean timeout_secs?",
    ],
    [
      "a list with too few entries",
      "model_routes: [{model: a, targets: []}]",
      "1:36: model_routes[0].targets must be a list of 1 to 16 entries, not one of 0",
    ],
    [
      "a list with too many entries",
      `worker_dns: [${Array.from({ length: 65 }, () => "http://e:1").join(", ")}]`,
      "1:13: worker_dns must be a list of at most 64 entries, not one of 65",
    ],
    ["workers that are no list", "initial_workers: {url: x}", "1:18: initial_workers must be a list, not a mapping"],
    [
      "a worker that is only an address",
      "initial_workers: [a:1]",
      '1:19: initial_workers[0] must be a mapping of options, not "a:1"',
    ],
    [
      "an unknown policy as a worker's label",
      "initial_workers:\n  - url: http://a:1\n    labels: {policy: nope}",
      '3:22: unknown policy "nope"',
    ],
    [
      "a pattern with wild cards that are none",
      'model_policies:\n  patterns:\n    - match: "llama-[23]"\n      policy: random',
      "3:14: model_policies.patterns[0].match must not have [ ] or { }: only * and ? are wild cards",
    ],
    ["an origin with a path", "cors_allowed_origins: [https://a/b]", "1:24: cors_allowed_origins[0] must be an origin"],
    ["a secret as it prints", 'api_key: "[redacted]"', "1:10: api_key is what stands in print for a secret"],
    ["a wrong type", "host: x\nport: many", '2:7: port must be a whole number from 0 to 65535, not "many"'],
    [
      "a worker given twice",
      "initial_workers:\n  - url: http://a:1\n  - url: HTTP://A:1/",
      "3:10: the worker http://a:1 is given twice",
    ],
    [
      "a worker's url that is none",
      'initial_workers:\n  - url: "file:///x"',
      '2:10: initial_workers[0].url must be the address of a worker, not "file:///x": the scheme',
    ],
    [
      "a prefill worker where prefill and decode are not apart",
      "initial_workers:\n  - url: http://a:1\n    worker_type: prefill",
      "3:18: a prefill worker needs --pd-disaggregation, or --enable-igw where there are others besides",
    ],
    [
      "a regular worker where they are",
      "pd_disaggregation: true\ninitial_workers:\n  - url: http://a:1",
      "3:5: with --pd-disaggregation workers are --prefill and --decode",
    ],
    [
      "an empty pattern",
      'model_policies:\n  patterns:\n    - match: ""\n      policy: random',
      "3:14: model_policies.patterns[0].match",
    ],
    ["an unknown policy", "default_policy: cash_aware", '1:17: unknown policy "cash_aware"; did you mean cache_aware?'],
    [
      "an unknown policy of a pattern",
      "model_policies:\n  patterns:\n    - match: a\n      policy: nope",
      '4:15: unknown policy "nope"',
    ],
    [
      "an unknown option of a policy",
      "model_policies:\n  patterns:\n    - match: a\n      policy: cache_aware\n      config: {cache_treshold: 1}",
      "5:16: unknown key model_policies.patterns[0].config.cache_treshold; did you mean cache_threshold?",
    ],
    [
      "an option that the policy does not have",
      "model_policies:\n  patterns:\n    - match: a\n      policy: random\n      config: {cache_threshold: 1}",
      "5:15: model_policies.patterns[0].config must be empty: the policy random takes no options",
    ],
    ["a key given twice", "port: 1\nport: 2", "2:1: this key is given twice"],
    ["broken YAML", "port: [1", "1:9: "],
    ["a number that is too large", "port: 65536", "1:7: port must be a whole number from 0 to 65535, not 65536"],
    ["a fraction", "port: 1.5", "1:7: port must be a whole number from 0 to 65535, not 1.5"],
    [
      "a number of seconds below what is taken",
      "queue_timeout_secs: 0",
      "1:21: queue_timeout_secs must be a number above 0 and at most 86400, not 0",
    ],
    ["a switch that is none", "enable_igw: maybe", '1:13: enable_igw must be true or false, not "maybe"'],
    [
      "a name that is none of some",
      "log_level: loud",
      '1:12: log_level must be one of trace, debug, info, warn, error, fatal, silent, not "loud"',
    ],
    ["an empty text", 'host: ""', '1:7: host must be a text that is not empty, not ""'],
    ["nothing where a text belongs", "host:", "1:6: host must be a text that is not empty, not null"],
    ["a path without a slash", "health_check_endpoint: health", "1:24: health_check_endpoint must begin with /"],
    ["a worker without an address", "initial_workers: [{model_id: x}]", "1:19: initial_workers[0].url is missing"],
    [
      "a worker on port 0",
      "initial_workers: [{url: http://a:0}]",
      '1:25: initial_workers[0].url must be the address of a worker, not "http://a:0": nothing can be reached on port 0',
    ],
    [
      "a worker below a path",
      "initial_workers: [{url: http://a/x/v1}]",
      '1:25: initial_workers[0].url must be the address of a worker, not "http://a/x/v1": it must not have a path',
    ],
    [
      "a secret of the wrong type, which does not print",
      "api_key: 12345",
      "1:10: api_key must be a text that is not empty",
    ],
    [
      "a variable that nobody fills in",
      "api_key: ${POINTSMAN_SECRET}",
      "1:10: the variable POINTSMAN_SECRET is not set; set it, or write ${POINTSMAN_SECRET:-default}",
    ],
    [
      "a variable within a value",
      "initial_workers:\n  - url: http://${HOST}:8000",
      "2:10: the variable HOST is not set",
    ],
    ["a variable as LiteLLM writes it", "api_key: os.environ/KEY", "1:10: os.environ/KEY would be taken as it stands"],
    ["a variable without braces", "api_key: $MY_API_KEY", "1:10: $MY_API_KEY would be taken as it stands"],
    ["a variable with a source", "api_keys: [{name: a, key: '${env:KEY}'}]", "1:27: ${env:KEY} is no variable"],
    ["a list instead of a mapping", "- a\n- b", "1:1: the file must be a mapping"],
    [
      "a credential header to pass on",
      "forward_headers: [Authorization]",
      "1:19: forward_headers[0] carries credentials",
    ],
    ["a tag that would make objects", "host: !!js/function 'x'", "1:7: Unresolved tag"],
    ["a __proto__ key", "__proto__:\n  admin: true", "1:1: unknown key __proto__"],
    [
      "a __proto__ key among labels",
      "initial_workers:\n  - url: http://a:1\n    labels: {__proto__: x}",
      "3:14: unknown key __proto__",
    ],
  ];
  for (const [name, yaml, message] of cases) {
    test(name, () => {
      expect(refusal(yaml)).toStartWith(message);
      // Workers of the command line do not hide mistakes of the file's list.
      expect(refusal(yaml, { workers: ["http://b:2"] })).toStartWith(message);
    });
  }

  test("everything that is wrong, in one go", () => {
    const yaml = [
      "port: many",
      "prot: 2",
      "initial_workers:",
      "  - url: file:///x",
      "    modle_id: y",
      "  - url: http://a:1",
      "  - url: http://a:1/v1",
      "default_policy: nope",
      "queue_size: -1",
    ].join("\n");
    const flags = { values: new Map([["retryJitterFactor", "2"]] as [ConfigKey, string][]), workers: ["ftp://b"] };
    const text = refusal(yaml, flags, { POINTSMAN_ENABLE_IGW: "maybe", POINTSMAN_API_KEYS: "x" });
    expect(text.replaceAll(`${path}:`, "").split("\n")).toEqual([
      "POINTSMAN_API_KEYS: has more structure than a variable can hold; it is set in the file (--config)",
      '1:7: port must be a whole number from 0 to 65535, not "many"',
      '4:10: initial_workers[0].url must be the address of a worker, not "file:///x": the scheme file:// is not one of http, https, grpc, grpcs',
      "5:5: unknown key initial_workers[0].modle_id; did you mean model_id?",
      '--worker: must be the address of a worker, not "ftp://b": the scheme ftp:// is not one of http, https, grpc, grpcs',
      'POINTSMAN_ENABLE_IGW: must be true or false, not "maybe"',
      "9:13: queue_size must be a whole number from 0 to 1000000, not -1",
      "--retry-jitter-factor: must be a number from 0 to 1, not 2",
      "2:1: unknown key prot; did you mean port?",
      "7:10: the worker http://a:1 is given twice",
      `8:17: unknown policy "nope"; the policies are ${POLICY_NAMES.join(", ")}`,
    ]);
  });

  test("of a thousand things the first hundred, at once", () => {
    const started = process.cpuUsage();
    const lines = refusal(Array.from({ length: 5000 }, (_, at) => `prot_${at}: 1`).join("\n")).split("\n");
    expect([lines.length, lines.at(-1)]).toEqual([101, "config: and more is wrong"]);
    const { user, system } = process.cpuUsage(started);
    expect((user + system) / 1000).toBeLessThan(2000);
  });

  test.each([
    ["of an option that is there many times", "queue_size: 1\n".repeat(2000)],
    ["of lines that are no YAML", "a: b: c\n".repeat(2000)],
    ["of variables that are not set", Array.from({ length: 2000 }, (_, row) => `k${row}: \${NONE_${row}}\n`).join("")],
  ])("%s, as far as anybody reads", (_, text) => {
    const lines = refusal(text).split("\n");
    expect([lines.length, lines.at(-1)]).toEqual([101, "config: and more is wrong"]);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(500);
  });

  test.each([
    ["lists", "[".repeat(20_000)],
    ["mappings", `${"{a: ".repeat(5000)}1${"}".repeat(5000)}`],
  ])("of %s that are nested far too deep, before they are read", (_, text) => {
    expect(refusal(text)).toEndWith("more than 32 levels");
  });

  test("each place where the text is no YAML", () => {
    expect(refusal("port: 1\nport: 2\nhost: [a").split("\n").length).toBe(2);
  });

  test("a file of aliases that multiply", () => {
    const levels = Array.from(
      { length: 9 },
      (_, level) =>
        `l${level}: &l${level} [${level === 0 ? "x" : Array.from({ length: 9 }, () => `*l${level - 1}`).join(",")}]`,
    );
    const started = performance.now();
    expect(refusal(levels.join("\n"))).toContain("alias");
    expect(performance.now() - started).toBeLessThan(200);
  });

  test("a file that is not there", () => {
    expect(() => loadConfig({ file: "/nowhere/x.yaml", env: {}, flags: NO_FLAGS })).toThrow(
      "/nowhere/x.yaml: there is no such file",
    );
  });

  test("a value of the environment or a flag, by its name", () => {
    expect(refusal("", {}, { POINTSMAN_PORT: "many" })).toBe(
      'POINTSMAN_PORT: must be a whole number from 0 to 65535, not "many"',
    );
    expect(refusal("", { values: new Map([["port", "many"]]) })).toBe(
      '--port: must be a whole number from 0 to 65535, not "many"',
    );
    expect(refusal("initial_workers: [{url: http://a:1}]", { workers: ["http://a:1"] })).toStartWith(
      "--worker: the worker http://a:1 is given twice",
    );
    expect(refusal("", { workers: ["ftp://x"] })).toStartWith(
      '--worker: must be the address of a worker, not "ftp://x": the scheme ftp:// is not one of',
    );
  });
});

describe("where an option comes from", () => {
  test("flags before environment before file before default", () => {
    const flags = { values: new Map([["port", "4"]] as [ConfigKey, string][]) };
    const env = { POINTSMAN_PORT: "3", POINTSMAN_QUEUE_SIZE: "3" };
    const config = load("port: 2\nqueue_size: 2\nretry_initial_backoff_ms: 2", flags, env);
    expect([config.port, config.queueSize, config.retryInitialBackoffMs, config.healthFailureThreshold]).toEqual([
      4, 3, 2, 3,
    ]);
  });

  test("workers of file and flags are one list", () => {
    const config = load("initial_workers:\n  - url: http://a:1\n    model_id: m", { workers: ["b:2", "http://c:3"] });
    expect(config.initialWorkers.map(({ url }) => url)).toEqual(["http://a:1", "http://b:2", "http://c:3"]);
  });

  test("lists and switches as text", () => {
    const config = load(
      "",
      {},
      {
        POINTSMAN_ENABLE_IGW: "true",
        POINTSMAN_CORS_ALLOWED_ORIGINS: "http://a, http://b",
        POINTSMAN_INITIAL_WORKERS: "a:1,b:2",
      },
    );
    expect([config.enableIgw, config.corsAllowedOrigins, config.initialWorkers.length]).toEqual([
      true,
      ["http://a", "http://b"],
      2,
    ]);
  });

  test("a list as a flag has its items apart or in one word", () => {
    const values = new Map([["corsAllowedOrigins", ["http://a,http://b", "http://c"]]] as [ConfigKey, string[]][]);
    expect(load("", { values }).corsAllowedOrigins).toEqual(["http://a", "http://b", "http://c"]);
  });

  test("workers of the environment take the place of the file's, and flags add to them", () => {
    const config = load("initial_workers: [{url: a:1}]", { workers: ["c:3"] }, { POINTSMAN_INITIAL_WORKERS: "b:2" });
    expect(config.initialWorkers.map(({ url }) => url)).toEqual(["http://b:2", "http://c:3"]);
    expect(config.initialWorkers.map(({ source }) => source)).toEqual(["environment", "command_line"]);
  });

  test("a worker knows whether the file or the command line names it", () => {
    const config = load("initial_workers: [{url: a:1}]", { workers: ["b:2", { flag: "--worker", url: "c:3" }] });
    expect(config.initialWorkers.map(({ url, source }) => [url, source])).toEqual([
      ["http://a:1", "file"],
      ["http://b:2", "command_line"],
      ["http://c:3", "command_line"],
    ]);
  });

  test("names are derived by one rule, and no two options have the same", () => {
    const keys = Object.keys(configSchema.shape) as ConfigKey[];
    expect(new Set(keys.map(flagName)).size).toBe(keys.length);
    expect([flagName("requestTimeoutSecs"), envName("requestTimeoutSecs")]).toEqual([
      "--request-timeout-secs",
      "POINTSMAN_REQUEST_TIMEOUT_SECS",
    ]);
  });
});

test("more than one retry is taken as one, and said", () => {
  const { notices } = loadConfig({ env: { POINTSMAN_RETRY_MAX_RETRIES: "5" }, flags: NO_FLAGS });
  expect(notices.join()).toContain("a generation is started at most twice");
});

test("a policy module whose policy nothing names is said to be unused", () => {
  const noticesOn = (yaml: string): string => {
    writeFileSync(path, `policy_module: mine.ts\n${yaml}`);
    return loadConfig({ file: path, env: {}, flags: NO_FLAGS }).notices.join();
  };
  expect(noticesOn("default_policy: random\n")).toContain("nothing names its policy");
  expect(noticesOn("default_policy: mine\n")).toBe("");
  expect(noticesOn("initial_workers: [{url: http://a:1, policy: mine}]\n")).toBe("");
});

describe("a variable that is not an option", () => {
  const given = (env: Record<string, string>): { readonly port: number; readonly notices: string } => {
    const { config, notices } = loadConfig({ env: { POINTSMAN_HOST: "127.0.0.1", ...env }, flags: NO_FLAGS });
    return { port: config.port, notices: notices.join("\n") };
  };

  test("but nearly one is said", () => {
    expect(given({ POINTSMAN_QUEUE_SIZ: "1" }).notices).toBe(
      "POINTSMAN_QUEUE_SIZ is no option and is not taken; did you mean POINTSMAN_QUEUE_SIZE?",
    );
  });

  test("and is Kubernetes' own for a service named pointsman does not stop the gateway", () => {
    const { port, notices } = given({
      POINTSMAN_PORT: "tcp://10.0.0.1:80",
      POINTSMAN_SERVICE_HOST: "10.0.0.1",
      POINTSMAN_SERVICE_PORT: "80",
      POINTSMAN_PORT_80_TCP_ADDR: "10.0.0.1",
    });
    expect(port).toBe(30_000);
    expect(notices).toStartWith("POINTSMAN_PORT is set by Kubernetes");
    expect(notices).not.toContain("\n");
  });

  test("is said whatever it is, with the name that has all its words before the one with fewer letters changed", () => {
    expect(given({ POINTSMAN_ADMIN_KEY: "x" }).notices).toBe(
      "POINTSMAN_ADMIN_KEY is no option and is not taken; did you mean POINTSMAN_ADMIN_API_KEY?",
    );
    expect(given({ POINTSMAN_PROMETHEUS_PRT: "1" }).notices).toEndWith("did you mean POINTSMAN_PROMETHEUS_PORT?");
    expect(given({ POINTSMAN_WORKERS: "a" }).notices).toEndWith("did you mean POINTSMAN_WORKER?");
    expect(given({ POINTSMAN_PYTHON_GRPC: "x" }).notices).toBe("POINTSMAN_PYTHON_GRPC is no option and is not taken");
  });
});

test("a secret that is a variable which nobody filled in is refused from anywhere, and does not print", () => {
  for (const key of ["$(POINTSMAN_KEY)", "${POINTSMAN_KEY}", "$POINTSMAN_KEY", "os.environ/KEY"]) {
    const text = refusal("", {}, { POINTSMAN_API_KEY: key });
    expect(text).toBe("POINTSMAN_API_KEY: is a variable that nobody has filled in, not a secret");
  }
  expect(refusal("", {}, { POINTSMAN_API_KEY: "pa$$word-1" })).toBe("");
});

test("a secret that no header can carry is refused from anywhere, and does not print", () => {
  const why =
    "has a line break or another control character, which no header can carry; put the secret alone there, on one line";
  for (const key of ["hush\n", "# mine\nhush", "hush\r", "hu\tsh", "hush\u0000", "hush\u007f"]) {
    expect(refusal("", {}, { POINTSMAN_API_KEY: key })).toBe(`POINTSMAN_API_KEY: ${why}`);
    expect(refusal("", {}, { POINTSMAN_WORKER_API_KEY: key })).toBe(`POINTSMAN_WORKER_API_KEY: ${why}`);
    const inFile = refusal(`initial_workers: [{ url: "http://a:1", api_key: ${JSON.stringify(key)} }]`);
    expect(inFile).toContain(`initial_workers[0].api_key ${why}`);
    expect(inFile).not.toContain("hush");
  }
});

describe("a variable has the name of", () => {
  const fromEnv = (env: Record<string, string>): ReturnType<typeof loadConfig> => loadConfig({ env, flags: NO_FLAGS });

  test("a flag as well as of a key in the file", () => {
    const { config } = fromEnv({ POINTSMAN_POLICY: "random", POINTSMAN_MODEL: "m" });
    expect([config.defaultPolicy, config.modelPath]).toEqual(["random", "m"]);
    expect(() => fromEnv({ POINTSMAN_POLICY: "random", POINTSMAN_DEFAULT_POLICY: "round_robin" })).toThrow(
      "POINTSMAN_DEFAULT_POLICY: says something else than POINTSMAN_POLICY, and both are the same option",
    );
    expect(fromEnv({ POINTSMAN_POLICY: "random", POINTSMAN_DEFAULT_POLICY: "random" }).config.defaultPolicy).toBe(
      "random",
    );
  });

  test("a flag that names workers", () => {
    const { config } = fromEnv({
      POINTSMAN_WORKER_URLS: "http://a:1, http://b:1",
      POINTSMAN_PREFILL: "http://p:1 8998",
      POINTSMAN_DECODE: "http://d:1",
      POINTSMAN_ENABLE_IGW: "1",
    });
    expect(config.initialWorkers.map(({ url, workerType, bootstrapPort }) => [url, workerType, bootstrapPort])).toEqual(
      [
        ["http://a:1", "regular", undefined],
        ["http://b:1", "regular", undefined],
        ["http://p:1", "prefill", 8998],
        ["http://d:1", "decode", undefined],
      ],
    );
    expect(() => fromEnv({ POINTSMAN_WORKER_URLS: "ftp://x" })).toThrow("POINTSMAN_WORKER_URLS: must be the address");
  });

  test("the file, which a flag overrides", () => {
    writeFileSync(path, "port: 7");
    expect(fromEnv({ POINTSMAN_CONFIG: path }).config.port).toBe(7);
    const other = join(directory, "other.yaml");
    writeFileSync(other, "port: 8");
    expect(loadConfig({ file: other, env: { POINTSMAN_CONFIG: path }, flags: NO_FLAGS }).config.port).toBe(8);
  });

  test("a service of Kubernetes, whatever the service is called", () => {
    const { config, notices } = fromEnv({
      POINTSMAN_PROMETHEUS_PORT: "tcp://10.0.0.1:9090",
      POINTSMAN_CONFIG_PORT: "tcp://10.0.0.1:80",
      POINTSMAN_CONFIG_PORT_80_TCP: "tcp://10.0.0.1:80",
    });
    expect(config.prometheusPort).toBe(29_000);
    expect(notices).toEqual([
      "POINTSMAN_PROMETHEUS_PORT is set by Kubernetes for a service of that name and is not taken; --prometheus-port gives the port",
    ]);
  });
});

describe("what is taken otherwise than it was given", () => {
  const loaded = (
    workers: readonly (string | GivenWorker)[],
    values: Record<string, string>,
    env: Record<string, string> = {},
  ): ReturnType<typeof loadConfig> =>
    loadConfig({
      env,
      flags: { workers, values: new Map(Object.entries(values) as [ConfigKey, string][]) },
    });

  test("a bound on time of more than a day is a day, and said", () => {
    const { config, notices } = loaded([], { workerStartupTimeoutSecs: "2147483647" });
    expect(config.workerStartupTimeoutSecs).toBe(86_400);
    expect(notices).toEqual(["worker_startup_timeout_secs 2147483647 is taken as 86400, which is the most"]);
  });

  test("names that others have for a policy or a level are taken without a word", () => {
    const { config, notices } = loaded([], { defaultPolicy: "consistent_hash", logLevel: "warning", host: "[::1]" });
    expect([config.defaultPolicy, config.logLevel, config.host, notices]).toEqual([
      "consistent_hashing",
      "warn",
      "::1",
      [],
    ]);
  });

  test("a policy that is not built says what is nearest", () => {
    expect(() => loaded([], { defaultPolicy: "request_num" })).toThrow(
      "--policy: the policy request_num is not built yet; shortest_queue takes",
    );
  });

  test("/v1 behind a worker's address is left out, and said", () => {
    const { config, notices } = loaded(["http://a:1/v1/"], {});
    expect(config.initialWorkers[0]?.url).toBe("http://a:1");
    expect(notices).toEqual([
      "the worker http://a:1 was given with /v1, which is left out: requests bring their own path",
    ]);
  });

  test("workers of flags get the api key that was a flag or a variable, and it is said", () => {
    const { config, notices } = loaded([{ flag: "--worker-urls", url: "http://a:1" }], { apiKey: "k" });
    expect(config.initialWorkers[0]?.apiKey?.reveal()).toBe("k");
    expect(notices).toEqual([
      "--api-key is also sent to the workers that --worker-urls names; --worker-api-key gives them another key",
    ]);
    const env = loaded(["http://a:1"], {}, { POINTSMAN_API_KEY: "k" });
    expect(env.config.initialWorkers[0]?.apiKey?.reveal()).toBe("k");
  });

  test("a key in the file is for clients, and each worker there keeps its own", () => {
    writeFileSync(path, "api_key: k\ninitial_workers: [{url: http://a:1, api_key: own}, {url: http://b:1}]");
    const keysOf = (flags: Partial<GivenFlags>): (string | undefined)[] =>
      loadConfig({ file: path, env: {}, flags: { ...NO_FLAGS, ...flags } }).config.initialWorkers.map(({ apiKey }) =>
        apiKey?.reveal(),
      );
    expect(keysOf({ workers: ["http://c:1"] })).toEqual(["own", undefined, undefined]);
    const apiKey: [ConfigKey, string] = ["apiKey", "k"];
    expect(keysOf({ workers: ["http://c:1"], values: new Map([apiKey]) })).toEqual(["own", undefined, "k"]);
    const workerApiKey: [ConfigKey, string] = ["workerApiKey", "w"];
    expect(keysOf({ workers: ["http://c:1"], values: new Map([apiKey, workerApiKey]) })).toEqual(["own", "w", "w"]);
  });
});

test("secrets do not print", () => {
  const config = load("api_key: hush-1\ninitial_workers: [{url: http://a:1, api_key: hush-2}]");
  expect(JSON.stringify(config) + String(config.apiKey) + Bun.inspect(config)).not.toContain("hush");
  expect(config.apiKey?.reveal()).toBe("hush-1");
});

test("what a number must be is said with both of its bounds", () => {
  const numbers = keysOf(configSchema.shape).filter((key) => optionKind(key) === "number");
  expect(numbers.length).toBeGreaterThan(50);
  for (const key of numbers) {
    const told = refusal("", { values: new Map([[key, "many"]]) });
    expect(`${key}: ${told}`).toMatch(
      /must be a (whole )?number (from -?\d+ to \d+|above \d+ and at most \d+), not "many"$/,
    );
  }
});

test("an address with a password is refused wherever an address is wanted, and does not print", () => {
  const wanted: readonly ConfigKey[] = [
    "jwtIssuer",
    "jwtJwksUri",
    "tracesEndpoint",
    "corsAllowedOrigins",
    "workerDns",
    "prefillDns",
    "decodeDns",
  ];
  const addresses = ["http://someone:hunter2@host:1", "http://:hunter2@host:1", "http://hun/ter2@host:1"];
  for (const address of addresses.slice(0, 2)) {
    for (const key of wanted) {
      const text = optionKind(key) === "list" ? [address] : address;
      const told = refusal("", { values: new Map([[key, text]]) });
      expect(`${key} ${told}`).toMatch(/must not carry a user or password|must be an origin/);
      expect(told).not.toContain("hunter2");
    }
  }
  for (const address of addresses) {
    const worker = refusal("", { workers: [address] });
    expect(worker).toContain('must be the address of a worker, not "http://[redacted]@host:1"');
    const count = refusal("", { values: new Map([["port", address]]) });
    expect(count).toContain('from 0 to 65535, not "http://[redacted]@host:1"');
  }
});
