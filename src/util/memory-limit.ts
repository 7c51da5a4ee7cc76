import { readFileSync } from "node:fs";
import { totalmem } from "node:os";

/** Where the kernel says what a container may take: version 2 of control groups, then version 1. */
const LIMIT_FILES = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/** What this process may take of memory, bytes; undefined where nothing but the machine bounds it. */
export function memoryLimitBytes(read: (path: string) => string = readText): number | undefined {
  for (const path of LIMIT_FILES) {
    // Without a limit there is `max`, or a number beyond any machine.
    const bytes = Number(read(path) || Number.NaN);
    if (bytes > 0 && bytes < totalmem()) return bytes;
  }
  return undefined;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "latin1").trim();
  } catch {
    // Not there: another version, or no control groups at all.
    return "";
  }
}
