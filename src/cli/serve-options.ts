import { type Command, Option } from "commander";
import { FOREIGN_FLAGS, type ForeignFlag } from "../config/launch-flags.ts";
import { envNameOfFlag, flagName, flagNames, optionDefault, optionKind } from "../config/options.ts";
import { type ConfigKey, configSchema, OPTION_GROUPS, optionMeta } from "../config/schema.ts";
import { keysOf } from "../util/objects.ts";

/** A flag as it was written on the command line. */
export interface GivenWord {
  readonly flag: string;
  /** undefined where none was given, as for a switch. */
  readonly value: string | undefined;
}

const KEYS = keysOf(configSchema.shape);

/** Adds all options of a gateway to the command. Returns a list that gets the flags in order when the command is parsed. */
export function addServeOptions(command: Command): readonly GivenWord[] {
  const words: GivenWord[] = [];
  const add = (option: Option, flag = option.long ?? ""): void => {
    command.addOption(option);
    command.on(`option:${option.name()}`, (value: unknown) => {
      words.push({ flag, value: typeof value === "string" ? value : undefined });
    });
  };
  add(new Option("-c, --config <file>", `configuration file, YAML [POINTSMAN_CONFIG]`));
  for (const group of OPTION_GROUPS) {
    for (const key of KEYS.filter((candidate) => optionMeta(candidate).group === group)) {
      for (const option of optionsOf(key)) add(option.helpGroup(`${group}:`));
    }
  }
  for (const foreign of FOREIGN_FLAGS) add(new Option(foreign.flag + foreignPlaceholder(foreign)).hideHelp());
  return words;
}

/** Whether the flag is a switch, whose value can only follow `=`. */
export function isSwitch(flag: string): boolean {
  return SWITCHES.has(flag);
}

const SWITCHES: ReadonlySet<string> = new Set([
  ...KEYS.filter((key) => optionKind(key) === "boolean").flatMap(flagNames),
  ...FOREIGN_FLAGS.filter(({ takes }) => takes === "nothing").map(({ flag }) => flag),
]);

/** The option of a key with its other names and, for a switch, its `--no-` form. Help shows only the first. */
function optionsOf(key: ConfigKey): Option[] {
  if (key === "initialWorkers") return workerOptions();
  const names = flagNames(key);
  const isBoolean = optionKind(key) === "boolean";
  const shown = names.map((flag, index) => {
    const option = new Option(`${flag}${placeholder(key)}`, helpText(key));
    return index === 0 ? option : option.hideHelp();
  });
  const off = isBoolean ? names.map((flag) => new Option(`--no-${flag.slice(2)}`).hideHelp()) : [];
  return [...shown, ...off];
}

function workerOptions(): Option[] {
  return [
    new Option("--worker <url>", "worker to start with, repeatable [POINTSMAN_WORKER]"),
    new Option("--worker-urls [urls...]", "workers to start with [POINTSMAN_WORKER_URLS]"),
    new Option(
      "--prefill <url...>",
      "prefill worker to start with, and its bootstrap port where it has one; repeatable [POINTSMAN_PREFILL]",
    ),
    new Option("--decode <url...>", "decode worker to start with, repeatable [POINTSMAN_DECODE]"),
    ...["--prefill-workers", "--decode-workers", "--static-backends", "--static-models"].map((flag) =>
      new Option(`${flag} <values...>`).hideHelp(),
    ),
  ];
}

function placeholder(key: ConfigKey): string {
  switch (optionKind(key)) {
    case "boolean":
      return "";
    case "number":
      return " <n>";
    case "list":
      return " [values...]";
    case "string":
      return " <value>";
  }
}

/** The placeholder of the value. It is optional, because some of these flags are refused in any case. */
function foreignPlaceholder({ takes }: ForeignFlag): string {
  return { nothing: "", value: " [value]", list: " [values...]" }[takes];
}

/** The first sentence of the description, the default and the variable. */
function helpText(key: ConfigKey): string {
  const [first = ""] = optionMeta(key).description.split(/(?<=\.) /, 1);
  return `${first}${defaultText(key)} [${envNameOfFlag(flagName(key))}]`;
}

function defaultText(key: ConfigKey): string {
  const value = optionDefault(key);
  if (value === undefined || value === false || (Array.isArray(value) && value.length === 0)) return "";
  return ` (default: ${Array.isArray(value) ? value.join(",") : JSON.stringify(value)})`;
}
