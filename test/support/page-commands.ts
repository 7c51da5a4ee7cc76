import { expect } from "bun:test";
import type { Terminal } from "../../src/cli/command-output.ts";
import { type Commands, run } from "../../src/cli/program.ts";
import { readSimulateWords, simulateArguments } from "../../src/cli/simulate-arguments.ts";
import type { ServeArguments } from "../../src/cli/read-words.ts";

/** Commands whose help lists all of their flags. */
const HELPS = [
  ["serve"],
  ["demo"],
  ["engine"],
  ["top"],
  ...["diff", "apply", "rollback", "history"].map((command) => ["config", command]),
  ...["create", "list", "show", "update", "rotate", "revoke"].map((command) => ["keys", command]),
  ...["list", "cordon", "uncordon", "drain", "remove"].map((command) => ["workers", command]),
];

/** What is wrong with the words behind `pointsman`, by the program's own reading of them: empty where nothing is. Nothing is carried out. */
export async function mistakesOf(words: readonly string[]): Promise<string[]> {
  const mistakes: string[] = [];
  const note = (text: string): void => void mistakes.push(text.trim());
  const terminal: Terminal = { out: () => undefined, err: note, columns: undefined };
  const readServe = ({ flags }: ServeArguments): Promise<void> => {
    for (const { where, message } of flags.problems ?? []) note(`${where}: ${message}`);
    return Promise.resolve();
  };
  await run(words, "0", commandsThat(readServe, note), terminal);
  return mistakes;
}

/** Commands that read their words and do nothing. `note` is told what is wrong with those of a simulation, which reads them itself. */
function commandsThat(serve: Commands["serve"], note: (text: string) => void): Commands {
  const nothing = (): Promise<void> => Promise.resolve();
  return {
    serve,
    check: serve,
    config: () => Promise.resolve(0),
    keys: nothing,
    top: () => Promise.resolve(0),
    workers: () => Promise.resolve(0),
    demo: nothing,
    engine: nothing,
    simulate: (argv) => {
      simulateArguments(readSimulateWords(argv, { out: () => undefined, err: note, columns: undefined }), 1);
      return Promise.resolve();
    },
  };
}

/** Those of the flags that no command of the program has. */
export async function unknownFlags(flags: readonly string[]): Promise<string[]> {
  const known = await shownFlags();
  const hidden = flags.filter((flag) => !known.has(flag));
  const words = hidden.map((flag) => (flag.startsWith("--no-") ? flag : `${flag}=x`));
  const mistakes = (await mistakesOf(["serve", ...words])).filter((text) => NO_OPTION.test(text));
  return hidden.filter((flag) => mistakes.some((text) => text.startsWith(`${flag}: `)));
}

const NO_OPTION = /there is no such option/;
let shown: Promise<ReadonlySet<string>> | undefined;

/** The flags in the help of all commands. */
function shownFlags(): Promise<ReadonlySet<string>> {
  shown ??= (async () => {
    let text = "";
    const terminal: Terminal = { out: (more) => void (text += more), err: () => undefined, columns: undefined };
    const idle = commandsThat(() => Promise.resolve(), terminal.err);
    for (const command of HELPS) await run([...command, "--help"], "0", idle, terminal);
    // Commander ends a help by an exception.
    expect(() => readSimulateWords(["--help"], terminal)).toThrow();
    return new Set(text.match(/--[a-z][\w-]*/g));
  })();
  return shown;
}
