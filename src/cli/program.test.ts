import { describe, expect, test } from "bun:test";
import { loadConfig } from "../config/load.ts";
import type { ConfigArguments } from "./config-commands.ts";
import type { KeysArguments } from "./keys-commands.ts";
import { run, type EngineArguments } from "./program.ts";
import type { ServeArguments } from "./read-words.ts";
import type { WorkersArguments } from "./workers-commands.ts";

interface Ran {
  readonly code: number | undefined;
  readonly out: string;
  readonly err: string;
  /** The command that ran, with its arguments. */
  readonly command: string | undefined;
  readonly given: ServeArguments | undefined;
  readonly asked: ConfigArguments | undefined;
  readonly keys: KeysArguments | undefined;
  readonly workers: WorkersArguments | undefined;
  readonly engine: EngineArguments | undefined;
  readonly simulated: readonly string[] | undefined;
}

async function ran(...argv: string[]): Promise<Ran> {
  let [out, err] = ["", ""];
  let command: string | undefined;
  let given: ServeArguments | undefined;
  let asked: ConfigArguments | undefined;
  let keys: KeysArguments | undefined;
  let workers: WorkersArguments | undefined;
  let engine: EngineArguments | undefined;
  let simulated: readonly string[] | undefined;
  const code = await run(
    argv,
    "1.2.3",
    {
      serve: async (args) => void ([command, given] = ["serve", args]),
      check: async (args) => void ([command, given] = ["check", args]),
      config: async (args) => {
        [command, asked] = ["config", args];
        return 1;
      },
      keys: async (args) => void ([command, keys] = ["keys", args]),
      workers: async (args) => {
        [command, workers] = ["workers", args];
        return 1;
      },
      top: async () => {
        command = "top";
        return 0;
      },
      demo: async () => void (command = "demo"),
      engine: async (args) => void ([command, engine] = ["engine", args]),
      simulate: async (argv) => void ([command, simulated] = ["simulate", argv]),
    },
    { out: (text) => (out += text), err: (text) => (err += text), columns: undefined },
  );
  return { code, out, err, command, given, asked, keys, workers, engine, simulated };
}

async function given(...argv: string[]): Promise<ServeArguments["flags"]> {
  const { given: args } = await ran(...argv);
  if (!args) throw new Error("no command ran");
  return args.flags;
}

async function problems(...argv: string[]): Promise<string[]> {
  const { problems: found = [] } = await given(...argv);
  return found.map(({ where, message }) => `${where}: ${message}`);
}

describe("the command", () => {
  test("is serve where none is named, and launch and start are other words for it", async () => {
    for (const argv of [[], ["serve"], ["launch"], ["start"], ["--port", "1"]]) {
      expect([argv, (await ran(...argv)).command]).toEqual([argv, "serve"]);
    }
    for (const check of [["check"], ["config", "check"]]) {
      const { command, given: args } = await ran(...check, "-c", "x.yaml", "--port", "7");
      expect([command, args?.file, args?.flags.values.get("port")]).toEqual(["check", "x.yaml", "7"]);
    }
    expect((await ran("engine", "--port", "7", "--instant")).engine).toEqual({
      port: 7,
      model: "sim-1",
      isInstant: true,
      dpSize: 1,
    });
    expect((await ran("engine", "--dp-size", "8")).engine?.dpSize).toBe(8);
  });

  test("refuses a port, ranks and a time between looks that are none", async () => {
    for (const empty of ["", " "]) {
      expect((await ran("demo", "--port", empty)).err).toContain("--port: must be a whole number from 0 to 65535");
    }
    for (const none of ["0", "0s"]) {
      expect(await ran("top", "--interval", none)).toMatchObject({
        code: 2,
        err: "pointsman: --interval: must be 1s or more\n",
      });
    }
    const { code, err } = await ran("engine", "--port", "x");
    expect([code, err]).toEqual([2, 'pointsman: --port: must be a whole number from 0 to 65535, not "x"\n']);
    for (const ranks of ["0", "1025", "x", "1.5"]) {
      const wrong = await ran("engine", "--dp-size", ranks);
      expect([wrong.code, wrong.err]).toEqual([
        2,
        `pointsman: --dp-size: must be a whole number from 1 to 1024, not ${JSON.stringify(ranks)}\n`,
      ]);
    }
  });
});

test("simulate gets its words as they are, its help among them", async () => {
  const { command, simulated, out } = await ran("simulate", "--load", "chat", "--no-stream", "--help", "--rate=2");
  expect([command, simulated, out]).toEqual(["simulate", ["--load", "chat", "--no-stream", "--help", "--rate=2"], ""]);
});

describe("--help", () => {
  test("shows the options of the default command, by groups, with examples", async () => {
    const { code, out } = await ran("--help");
    expect(code).toBe(0);
    for (const text of [
      "serve|launch",
      "Listening:\n  --host",
      "--worker-urls [urls...]",
      "[POINTSMAN_POLICY]",
      "Examples:\n",
    ]) {
      expect(out).toContain(text);
    }
    expect(out).not.toContain("--enable-mesh");
    expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(120);
  });

  test("of a command has its options, each with its default and variable", async () => {
    const { out } = await ran("serve", "--help");
    for (const text of ["--port <n>", "(default: 30000)", "[POINTSMAN_PORT]", "Health checks:"])
      expect(out).toContain(text);
  });

  test("and the version are told whatever they are asked by", async () => {
    for (const word of ["--version", "-V", "--version-verbose"]) expect((await ran(word)).out).toBe("1.2.3\n");
  });
});

describe("options", () => {
  test("have the value given last, whichever of their names it was given by", async () => {
    const { values, names } = await given("--model-path", "a", "--model", "b", "--port=1", "--port", "2");
    expect([values.get("modelPath"), names?.get("modelPath"), values.get("port")]).toEqual(["b", "--model", "2"]);
  });

  test("that are lists take words, commas, or nothing", async () => {
    const { values } = await given("--cors-allowed-origins", "http://a,http://b", "http://c", "--request-id-headers");
    expect(values.get("corsAllowedOrigins")).toEqual(["http://a", "http://b", "http://c"]);
    expect(values.get("requestIdHeaders")).toEqual([]);
  });

  test("that are lists of models mean all models where they stand alone", async () => {
    const flags = await given("--parse-output", "--continue-streams", "--threads", "1");
    expect(loadConfig({ env: {}, flags }).config).toMatchObject({ parseOutput: ["*"], continueStreams: ["*"] });
  });

  test("that are switches can be turned off, and take a value behind =", async () => {
    const { values } = await given("--no-remove-unhealthy-workers", "--enable-igw=false", "--disable-retries=true");
    expect([values.get("removeUnhealthyWorkers"), values.get("enableIgw"), values.get("disableRetries")]).toEqual([
      false,
      false,
      true,
    ]);
    expect(await problems("--enable-igw=maybe")).toEqual(["--enable-igw: must be true or false"]);
  });

  test("may be negative numbers", async () => {
    expect((await given("--max-concurrent-requests", "-1")).values.get("maxConcurrentRequests")).toBe("-1");
    expect((await given("--redis-retention-days", "-1")).problems).toEqual([]);
  });
});

describe("workers", () => {
  const workers = async (...argv: string[]): Promise<unknown> => (await given(...argv)).workers;

  test("are named apart, with commas, or in one word with spaces", async () => {
    const urls = ["http://a:1", "http://b:2", "http://c:3"];
    for (const argv of [urls, [urls.join(",")], [urls.join(" ")], [urls.join(", ")]]) {
      expect([argv, await workers("--worker-urls", ...argv)]).toEqual([
        argv,
        urls.map((url) => ({ flag: "--worker-urls", url })),
      ]);
    }
    expect(await workers("--worker-urls")).toEqual([]);
  });

  test("that prefill have a port behind them, none, or nothing", async () => {
    const flag = "--prefill";
    expect(
      await workers(flag, "http://a", "9001", flag, "http://b", "none", flag, "http://c", "--decode", "http://d"),
    ).toEqual([
      { flag, url: "http://a", workerType: "prefill", bootstrapPort: 9001 },
      { flag, url: "http://b", workerType: "prefill" },
      { flag, url: "http://c", workerType: "prefill" },
      { flag: "--decode", url: "http://d", workerType: "decode" },
    ]);
  });

  test("that prefill and decode have the connector that a flag names as a label", async () => {
    const labels = { kv_connector: "mooncake" };
    expect(
      await workers(
        "--kv-connector",
        "mooncake",
        "--prefill-workers",
        "http://a",
        "--decode-workers",
        "http://b,http://c",
      ),
    ).toEqual([
      { flag: "--prefill-workers", url: "http://a", workerType: "prefill", labels },
      { flag: "--decode-workers", url: "http://b", workerType: "decode", labels },
      { flag: "--decode-workers", url: "http://c", workerType: "decode", labels },
    ]);
  });

  test("that vllm-router's switch pairs have its connector, where none is named", async () => {
    const labelled = { flag: "--prefill", url: "http://a", workerType: "prefill", bootstrapPort: 9000 };
    expect(await workers("--vllm-pd-disaggregation", "--prefill", "http://a", "9000")).toEqual([
      { ...labelled, labels: { kv_connector: "nixl" } },
    ]);
    expect(await workers("--pd-disaggregation", "--prefill", "http://a", "9000")).toEqual([labelled]);
  });

  test("of production-stack have a model each", async () => {
    const flag = "--static-backends";
    expect(await workers(flag, "http://a,http://b", "--static-models", "m,n")).toEqual([
      { flag, url: "http://a", modelId: "m" },
      { flag, url: "http://b", modelId: "n" },
    ]);
    expect(await problems(flag, "http://a", "--static-models", "m,n")).toEqual([
      "--static-models: names 2 models for 1 workers of --static-backends; each worker has one",
    ]);
  });
});

describe("flags of other gateways", () => {
  test("that come to an option set it, where that is not given itself", async () => {
    const { values } = await given("--mode", "pd", "--routing-logic", "roundrobin", "--detailed_debug");
    expect([values.get("pdDisaggregation"), values.get("defaultPolicy"), values.get("logLevel")]).toEqual([
      true,
      "round_robin",
      "debug",
    ]);
    const { values: own } = await given("--debug", "--log-level", "error");
    expect(own.get("logLevel")).toBe("error");
    const { values: json } = await given("--log-json");
    expect(json.get("logFormat")).toBe("json");
  });

  test("have what the other gateway has with them, where the line does not say it", async () => {
    const found = async (...more: string[]): Promise<unknown> => {
      const { values } = await given("--service-discovery", "k8s", ...more);
      return [values.get("serviceDiscoveryPort"), values.get("serviceDiscoveryNamespace")];
    };
    expect(await found()).toEqual(["8000", ["default"]]);
    expect(await found("--k8s-port", "9", "--k8s-namespace", "models")).toEqual(["9", ["models"]]);
    const { values } = await given("--service-discovery");
    expect(values.has("serviceDiscoveryPort")).toBe(false);
  });

  test("that change nothing are said, and those that cannot be had are all told", async () => {
    const { notices } = await given("--eviction-interval", "120", "--backend", "sglang");
    expect(notices).toEqual([
      "--eviction-interval changes nothing: the prefix index evicts as it inserts",
      "--backend changes nothing: which engine a worker runs is asked of it",
    ]);
    expect(
      await problems("--enable-mesh", "--enable-rl", "--selector", "a=b", "c=d", "--service-discovery", "external"),
    ).toEqual([
      "--enable-mesh: several gateways that share state are not built yet; without the flag each runs by itself",
      "--enable-rl: the RL control plane (/v1/rl) is not built yet",
      "--service-discovery: must be nothing, k8s or static; other registries are not built yet: name the workers with --worker-urls",
    ]);
  });
});

describe("words that are not understood", () => {
  test("are told one by one, with what was likely meant, and never with a value that may be a secret", async () => {
    expect(await problems("--prot", "1", "--api_key=hush", "--nonsense")).toEqual([
      "--prot: there is no such option; did you mean --port?",
      "--api_key: there is no such option; did you mean --api-key?",
      "--nonsense: there is no such option",
    ]);
  });

  test("because a value is missing: the next flag is none", async () => {
    expect(await problems("--api-key", "--enable-igw")).toEqual([
      "--api-key: has no value; --enable-igw behind it is a flag of its own",
    ]);
    expect(await problems("--worker", "--port=1", "--config", "")).toEqual([
      "--worker: has no value; --port=1 behind it is a flag of its own",
      "--config: needs the path of a file",
    ]);
    expect((await given("--api-key", "--not-a-flag")).values.get("apiKey")).toBe("--not-a-flag");
  });

  test("that are a file or a worker are told how to give one", async () => {
    expect(await problems("pointsman.yaml")).toEqual([
      "pointsman.yaml: a configuration file is given as --config pointsman.yaml",
    ]);
    expect(await problems("serve", "http://gpu1:8000", "surprise")).toEqual([
      "http://gpu1:8000: a worker is given as --worker-urls URL",
      "surprise: there is no such command, and options begin with --; see pointsman --help",
    ]);
  });
});

describe("the commands that ask a running gateway", () => {
  test("get the gateway's address, what opens it, and their own argument", async () => {
    expect((await ran("config", "diff", "x.yaml", "--url", "http://g:1", "--admin-key-file", "k")).asked).toMatchObject(
      {
        command: "diff",
        url: "http://g:1",
        keyFile: "k",
        file: "x.yaml",
        version: undefined,
        isPartial: false,
      },
    );
    expect((await ran("config", "apply", "--partial", "--if-version", "3")).asked).toMatchObject({
      command: "apply",
      url: "http://127.0.0.1:30000",
      file: undefined,
      isPartial: true,
      ifVersion: 3,
    });
    expect((await ran("config", "rollback", "4")).asked).toMatchObject({
      command: "rollback",
      version: 4,
      file: undefined,
    });
    expect((await ran("config", "history")).asked).toMatchObject({ command: "history" });
  });

  test("say with what code to end, and a wrong version is a mistake of the command line", async () => {
    expect((await ran("config", "diff")).code).toBe(1);
    const wrong = await ran("config", "rollback", "last");
    expect([wrong.code, wrong.err]).toEqual([2, 'pointsman: version: must be a whole number from 1, not "last"\n']);
    expect((await ran("config", "apply", "--if-version", "0")).code).toBe(2);
  });
});

describe("keys", () => {
  test("a command says what the key is to be, in the words of the route that does the same", async () => {
    const words =
      "keys create team --role client viewer --models a-* b --requests-per-minute 5 --tokens-per-minute none";
    const { keys } = await ran(...words.split(" "), "--expires-in", "90d", "--key-store", "k.db");
    expect(keys).toEqual({
      command: "create",
      key: "team",
      wish: {
        roles: ["client", "viewer"],
        models: ["a-*", "b"],
        requests_per_minute: 5,
        tokens_per_minute: null,
        expires_in_secs: 90 * 86_400,
      },
      store: "k.db",
      gateway: { url: "http://127.0.0.1:30000", keyFile: undefined, caFile: undefined },
      isJson: false,
    });
  });

  test("without a store a running gateway is asked", async () => {
    const { keys } = await ran("keys", "rotate", "team", "--grace", "12h", "--url", "http://h:1", "--json");
    expect(keys).toMatchObject({
      command: "rotate",
      key: "team",
      wish: { grace_secs: 43_200 },
      store: undefined,
      gateway: { url: "http://h:1" },
      isJson: true,
    });
  });

  test("a word that is wrong is told with its flag", async () => {
    for (const [flag, value] of [
      ["--requests-per-minute", "0"],
      ["--tokens-per-minute", "many"],
      ["--expires-in", "soon"],
    ] as const) {
      const { code, err, command } = await ran("keys", "create", "team", flag, value);
      expect([code, command]).toEqual([2, undefined]);
      expect(err).toStartWith(`pointsman: ${flag}: must be a`);
    }
    expect((await ran("keys", "create")).code).toBe(2);
  });
});

test("a command about workers names one of them, and how long to wait", async () => {
  const { code, command, workers } = await ran("workers", "drain", "http://gpu1:8000", "--timeout", "90s");
  expect([code, command]).toEqual([1, "workers"]);
  expect(workers).toMatchObject({ command: "drain", worker: "http://gpu1:8000", timeoutSecs: 90 });
  expect((await ran("workers", "remove", "w-1")).workers?.timeoutSecs).toBe(600);
  expect((await ran("workers", "drain", "w-1", "--timeout", "soon")).err).toContain("--timeout: must be a time");
});
