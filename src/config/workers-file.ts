import { z } from "zod";
import { refusedType } from "./check-config.ts";
import { ConfigError, throwProblems } from "./config-error.ts";
import { parseConfigFile, readConfigTextAgain } from "./config-file.ts";
import { type Complaint, complaintsOf, sentence } from "./describe-issue.ts";
import { readSecretFiles } from "./secret-files.ts";
import { type Config, type WorkerConfig, workerSchema } from "./schema.ts";

/** The options on which it depends what a file of workers may say. */
export type WorkersFileRules = Pick<Config, "enableIgw" | "pdDisaggregation" | "workerApiKey">;

export interface WorkersFile {
  readonly workers: readonly WorkerConfig[];
  /** Paths of the files that it names: keys, certificates. */
  readonly files: readonly string[];
}

const KEY = "initialWorkers";
const schema = z.strictObject({ [KEY]: z.array(workerSchema) });

/**
 * Reads a file of workers: a list of them in YAML or JSON, or `initial_workers:` with that list, each as in the configuration. Workers without
 * a key get the `worker_api_key`. Throws ConfigError with all mistakes.
 */
export function readWorkersFile(
  path: string,
  rules: WorkersFileRules,
  env: Readonly<Record<string, string | undefined>>,
): WorkersFile {
  const file = parseConfigFile(path, readConfigTextAgain(path), { env }, "initial_workers");
  throwProblems(file.problems);
  // A file that was only begun must not take every worker away; an empty list may.
  if (!file.has([KEY]))
    throw new ConfigError(path, "the file has no list of workers, bare or under initial_workers; [] is an empty one");
  const { values, files, complaints } = readSecretFiles(file.values, { isAgain: true });
  const parsed = schema.safeParse(values);
  const wrong = [...complaints, ...(parsed.success ? [] : complaintsOf(parsed.error.issues, schema, values))];
  if (parsed.success) wrong.push(...typeComplaints(parsed.data[KEY], rules));
  throwProblems(wrong.map((complaint) => ({ where: placeOf(file, complaint), message: sentence(complaint, 2) })));
  const workers = parsed.data?.[KEY] ?? [];
  return { workers: workers.map((worker) => withKey(worker, rules)), files: files.map(({ file: named }) => named) };
}

function placeOf(file: ReturnType<typeof parseConfigFile>, { path, unknownKey }: Complaint): string {
  return unknownKey === undefined ? file.locate(path) : file.locateKey(path, unknownKey);
}

function typeComplaints(workers: readonly WorkerConfig[], rules: WorkersFileRules): Complaint[] {
  if (rules.enableIgw) return [];
  return workers.flatMap(({ workerType }, index) => {
    const text = refusedType(workerType, rules.pdDisaggregation);
    return text === undefined ? [] : [{ path: [KEY, index, "workerType"], text, isSentence: true }];
  });
}

function withKey(worker: WorkerConfig, { workerApiKey }: WorkersFileRules): WorkerConfig {
  return worker.apiKey !== undefined || workerApiKey === undefined ? worker : { ...worker, apiKey: workerApiKey };
}
