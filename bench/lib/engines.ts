import { join } from "node:path";
import { loopbackAddresses } from "./loopback.ts";
import { type Program, startProgram } from "./processes.ts";

/** Engines of one process. */
export interface Engines {
  readonly urls: readonly string[];
  readonly program: Program;
}

/** Starts engines on the ports of the addresses and waits until the last listens. Whoever starts them stops them. */
export async function startEngines(
  logs: string,
  place: { readonly firstPort: number; readonly ports: number; readonly addresses?: number },
): Promise<Engines> {
  const { firstPort, ports, addresses = 1 } = place;
  const command = [process.execPath, join(import.meta.dir, "../engine.ts"), firstPort, ports, addresses].map(String);
  const program = startProgram(command, join(logs, `engines-${firstPort}.log`));
  const urls = loopbackAddresses(addresses).flatMap((address) =>
    Array.from({ length: ports }, (_, index) => `http://${address}:${firstPort + index}`),
  );
  try {
    await untilAnswers(`${urls.at(-1)}/health`);
  } catch (error) {
    await program.stop();
    throw error;
  }
  return { urls, program };
}

/** Waits until it answers well. Throws after ten seconds. */
export async function untilAnswers(url: string): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    try {
      if ((await fetch(url)).ok) return;
    } catch {
      // Not listening yet.
    }
    await Bun.sleep(50);
  }
  throw new Error(`nothing answers at ${url}`);
}
