import type { ConfigProblem } from "../config/config-error.ts";
import { type GivenWorker, givenWorkers, WORKER_FLAGS } from "../config/given-workers.ts";
import { FOREIGN_FLAGS, type ForeignFlag, type Outcome } from "../config/launch-flags.ts";
import type { GivenFlags } from "../config/merged.ts";
import { flagNames, optionKind, splitList } from "../config/options.ts";
import { type ConfigKey, configSchema } from "../config/schema.ts";
import { keysOf } from "../util/objects.ts";
import { closest } from "../util/suggest.ts";
import { type GivenWord, isSwitch } from "./serve-options.ts";

/** The command line of the gateway, read. */
export interface ServeArguments {
  /** Path of the configuration file. */
  readonly file: string | undefined;
  readonly flags: GivenFlags;
}

const KEYS_BY_FLAG: ReadonlyMap<string, ConfigKey> = new Map(
  keysOf(configSchema.shape)
    .filter((key) => key !== "initialWorkers")
    .flatMap((key) => flagNames(key).map((flag) => [flag, key] as const)),
);
const FOREIGN: ReadonlyMap<string, ForeignFlag> = new Map(FOREIGN_FLAGS.map((foreign) => [foreign.flag, foreign]));

/** Reads the words of a command line. Mistakes are collected, and reported together with all others. */
export function readWords(words: readonly GivenWord[], rest: readonly string[]): ServeArguments {
  const reader = new WordReader();
  for (const word of words) reader.take(word);
  reader.takeRest(rest);
  return reader.finish();
}

class WordReader {
  #file: string | undefined;
  readonly #values = new Map<ConfigKey, string | boolean | string[]>();
  readonly #names = new Map<ConfigKey, string>();
  readonly #workerWords = new Map<string, string[]>();
  readonly #foreign = new Map<string, string>();
  readonly #problems: ConfigProblem[] = [];
  readonly #notices: string[] = [];

  take({ flag, value }: GivenWord): void {
    // An empty shell variable leaves no value, and the next flag would become the key.
    if (value?.startsWith("--") && isFlag(value.split("=", 1)[0] ?? "")) {
      this.#problems.push({ where: flag, message: `has no value; ${value} behind it is a flag of its own` });
    } else if (flag === "--config") this.#takeFile(value);
    else if (WORKER_FLAGS.has(flag) || flag === BACKENDS || flag === MODELS) {
      const texts = this.#workerWords.get(flag) ?? [];
      if (value !== undefined) texts.push(value);
      this.#workerWords.set(flag, texts);
    } else if (FOREIGN.has(flag)) {
      const before = this.#foreign.get(flag);
      this.#foreign.set(flag, before === undefined ? (value ?? "") : `${before} ${value ?? ""}`);
    } else this.#takeOption(flag, value);
  }

  #takeFile(path = ""): void {
    if (path === "") this.#problems.push({ where: "--config", message: "needs the path of a file" });
    else this.#file = path;
  }

  #takeOption(flag: string, value: string | undefined): void {
    const positive = flag.startsWith("--no-") ? `--${flag.slice("--no-".length)}` : flag;
    const key = KEYS_BY_FLAG.get(flag) ?? KEYS_BY_FLAG.get(positive);
    if (key === undefined) return;
    this.#names.set(key, flag);
    if (optionKind(key) === "boolean") this.#values.set(key, KEYS_BY_FLAG.has(flag));
    else if (optionKind(key) === "list") {
      const before = this.#values.get(key);
      const items = value === undefined ? itemsOfNone(key) : splitList(value);
      this.#values.set(key, Array.isArray(before) ? [...before, ...items] : items);
    } else this.#values.set(key, value ?? "");
  }

  /** Takes the words that are neither options nor their values. */
  takeRest(rest: readonly string[]): void {
    let isAfterUnknown = false;
    for (const word of rest) {
      const isFlag = word.startsWith("-") && word.length > 1;
      if (isFlag) this.#problems.push(unknownFlag(word));
      // The word may be the value of the unknown flag before it.
      else if (!isAfterUnknown) this.#problems.push(strayWord(word));
      isAfterUnknown = isFlag && !word.includes("=");
    }
  }

  finish(): ServeArguments {
    // vllm-router's switch means that the engines are vLLM's; a bootstrap port alone would mean SGLang.
    let connector = this.#names.get("pdDisaggregation") === VLLM_PD ? VLLM_CONNECTOR : undefined;
    for (const [flag, value] of this.#foreign) {
      const outcome = FOREIGN.get(flag)?.judge(value) ?? {};
      connector = outcome.connector ?? connector;
      this.#apply(flag, outcome);
    }
    return {
      file: this.#file,
      flags: {
        values: this.#values,
        names: this.#names,
        workers: this.#workers().map((worker) =>
          connector === undefined || worker.workerType === undefined
            ? worker
            : { ...worker, labels: { kv_connector: connector } },
        ),
        problems: this.#problems,
        notices: this.#notices,
      },
    };
  }

  #apply(flag: string, { refusal, notice, sets, usual = {} }: Outcome): void {
    if (refusal !== undefined) this.#problems.push({ where: flag, message: refusal });
    if (notice !== undefined) this.#notices.push(`${flag} changes nothing: ${notice}`);
    if (sets !== undefined) this.#set(flag, ...sets);
    for (const key of keysOf(usual)) this.#set(flag, key, usual[key]);
  }

  /** Sets an option that no word has set itself. */
  #set(flag: string, key: ConfigKey, value: string | boolean | string[] | undefined): void {
    if (value === undefined || this.#values.has(key)) return;
    this.#values.set(key, value);
    this.#names.set(key, flag);
  }

  #workers(): GivenWorker[] {
    const workers = [...WORKER_FLAGS].flatMap(([flag, type]) =>
      givenWorkers(flag, type, this.#workerWords.get(flag) ?? []),
    );
    const backends = givenWorkers(BACKENDS, "regular", this.#workerWords.get(BACKENDS) ?? []);
    const models = (this.#workerWords.get(MODELS) ?? []).flatMap(splitList);
    if (models.length > 0 && models.length !== backends.length) {
      const message = `names ${models.length} models for ${backends.length} workers of ${BACKENDS}; each worker has one`;
      this.#problems.push({ where: MODELS, message });
    }
    const served = backends.map((worker, index) => {
      const modelId = models[index];
      return modelId === undefined ? worker : { ...worker, modelId };
    });
    return [...workers, ...served];
  }
}

const VLLM_PD = "--vllm-pd-disaggregation";
/** vllm-router's default connector. */
const VLLM_CONNECTOR = "nixl";
function isFlag(word: string): boolean {
  return KEYS_BY_FLAG.has(word) || WORKER_FLAGS.has(word) || FOREIGN.has(word) || word === "--config";
}

/** Items of a list whose flag stands alone: all, where the option knows `true` for all of them. */
function itemsOfNone(key: ConfigKey): string[] {
  return configSchema.shape[key].safeParse(true).success ? ["true"] : [];
}

const BACKENDS = "--static-backends";
const MODELS = "--static-models";

function unknownFlag(word: string): ConfigProblem {
  const [flag = word] = word.split("=", 1);
  if (isSwitch(flag)) return { where: flag, message: "must be true or false" };
  const known = [...KEYS_BY_FLAG.keys(), ...WORKER_FLAGS.keys(), "--config"];
  const near = closest(flag, known);
  return { where: flag, message: `there is no such option${near === undefined ? "" : `; did you mean ${near}?`}` };
}

function strayWord(word: string): ConfigProblem {
  if (/\.(ya?ml|json)$/i.test(word))
    return { where: word, message: `a configuration file is given as --config ${word}` };
  if (/^(https?|grpcs?):\/\//i.test(word)) return { where: word, message: "a worker is given as --worker-urls URL" };
  return { where: word, message: "there is no such command, and options begin with --; see pointsman --help" };
}

/** Rewrites switches with a value, as some programs allow them: `--x=false` becomes `--no-x`. */
export function plainSwitches(argv: readonly string[]): string[] {
  return argv.map((word) => {
    const [flag = "", value] = word.split("=", 2);
    if (value === undefined || !isSwitch(flag)) return word === "--version-verbose" ? "--version" : word;
    if (/^(true|1|yes|on)$/i.test(value)) return flag;
    return /^(false|0|no|off)$/i.test(value) ? `--no-${flag.slice(2)}` : word;
  });
}
