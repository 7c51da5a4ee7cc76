import { describe, expect, test } from "bun:test";
import type { Logger } from "../observability/logger.ts";
import { firstSignal, type SignalSource, surviveSignals } from "./signals.ts";

function setUp(): {
  readonly source: SignalSource;
  readonly exits: readonly number[];
  send(signal: NodeJS.Signals): void;
} {
  const listeners = new Map<NodeJS.Signals, (signal: NodeJS.Signals) => void>();
  const exits: number[] = [];
  return {
    source: {
      on: (signal, listener) => listeners.set(signal, listener),
      exit: (code) => void exits.push(code),
    },
    exits,
    send: (signal) => listeners.get(signal)?.(signal),
  };
}

describe("signals that end the gateway", () => {
  for (const signal of ["SIGTERM", "SIGQUIT", "SIGINT"] as const) {
    test(`${signal} is what it is drained with`, async () => {
      const { source, exits, send } = setUp();
      const first = firstSignal(source);
      send(signal);
      expect(await first).toBe(signal);
      expect(exits).toEqual([]);
    });
  }

  test("the second one ends the process at once, whichever it is", async () => {
    const { source, exits, send } = setUp();
    const first = firstSignal(source);
    send("SIGTERM");
    send("SIGINT");
    expect(await first).toBe("SIGTERM");
    expect(exits).toEqual([1]);
  });
});

describe("signals that mean something to other servers", () => {
  test("SIGHUP reloads, and the others do nothing and say so once there is a logger", () => {
    const { source, send } = setUp();
    const lines: unknown[] = [];
    const ignore = (): void => undefined;
    let logger: Logger | undefined;
    let reloads = 0;
    surviveSignals(
      () => logger,
      () => void (reloads += 1),
      source,
    );
    send("SIGUSR1");
    logger = {
      debug: ignore,
      info: ignore,
      error: ignore,
      warn: (fields, message) => void lines.push([fields, message]),
    };
    for (const signal of ["SIGHUP", "SIGUSR1", "SIGUSR2"] as const) send(signal);
    expect(lines).toEqual([
      [{ signal: "SIGUSR1" }, "this signal does nothing"],
      [{ signal: "SIGUSR2" }, "this signal does nothing"],
    ]);
    expect(reloads).toBe(1);
  });
});
