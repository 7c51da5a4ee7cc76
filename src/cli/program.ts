import { Command, CommanderError, Option } from "commander";
import { keysOf } from "../util/objects.ts";
import { ConfigError } from "../config/config-error.ts";
import { whyNotBuilt } from "../config/launch-flags.ts";
import type { GivenFlags, GivenWorker } from "../config/load.ts";
import { envName, flagName, optionDefault, optionKind } from "../config/options.ts";
import { type ConfigKey, configSchema, OPTION_GROUPS, optionMeta } from "../config/schema.ts";

export interface ServeArguments {
  readonly file: string | undefined;
  readonly flags: GivenFlags;
}

export interface EngineArguments {
  readonly port: number;
  readonly model: string;
  readonly isInstant: boolean;
}

/** What each command does; the program only reads the words. */
export interface Commands {
  serve(given: ServeArguments): Promise<void>;
  check(given: ServeArguments): Promise<void>;
  demo(given: { readonly port: number | undefined }): Promise<void>;
  engine(given: EngineArguments): Promise<void>;
}

/** Exit code for words and files that cannot be taken. */
const USAGE_EXIT = 2;

const KEYS = keysOf(configSchema.shape);

/** Reads the command line and runs its command. Exits with 2 and one sentence where it cannot be understood. */
export async function runProgram(argv: readonly string[], version: string, commands: Commands): Promise<void> {
  try {
    refuseNotBuilt(argv);
    await createProgram(version, commands).parseAsync([...argv], { from: "user" });
  } catch (error) {
    if (error instanceof ConfigError) {
      for (const line of error.message.split("\n")) process.stderr.write(`pointsman: ${line}\n`);
      process.exit(USAGE_EXIT);
    }
    // Commander has printed its sentence, or the help that was asked for.
    if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : USAGE_EXIT);
    throw error;
  }
}

function refuseNotBuilt(argv: readonly string[]): void {
  for (const word of argv) {
    const flag = word.split("=", 1)[0] ?? "";
    const reason = whyNotBuilt(flag);
    if (reason !== undefined) throw new ConfigError(flag, reason);
  }
}

function createProgram(version: string, commands: Commands): Command {
  const program = new Command("pointsman")
    .description("LLM inference gateway: sends each request to the worker that will answer it first.")
    .version(version)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "pointsman: ")) });
  const serve = program
    .command("serve", { isDefault: true })
    .aliases(["launch", "start"])
    .description("run the gateway (the default command)")
    .action((options: Record<string, unknown>) => commands.serve(readArguments(options)));
  const check = program
    .command("check")
    .description("validate a configuration and print what it comes to, secrets redacted")
    .action((options: Record<string, unknown>) => commands.check(readArguments(options)));
  for (const command of [serve, check]) addOptions(command);
  program
    .command("demo")
    .description("three simulated engines and the gateway in front of them")
    .option("--port <port>", "port of the gateway (default: 30000, or a free one)")
    .action((options: { port?: string }) => commands.demo({ port: readPort(options.port) }));
  program
    .command("engine")
    .description("one simulated engine")
    .option("--port <port>", "port; 0 takes a free one", "0")
    .option("--model <id>", "model that it serves", "sim-1")
    .option("--instant", "answer at once instead of at an engine's pace")
    .action((options: { port?: string; model?: string; instant?: boolean }) =>
      commands.engine({
        port: readPort(options.port) ?? 0,
        model: options.model ?? "sim-1",
        isInstant: options.instant === true,
      }),
    );
  for (const command of program.commands) command.exitOverride().copyInheritedSettings(program);
  return program;
}

function addOptions(command: Command): void {
  command.option("--config <file>", "configuration file, YAML");
  for (const group of OPTION_GROUPS) {
    for (const key of KEYS.filter((candidate) => optionMeta(candidate).group === group)) {
      if (optionMeta(key).fileOnly !== true)
        for (const option of optionsOf(key)) command.addOption(option.helpGroup(`${group}:`));
    }
  }
}

/** The option of a key and its other names, which are taken as well and not shown. */
function optionsOf(key: ConfigKey): Option[] {
  if (key === "initialWorkers") {
    return [
      new Option("--worker <url>", "worker to start with, repeatable").argParser(append).default([]),
      new Option("--worker-urls <urls...>", "workers to start with").default([]),
      new Option(
        "--prefill <url...>",
        "prefill worker to start with, and its bootstrap port where it has one; repeatable",
      ).default([]),
      new Option("--decode <url...>", "decode worker to start with, repeatable").default([]),
    ];
  }
  const meta = optionMeta(key);
  return [flagName(key), ...(meta.aliases ?? [])].map((flag, index) => {
    const option = new Option(`${flag}${placeholder(key)}`, `${meta.description}${defaultText(key)} [${envName(key)}]`);
    // Under which name it is found among the parsed options, whatever it was called.
    option.attributeName = () => key;
    return index === 0 ? option : option.hideHelp();
  });
}

function append(url: string, before: readonly string[]): string[] {
  return [...before, url];
}

function placeholder(key: ConfigKey): string {
  switch (optionKind(key)) {
    case "boolean":
      return "";
    case "number":
      return " <n>";
    case "list":
      return " <values...>";
    case "string":
      return " <value>";
  }
}

function defaultText(key: ConfigKey): string {
  const value = optionDefault(key);
  if (value === undefined || value === false || (Array.isArray(value) && value.length === 0)) return "";
  return ` (default: ${Array.isArray(value) ? value.join(",") : JSON.stringify(value)})`;
}

function readArguments(options: Record<string, unknown>): ServeArguments {
  const values = new Map<ConfigKey, string | boolean | readonly string[]>();
  for (const key of KEYS) {
    const given = options[key];
    if (typeof given === "string" || typeof given === "boolean" || isTexts(given)) values.set(key, given);
  }
  const workers = [
    ...texts(options["worker"]),
    ...texts(options["workerUrls"]),
    ...prefillWorkers(texts(options["prefill"])),
    ...texts(options["decode"]).map((url): GivenWorker => ({ flag: "--decode", url, workerType: "decode" })),
  ];
  const file = options["config"];
  return { file: typeof file === "string" ? file : undefined, flags: { values, workers } };
}

/** `URL`, `URL PORT` or `URL none`, one behind the other. */
function prefillWorkers(words: readonly string[]): GivenWorker[] {
  const workers: GivenWorker[] = [];
  for (const word of words) {
    const last = workers.at(-1);
    const isPort = /^\d+$/.test(word) || word === "none";
    if (!isPort || !last) workers.push({ flag: "--prefill", url: word, workerType: "prefill" });
    else if (word !== "none") workers[workers.length - 1] = { ...last, bootstrapPort: Number(word) };
  }
  return workers;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function texts(value: unknown): readonly string[] {
  return isTexts(value) ? value : [];
}

function readPort(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new ConfigError("--port", "must be a whole number from 0 to 65535");
}
