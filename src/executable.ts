/** Start of the one-file executable. `bin/pointsman` does for the package what this does here. */

// Bun reads these when its process starts: it would send reports of its own crashes to its makers, and `fetch` would keep to 256 requests
// at a time (Bun 1.4.5, 2026-11-26). So the executable starts once more, in the same process, with them.
export const RUNTIME: Readonly<Record<string, string>> = {
  BUN_ENABLE_CRASH_REPORTING: "0",
  BUN_CONFIG_MAX_HTTP_REQUESTS: "65535",
};

if (Object.keys(RUNTIME).some((name) => process.env[name] === undefined)) {
  process.execve?.(process.execPath, ["pointsman", ...process.argv.slice(2)], { ...RUNTIME, ...process.env });
}
await import("./main.ts");
