import { expect, test } from "bun:test";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { addressError } from "./address-error.ts";

const { config: defaults } = loadConfig({ env: {}, flags: NO_FLAGS });

function told(message: string, code: string | undefined, config: Partial<Config> = {}): string {
  const error = Object.assign(new Error(message), code === undefined ? {} : { code });
  const wrong = addressError(error, { ...defaults, port: 8080, ...config });
  return wrong === error ? "unchanged" : String(wrong);
}

test("a port that is taken is told with the flag that gives it", () => {
  expect(told("Failed to start server. Is port 8080 in use?", "EADDRINUSE")).toBe(
    "ConfigError: --port: 127.0.0.1:8080 is in use (EADDRINUSE)",
  );
  const metrics = { prometheusHost: "0.0.0.0" };
  expect(told("Is port 29000 in use?", "EADDRINUSE", metrics)).toBe(
    "ConfigError: --prometheus-port: 0.0.0.0:29000 is in use (EADDRINUSE)",
  );
  expect(told("Is port 9090 in use?", "EADDRINUSE", { adminPort: 9090 })).toBe(
    "ConfigError: --admin-port: 127.0.0.1:9090 is in use (EADDRINUSE)",
  );
});

test("where the message does not say which port, all that may be meant are told", () => {
  expect(told("no", "EADDRINUSE")).toBe(
    "ConfigError: --port, --prometheus-port: 127.0.0.1:8080 or 127.0.0.1:29000 is in use (EADDRINUSE)",
  );
});

test("a host that is none is told with the flag of the host", () => {
  expect(told("port 8080: Failed to listen at nowhere.invalid", undefined, { host: "nowhere.invalid" })).toBe(
    "ConfigError: --host: nowhere.invalid cannot be listened on: there is no such host",
  );
  const admin = { port: 0, adminPort: 0, adminHost: "nowhere.invalid" };
  expect(told("port 0: Failed to listen at nowhere.invalid", undefined, admin)).toStartWith(
    "ConfigError: --admin-host: nowhere.invalid cannot be listened on",
  );
  expect(told("port 8080: Failed to listen at 10.1.2.3", "EADDRNOTAVAIL", { host: "10.1.2.3" })).toBe(
    "ConfigError: --host: 10.1.2.3 is no address of this machine (EADDRNOTAVAIL)",
  );
  expect(told("port 29000: Failed to listen at x.invalid", undefined, { prometheusHost: "x.invalid" })).toStartWith(
    "ConfigError: --prometheus-host: x.invalid cannot be listened on",
  );
});

test("a port that a user may not have is told so, and any other error stays what it is", () => {
  expect(told("port 8080", "EACCES")).toContain("this user may not (EACCES)");
  expect(told("something else", undefined)).toBe("unchanged");
});
