import { openSync, readSync } from "node:fs";

/** Share of the file descriptors that client connections may take on all ports together. Each request needs another descriptor for its worker. */
const CLIENT_SHARE = 0.8;
/** Share of those connections that each side port (metrics, administration) may have. */
const SIDE_SHARE = 0.05;
const MOST_SIDE = 64;
const LEAST_SIDE = 4;
/** Largest number of side ports. */
const SIDE_PORTS = 2;
const SOFT_LIMIT = /^Max open files +(\d+)/m;

let ofProcess: (() => number) | undefined;

/** How many client connections the process can hold on its main port now. Linux has the limit in a file; elsewhere this is Infinity. */
export function clientConnectionLimit(): number {
  return shareOf(allPorts()).main;
}

/** How many connections a side port can hold. They are not the main port's, so taking all of them does not block it. */
export function sideConnectionLimit(): number {
  return shareOf(allPorts()).side;
}

/** Divides a number of connections among the ports. */
export function shareOf(connections: number): { readonly main: number; readonly side: number } {
  const side = Math.max(LEAST_SIDE, Math.min(MOST_SIDE, Math.floor(connections * SIDE_SHARE)));
  return { main: connections - SIDE_PORTS * side, side };
}

function allPorts(): number {
  // All listeners share one open file.
  ofProcess ??= limitReader("/proc/self/limits");
  return ofProcess();
}

/** Returns a function that reads the soft limit of open files from a file like `/proc/self/limits`. */
export function limitReader(path: string): () => number {
  const buffer = Buffer.alloc(4096);
  let file: number;
  try {
    // It stays open: when the limit matters, no descriptor is left to open it with.
    file = openSync(path, "r");
  } catch {
    // This system is not Linux.
    return () => Number.POSITIVE_INFINITY;
  }
  return () => {
    const text = buffer.toString("latin1", 0, readSync(file, buffer, 0, buffer.length, 0));
    // `unlimited` is not a number.
    const soft = SOFT_LIMIT.exec(text)?.[1];
    return soft === undefined ? Number.POSITIVE_INFINITY : Math.floor(Number(soft) * CLIENT_SHARE);
  };
}
