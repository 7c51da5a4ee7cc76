/** The modules that threads of the runtime start with, by their places in `src/`. The one-file executable has all of them. */
export const THREAD_MODULES = [
  "threads/thread-main.ts",
  "tokenizer/load/tokenizer-thread-main.ts",
  "simulate/job-thread.ts",
] as const;

/** Where Bun keeps the modules of an executable (`bun build --compile`), with their places from the root of the sources. */
const EXECUTABLE_ROOT = "file:///$bunfs/root/";

/** Address of a module that a thread starts with. */
export function threadUrl(module: (typeof THREAD_MODULES)[number]): string {
  return new URL(module, Bun.isStandaloneExecutable ? EXECUTABLE_ROOT : new URL("../", import.meta.url)).href;
}
