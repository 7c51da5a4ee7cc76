/** The parts of an output stream that are watched. */
interface WatchedOutput {
  on(event: "error", listener: (error: Error) => void): unknown;
}

/**
 * Ends the program where what it prints cannot be written any more: without a word where the reader has left, as `head` does, and else with
 * one line and code 1. A gateway that serves prints past `process.stdout`, and goes on without a reader.
 */
export function endWithoutOutput(
  stdout: WatchedOutput,
  end: { readonly err: (text: string) => void; readonly exit: (code: number) => void },
): void {
  stdout.on("error", (error) => {
    const code = "code" in error ? String(error.code) : error.message;
    if (code === "EPIPE") {
      end.exit(0);
      return;
    }
    end.err(`pointsman: standard output cannot be written (${code})\n`);
    end.exit(1);
  });
}
