import { Command, CommanderError } from "commander";
import { ConfigError } from "../config/config-error.ts";
import { POLICIES } from "../policy/policies.ts";
import { POLICY_NAMES } from "../policy/policy-names.ts";
import { PROCESS, type Terminal } from "./command-output.ts";
import { addConfigCommands, type ConfigArguments } from "./config-commands.ts";
import { addKeysCommands, type KeysArguments } from "./keys-commands.ts";
import { endWithoutOutput } from "./output-errors.ts";
import { plainSwitches, readWords, type ServeArguments } from "./read-words.ts";
import { readWhole } from "./read-whole.ts";
import { addServeOptions } from "./serve-options.ts";
import { addTopCommand, type TopArguments } from "./top-command.ts";
import { addWorkersCommands, type WorkersArguments } from "./workers-commands.ts";
import { MAX_RANKS } from "../util/parse-worker-url.ts";

export interface EngineArguments {
  readonly port: number;
  readonly model: string;
  readonly isInstant: boolean;
  /** Data-parallel ranks. */
  readonly dpSize: number;
}

/** The actions of the commands; the program only reads the command line. */
export interface Commands {
  readonly serve: (given: ServeArguments) => Promise<void>;
  readonly check: (given: ServeArguments) => Promise<void>;
  /** A command about a running gateway. Resolves with the exit code. */
  readonly config: (given: ConfigArguments) => Promise<number>;
  /** A command about keys, in their store or at a running gateway. */
  readonly keys: (given: KeysArguments) => Promise<void>;
  /** Shows the fleet of a running gateway. Resolves with the exit code. */
  readonly top: (given: TopArguments) => Promise<number>;
  /** A command about the workers of a running gateway. Resolves with the exit code. */
  readonly workers: (given: WorkersArguments) => Promise<number>;
  readonly demo: (given: { readonly port: number | undefined }) => Promise<void>;
  readonly engine: (given: EngineArguments) => Promise<void>;
  readonly simulate: (argv: readonly string[]) => Promise<void>;
}

/** Exit code for an invalid command line or file. */
const USAGE_EXIT = 2;
/** Columns of help outside of a terminal. */
const HELP_COLUMNS = 120;

/** Reads the command line and runs its command. Exits with 2, and prints a line for each mistake. */
export async function runProgram(argv: readonly string[], version: string, commands: Commands): Promise<void> {
  endWithoutOutput(process.stdout, { err: PROCESS.err, exit: (code) => process.exit(code) });
  const code = await run(argv, version, commands, PROCESS);
  if (code !== undefined) process.exit(code);
}

/** Returns the exit code if no command ran: the user asked for help, or made a mistake. */
export async function run(
  argv: readonly string[],
  version: string,
  commands: Commands,
  terminal: Terminal,
): Promise<number | undefined> {
  let code: number | undefined;
  const exit = (given: number): void => {
    code = given;
  };
  try {
    await createProgram(version, commands, { terminal, exit }).parseAsync(plainSwitches(argv), { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof ConfigError) {
      for (const line of error.message.split("\n")) terminal.err(`pointsman: ${line}\n`);
      return USAGE_EXIT;
    }
    // Commander has already printed its message or the help.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE_EXIT;
    throw error;
  }
}

/** What a program writes to, and ends with. */
interface Ending {
  readonly terminal: Terminal;
  readonly exit: (code: number) => void;
}

function createProgram(version: string, commands: Commands, { terminal, exit }: Ending): Command {
  const { out, err } = terminal;
  const program = new Command("pointsman")
    .description("LLM inference gateway: sends each request to the worker that will answer it first.")
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: out,
      writeErr: err,
      getOutHelpWidth: () => terminal.columns ?? HELP_COLUMNS,
      outputError: (text, write) => write(text.replace(/^error: /, "pointsman: ")),
    });
  const serve = program
    .command("serve", { isDefault: true })
    .aliases(["launch", "start"])
    .description("run the gateway (the default command; also: start)");
  const config = program.command("config").description("check a configuration, and change that of a running gateway");
  const checks = [program.command("check", { hidden: true }), config.command("check")].map((command) =>
    command.description("validate a configuration and print what it comes to, and where each value is from"),
  );
  for (const [command, action] of [
    [serve, commands.serve] as const,
    ...checks.map((command) => [command, commands.check] as const),
  ]) {
    const words = addServeOptions(command);
    // Unknown options are reported later, together with all other mistakes.
    command.allowUnknownOption().allowExcessArguments();
    command.action(() => action(readWords(words, command.args)));
  }
  addConfigCommands(config, async (given) => exit(await commands.config(given)));
  addKeysCommands(
    program.command("keys").description("make, change, rotate and revoke keys of clients"),
    commands.keys,
  );
  addWorkersCommands(
    program.command("workers").description("list, cordon, drain and remove the workers of a running gateway"),
    async (given) => exit(await commands.workers(given)),
  );
  addTopCommand(
    program.command("top").description("the workers of a running gateway, with what they do, anew each second"),
    async (given) => exit(await commands.top(given)),
  );
  addSimulations(program, commands);
  program.addHelpText("after", () => `\n${optionsHelp(serve)}\n${policiesHelp()}\n${EXAMPLES}`);
  return program;
}

function addSimulations(program: Command, commands: Commands): void {
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
    .option("--dp-size <ranks>", `data-parallel ranks, 1 to ${MAX_RANKS}`, "1")
    .action((options: { port?: string; model?: string; instant?: boolean; dpSize?: string }) =>
      commands.engine({
        port: readPort(options.port) ?? 0,
        model: options.model ?? "sim-1",
        isInstant: options.instant === true,
        dpSize: readWhole("--dp-size", options.dpSize ?? "1", 1, MAX_RANKS),
      }),
    );
  program
    .command("simulate")
    .description("judge policies in virtual time, on made-up loads or recorded traffic; it has its own --help")
    // Its options are read where the simulation is loaded: a gateway that serves loads nothing of it.
    .helpOption(false)
    .allowUnknownOption()
    .allowExcessArguments()
    .action((_options, command: Command) => commands.simulate(command.args));
}

/** Help of the default command's options, without lines that the program's own help has too. */
function optionsHelp(serve: Command): string {
  const help = serve.helpInformation();
  return `Options of serve (docs/config.md has more on each):\n${help.slice(help.indexOf("\n  -c, --config"))}`;
}

function policiesHelp(): string {
  const width = Math.max(...POLICY_NAMES.map((name) => name.length));
  const lines = POLICIES.map(({ name, chooses }) => `  ${name.padEnd(width)}  ${chooses}`);
  return `Policies (docs/policies.md has more on each); each chooses:\n${lines.join("\n")}\n`;
}

const EXAMPLES = `Examples:
  pointsman demo
  pointsman --worker-urls http://gpu1:8000 http://gpu2:8000
  pointsman --worker-urls grpc://gpu1:50051 grpc://gpu2:50051 --port 8080
  pointsman --pd-disaggregation --prefill http://p1:30000 8998 --decode http://d1:30000
  pointsman config check --config pointsman.yaml
  pointsman config diff pointsman.yaml
  pointsman keys create search-team --tokens-per-minute 2000000 --key-store keys.db
  pointsman workers drain http://gpu1:8000
  pointsman simulate --help
`;

function readPort(text: string | undefined): number | undefined {
  return text === undefined ? undefined : readWhole("--port", text, 0, 65_535);
}
