import { expect, test } from "bun:test";
import { ConfigError } from "../config/config-error.ts";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import { GatewayError } from "../errors/errors.ts";
import { startError } from "./start-error.ts";

const { config } = loadConfig({ env: {}, flags: NO_FLAGS });

test("a setting that cannot be carried out is a mistake in the configuration, wherever it was found", () => {
  const here = new GatewayError("invalid_request", "unknown policy");
  const onAnotherThread = Object.assign(new Error("unknown policy"), { code: "invalid_request" });
  for (const error of [here, onAnotherThread]) {
    expect(startError(error, config)).toEqual(new ConfigError("config", "unknown policy"));
  }
});

test("an address that cannot be had is told with its flag", () => {
  const taken = Object.assign(new Error("Failed to start server. Is port 8080 in use?"), { code: "EADDRINUSE" });
  expect(String(startError(taken, { ...config, port: 8080 }))).toContain("--port: ");
});

test("anything else stays what it is", () => {
  const defect = new TypeError("undefined is not a function");
  expect(startError(defect, config)).toBe(defect);
});
