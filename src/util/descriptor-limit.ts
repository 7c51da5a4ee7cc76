import { openSync, readSync } from "node:fs";

/** What share of the descriptors connections may take on all ports together: each request needs another for its worker. */
const CLIENT_SHARE = 0.8;
/** Of these, what each port for a few may have: those of metrics and of the administration. */
const SIDE_SHARE = 0.05;
const MOST_SIDE = 64;
const LEAST_SIDE = 4;
/** How many such ports there are at most. */
const SIDE_PORTS = 2;
const SOFT_LIMIT = /^Max open files +(\d+)/m;

let ofProcess: (() => number) | undefined;

/** How many connections of clients the process can hold on its main port, now. Linux alone says it in a file; elsewhere it is Infinity. */
export function clientConnectionLimit(): number {
  return shareOf(allPorts()).main;
}

/** The same for each port for a few: whoever takes all of them takes none of the main port's. */
export function sideConnectionLimit(): number {
  return shareOf(allPorts()).side;
}

/** How so many connections are shared by the ports. */
export function shareOf(connections: number): { readonly main: number; readonly side: number } {
  const side = Math.max(LEAST_SIDE, Math.min(MOST_SIDE, Math.floor(connections * SIDE_SHARE)));
  return { main: connections - SIDE_PORTS * side, side };
}

function allPorts(): number {
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
