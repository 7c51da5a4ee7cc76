import { readFileSync } from "node:fs";
import { totalmem } from "node:os";

/** Files in which the kernel states a container's memory limit: control groups version 2, then version 1. */
const LIMIT_FILES = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/** The container's memory limit, bytes; undefined where there is none. */
export function memoryLimitBytes(read: (path: string) => string = readText): number | undefined {
  for (const path of LIMIT_FILES) {
    // Without a limit the file has `max`, or a number larger than any machine's memory.
    const bytes = Number(read(path) || Number.NaN);
    if (bytes > 0 && bytes < totalmem()) return bytes;
  }
  return undefined;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "latin1").trim();
  } catch {
    // The file does not exist: another version, or no control groups.
    return "";
  }
}
