import { accessSync, closeSync, constants, existsSync, openSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import { ConfigError } from "../config/config-error.ts";
import { loadPolicyModule } from "../context/load-policy-module.ts";
import { GatewayError } from "../errors/errors.ts";
import { htmlPage } from "../simulate/report/html-page.ts";
import { jsonReport } from "../simulate/report/json-report.ts";
import { ProgressBar } from "../simulate/report/progress-bar.ts";
import { LEGEND, textReport } from "../simulate/report/text-report.ts";
import { runJobs, spawnJobThread } from "../simulate/run-jobs.ts";
import { groupsOf } from "../simulate/study.ts";
import { VERSION } from "../util/version.ts";
import { PROCESS } from "./command-output.ts";
import { readSimulateWords, simulateArguments } from "./simulate-arguments.ts";

/** In place of a path: the JSON goes to standard output. */
const STANDARD_OUTPUT = "-";

/** Columns of a terminal that does not say how many it has. */
const USUAL_COLUMNS = 80;

/** Exit code of a program that Ctrl-C has ended. */
const INTERRUPTED_EXIT = 130;

/** `pointsman simulate`: judges policies in virtual time and reports. Throws ConfigError, CommanderError. */
export async function simulate(argv: readonly string[]): Promise<void> {
  const { policyModule, ...words } = readSimulateWords(argv, PROCESS);
  const own = policyModule === undefined ? undefined : await ofPolicyModule(() => loadPolicyModule(policyModule));
  const given = simulateArguments(words, availableParallelism(), own);
  checkPlace("--json", given.json === STANDARD_OUTPUT ? undefined : given.json);
  checkPlace("--plot", given.plot);
  // The tables go to standard output, so the bar is drawn beside it.
  const { stderr } = process;
  const columns = stderr.isTTY ? stderr.columns || USUAL_COLUMNS : undefined;
  const bar = new ProgressBar({ columns, write: PROCESS.err }, () => performance.now());
  // What the terminal asks next does not stand behind the bar.
  process.once("SIGINT", () => {
    bar.clear();
    process.exit(INTERRUPTED_EXIT);
  });
  const outcomes = await ofPolicyModule(() =>
    runJobs(
      given.jobs,
      given.threads,
      (share, { load, policy, seed }) => bar.show(share, `${load}, ${policy}, seed ${seed}`),
      () => spawnJobThread({ traces: given.traces, policyModule }),
    ),
  ).finally(() => bar.clear());
  const groups = groupsOf(outcomes);
  const facts = { version: VERSION, baseline: given.baseline, jobs: given.jobs };
  const json = jsonReport(groups, facts);
  if (given.plot !== undefined) save("--plot", given.plot, htmlPage(groups, facts));
  if (given.json !== undefined && given.json !== STANDARD_OUTPUT) save("--json", given.json, json);
  // Last, as the program ends where nobody reads it.
  PROCESS.out(
    given.json === STANDARD_OUTPUT ? json : `${textReport(groups, given.baseline, PROCESS.columns)}\n${LEGEND}`,
  );
}

/** Does something that may fail by the operator's policy module, which is then a wrong word of the command line. */
async function ofPolicyModule<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof GatewayError) throw new ConfigError("--policy-module", error.message);
    throw error;
  }
}

/** Throws ConfigError before the work begins if its result could not be written. */
function checkPlace(flag: string, path: string | undefined): void {
  if (path === undefined) return;
  if (path.trim() === "" || path === STANDARD_OUTPUT) throw new ConfigError(flag, "must name a file");
  try {
    accessSync(dirname(path), constants.W_OK);
    if (existsSync(path)) closeSync(openSync(path, "r+"));
  } catch (error) {
    throw unwritable(flag, path, error);
  }
}

function save(flag: string, path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw unwritable(flag, path, error);
  }
}

function unwritable(flag: string, path: string, error: unknown): ConfigError {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
  return new ConfigError(
    flag,
    `${path}: ${code === "ENOENT" ? "there is no such folder" : `cannot be written (${code})`}`,
  );
}
