import { readFileSync } from "node:fs";

/** When a process began, in ticks since the machine did: with its id it names one process and no other. */
export function startOf(pid: number): string | undefined {
  // The name in parentheses may have spaces.
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)?.split(" ");
  return fields?.[0] === "Z" ? undefined : fields?.[19];
}
