/** What ends a command. */
const OPERATORS = new Set([";", "&", "|", "(", ")", "\n"]);

/**
 * The commands of shell text, each as its words: quotes and comments are gone, and a line that ends with a backslash goes on.
 * What is within `$(...)` is a command of its own. Variables stay as they are written.
 */
export function shellCommands(text: string): string[][] {
  const commands: string[][] = [];
  let words: string[] = [];
  let word: string | undefined;
  const endWord = (): void => {
    if (word !== undefined) words.push(word);
    word = undefined;
  };
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charAt(at);
    if (char === "\\") {
      at += 1;
      if (text.charAt(at) !== "\n") word = (word ?? "") + text.charAt(at);
    } else if (char === "'" || char === '"') {
      const end = text.indexOf(char, at + 1);
      word = (word ?? "") + text.slice(at + 1, end);
      at = end < 0 ? text.length : end;
    } else if (char === "#" && word === undefined) {
      at = (text.indexOf("\n", at) + 1 || text.length + 1) - 2;
    } else if (OPERATORS.has(char)) {
      endWord();
      if (words.length > 0) commands.push(words);
      words = [];
    } else if (char === " " || char === "\t") endWord();
    else word = (word ?? "") + char;
  }
  endWord();
  return words.length > 0 ? [...commands, words] : commands;
}

/** The words of each command that starts the program of this name, without what comes before: assignments, `npx`, `exec`. */
export function wordsFor(program: string, text: string): string[][] {
  return shellCommands(text).flatMap((words) => {
    const at = words.findIndex((word) => !/^(\w+=.*|npx|exec|sudo|\$|!|until|while|if|do|then)$/.test(word));
    return words[at] === program ? [words.slice(at + 1)] : [];
  });
}
