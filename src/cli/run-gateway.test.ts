import { expect, test } from "bun:test";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import { runUntil } from "./run-gateway.ts";

const { config } = loadConfig({ env: {}, flags: NO_FLAGS });

/** The actions at the end of a gateway, in order. */
async function endedBy(signal: NodeJS.Signals): Promise<string[]> {
  const steps: string[] = [];
  const ignore = (): void => undefined;
  const gateway = {
    context: {
      live: { config: { ...config, shutdownDelaySecs: 3, shutdownGracePeriodSecs: 9 } },
      logger: {
        debug: ignore,
        warn: ignore,
        error: ignore,
        info: (_fields: object, said = "") => void steps.push(said),
      },
      [Symbol.asyncDispose]: async () => void steps.push("context closed"),
    },
    watch: { [Symbol.dispose]: () => void steps.push("watch ended") },
    server: {
      drain: async ({ delayMs, graceMs }: { readonly delayMs: number; readonly graceMs: number }) =>
        void steps.push(`drained within ${delayMs} + ${graceMs} ms`),
      stop: async () => void steps.push("server stopped"),
    },
  };
  await runUntil(Promise.resolve(signal), gateway, (code) => steps.push(`exit ${code}`));
  return steps;
}

test("a signal drains, stops the server, closes the context and ends the process, in this order", async () => {
  expect(await endedBy("SIGTERM")).toEqual([
    "watch ended",
    "draining",
    "drained within 3000 + 9000 ms",
    "server stopped",
    "stopped",
    "context closed",
    "exit 0",
  ]);
});

test("a gateway that is stopped by hand begins at once to end", async () => {
  expect((await endedBy("SIGINT"))[2]).toBe("drained within 0 + 9000 ms");
});
