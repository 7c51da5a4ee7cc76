import { startEngine } from "../engine-sim/engine.ts";
import type { EngineArguments } from "./program.ts";

/** `pointsman engine`: one simulated engine, until a signal. */
export async function engine({ port, model, isInstant }: EngineArguments): Promise<void> {
  const running = await startEngine({ port, model, instant: isInstant });
  process.stdout.write(`${JSON.stringify({ event: "listening", url: running.url, model })}\n`);
  await new Promise<void>((resolve) => {
    process.once("SIGTERM", () => resolve());
    process.once("SIGINT", () => resolve());
  });
  await running.stop();
}
