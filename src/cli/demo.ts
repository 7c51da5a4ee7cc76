import { type ConfigSources, type ConfigText, type LoadedConfig, loadConfig } from "../config/load.ts";
import { startEngine } from "../engine-sim/engine.ts";
import { ConfigError } from "../config/config-error.ts";
import type { ConfigKey } from "../config/schema.ts";
import { runUntil, startGateway, workersAsked } from "./run-gateway.ts";
import { keysOf } from "../util/objects.ts";
import { firstSignal } from "./signals.ts";

const MODEL = "sim-1";
const ENGINES = 3;
const USUAL_PORT = 30_000;

/** `pointsman demo`: three simulated engines at an engine's pace and the gateway in front of them, until a signal. */
export async function demo({ port }: { readonly port: number | undefined }): Promise<void> {
  const signal = firstSignal();
  const engines = await Promise.all(Array.from({ length: ENGINES }, () => startEngine({ model: MODEL })));
  const urls = engines.map(({ url }) => url);
  const gateway = await onUsualPort(port, (one) => {
    const load = (document?: ConfigText, allowed?: ReadonlySet<string>): LoadedConfig =>
      demoConfig(urls, one, { document, allowed });
    return startGateway(load(), load);
  });
  // The reader may send the printed requests at once.
  await workersAsked(gateway.context);
  process.stdout.write(welcome(gateway.server.url, urls));
  await runUntil(signal, gateway);
}

/** Starts on the usual port if it is free, otherwise on any free one. A port in `asked` is the only one tried. */
export async function onUsualPort<T>(asked: number | undefined, start: (port: number) => Promise<T>): Promise<T> {
  try {
    return await start(asked ?? USUAL_PORT);
  } catch (error) {
    if (asked !== undefined || !(error instanceof ConfigError)) throw error;
    return start(0);
  }
}

/** What makes the demo small and quiet, as flags. */
const FLAGS = {
  host: "127.0.0.1",
  prometheusPort: "0",
  logLevel: "warn",
  shutdownDelaySecs: "0",
  shutdownGracePeriodSecs: "2",
} satisfies Partial<Record<ConfigKey, string>>;

function demoConfig(
  workers: readonly string[],
  port: number,
  given: Pick<ConfigSources, "document" | "allowed">,
): LoadedConfig {
  const values = new Map<ConfigKey, string>(keysOf(FLAGS).map((key) => [key, FLAGS[key]]));
  return loadConfig({ ...given, env: {}, flags: { values: values.set("port", String(port)), workers } });
}

/** The text for a person: the gateway's address, and requests to try. */
export function welcome(url: string, engines: readonly string[]): string {
  const body = (stream: boolean): string =>
    JSON.stringify({
      model: MODEL,
      ...(stream ? { stream } : {}),
      messages: [{ role: "user", content: "Tell me of trains." }],
    });
  const post = `curl -s ${url}/v1/chat/completions -H 'content-type: application/json'`;
  return [
    `pointsman listens on ${url}, in front of ${engines.length} simulated engines (${engines.join(", ")}).`,
    "",
    "A chat completion:",
    `  ${post} -d '${body(false)}'`,
    "The same, streamed:",
    `  ${post.replace("curl -s", "curl -sN")} -d '${body(true)}'`,
    "The workers:",
    `  curl -s ${url}/workers`,
    "",
    "Ctrl-C ends it.",
    "",
  ].join("\n");
}
