import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Secret } from "../util/secret.ts";
import { ConfigError } from "./config-error.ts";
import { readWorkersFile, type WorkersFileRules } from "./workers-file.ts";

const folder = mkdtempSync(join(tmpdir(), "pointsman-workers-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, "workers.yaml");
const RULES: WorkersFileRules = { enableIgw: false, pdDisaggregation: false, workerApiKey: undefined };

function read(text: string, rules: Partial<WorkersFileRules> = {}): ReturnType<typeof readWorkersFile> {
  writeFileSync(path, text);
  return readWorkersFile(path, { ...RULES, ...rules }, { HOST: "engine-9" });
}

/** What is said of a file that cannot be taken, without the folder. */
function refusal(text: string, rules: Partial<WorkersFileRules> = {}): string {
  try {
    read(text, rules);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.replaceAll(`${folder}/`, "");
  }
  throw new Error("it was taken");
}

describe("a file of workers", () => {
  const one = { url: "http://a:8000", cost: 2, modelId: "m" };

  test("is a list in YAML or JSON, bare or under initial_workers, each worker as in the configuration", () => {
    const texts = [
      "- url: a:8000\n  cost: 2\n  model_id: m\n",
      '[{"url": "http://a:8000", "cost": 2, "model_id": "m"}]',
      "initial_workers:\n  - { url: a:8000, cost: 2, model_id: m }\n",
      '{"initial_workers": [{"url": "a:8000", "cost": 2, "model_id": "m"}]}',
    ];
    for (const text of texts) expect(read(text).workers).toMatchObject([one]);
    expect(read("[]").workers).toEqual([]);
  });

  test("may take variables and files of keys, and says which files it has named", () => {
    const key = join(folder, "key");
    writeFileSync(key, "hush\n");
    const { workers, files } = read(`- url: \${HOST}:8000\n  api_key_file: ${key}\n`);
    expect(workers.map(({ url, apiKey }) => [url, apiKey?.reveal()])).toEqual([["http://engine-9:8000", "hush"]]);
    expect(files).toEqual([key]);
  });

  test("gives workers without a key that of the configuration", () => {
    const { workers } = read("- url: a:1\n- { url: b:1, api_key: own }\n", { workerApiKey: new Secret("shared") });
    expect(workers.map(({ apiKey }) => apiKey?.reveal())).toEqual(["shared", "own"]);
  });

  test("that has mistakes is refused with the place of each", () => {
    expect(refusal("- url: a:1\n- url: b:1\n  cots: 3\n- cost: 1\n")).toBe(
      "workers.yaml:3:3: unknown key initial_workers[1].cots; did you mean cost?\nworkers.yaml:4:3: url is missing",
    );
    expect(refusal("- { url: a:1, worker_type: prefill }\n")).toContain("workers.yaml:1:28: a prefill worker needs");
    expect(refusal("- { url: a:1 }\n", { pdDisaggregation: true })).toContain("--prefill");
    expect(refusal("- url: [\n")).toContain("workers.yaml:2:1: ");
    expect(refusal("- url: ${NOT_SET}:1\n")).toContain("NOT_SET");
    expect(refusal("- { url: a:1, api_key_file: nowhere }\n")).toContain("nowhere cannot be read");
  });

  test("that is empty or was only begun is refused, so that it takes no worker away", () => {
    for (const text of ["", "# workers follow\n", "workers: []\n"]) {
      expect(refusal(text)).toBe(
        "workers.yaml: the file has no list of workers, bare or under initial_workers; [] is an empty one",
      );
    }
    expect(refusal("initial_workers:\n")).toBe("workers.yaml:1:17: must be a list, not null");
    rmSync(path);
    expect(() => readWorkersFile(path, RULES, {})).toThrow("there is no such file");
  });
});
