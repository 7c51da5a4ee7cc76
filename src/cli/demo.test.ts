import { describe, expect, test } from "bun:test";
import { ConfigError } from "../config/config-error.ts";
import { onUsualPort, welcome } from "./demo.ts";

const TAKEN = new ConfigError("--port", "it is in use");

describe("the port of the demo", () => {
  const tried = async (asked: number | undefined, fails: (port: number) => Error | undefined): Promise<unknown[]> => {
    const ports: number[] = [];
    const outcome = await onUsualPort(asked, async (port) => {
      ports.push(port);
      const error = fails(port);
      if (error) throw error;
      return "runs";
    }).catch((error: unknown) => error);
    return [ports, outcome];
  };

  test("is the usual one, or any free one where that is taken", async () => {
    expect(await tried(undefined, () => undefined)).toEqual([[30_000], "runs"]);
    expect(await tried(undefined, (port) => (port === 30_000 ? TAKEN : undefined))).toEqual([[30_000, 0], "runs"]);
  });

  test("is the one that was asked for and no other", async () => {
    expect(await tried(8080, () => TAKEN)).toEqual([[8080], TAKEN]);
  });

  test("is not looked for where something else is wrong", async () => {
    const defect = new TypeError("no");
    expect(await tried(undefined, () => defect)).toEqual([[30_000], defect]);
  });
});

test("the lines of the demo are commands for its address, whose bodies are JSON", () => {
  const text = welcome("http://127.0.0.1:7", ["http://127.0.0.1:8", "http://127.0.0.1:9"]);
  expect(text).toContain("in front of 2 simulated engines (http://127.0.0.1:8, http://127.0.0.1:9)");
  const bodies = [...text.matchAll(/-d '(.*)'/g)].map(([, body = ""]) => JSON.parse(body) as { stream?: boolean });
  expect(bodies.map(({ stream }) => stream)).toEqual([undefined, true]);
  expect(text).toContain("curl -s http://127.0.0.1:7/workers");
});
