import { startEngine } from "../engine-sim/engine.ts";
import type { EngineArguments } from "./program.ts";
import { firstSignal } from "./signals.ts";

/** `pointsman engine`: one simulated engine, until a signal. */
export async function engine({ port, model, isInstant, dpSize }: EngineArguments): Promise<void> {
  const signal = firstSignal();
  const running = await startEngine({ port, model, instant: isInstant, dpSize });
  process.stdout.write(`${JSON.stringify({ event: "listening", url: running.url, model })}\n`);
  await signal;
  await running.stop();
}
