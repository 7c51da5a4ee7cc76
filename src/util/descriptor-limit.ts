import { openSync, readSync } from "node:fs";

/** What share of the descriptors clients' connections may take: each of their requests needs another for its worker. */
const CLIENT_SHARE = 0.8;
const SOFT_LIMIT = /^Max open files +(\d+)/m;

let ofProcess: (() => number) | undefined;

/** How many connections of clients the process can hold, now. Linux alone says it in a file; elsewhere it is Infinity. */
export function clientConnectionLimit(): number {
  // One file for all that listen.
  ofProcess ??= limitReader("/proc/self/limits");
  return ofProcess();
}

/** Reads the same from a file of that form, again and again. */
export function limitReader(path: string): () => number {
  const buffer = Buffer.alloc(4096);
  let file: number;
  try {
    // Kept open: when it matters there is no descriptor left to open it with.
    file = openSync(path, "r");
  } catch {
    // Not Linux.
    return () => Number.POSITIVE_INFINITY;
  }
  return () => {
    const text = buffer.toString("latin1", 0, readSync(file, buffer, 0, buffer.length, 0));
    // `unlimited` is no number.
    const soft = SOFT_LIMIT.exec(text)?.[1];
    return soft === undefined ? Number.POSITIVE_INFINITY : Math.floor(Number(soft) * CLIENT_SHARE);
  };
}
