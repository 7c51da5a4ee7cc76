import type { Secret } from "../util/secret.ts";
import type { FetchJson } from "./worker-probe.ts";

/** Largest answer that is read, bytes. */
const MAX_BYTES = 1024 * 1024;

/** True where the worker answers 2xx in time. Never throws. */
export type FetchHealth = (url: string, apiKey: Secret | undefined, timeoutMs: number) => Promise<boolean>;

async function get(url: string, apiKey: Secret | undefined, timeoutMs: number): Promise<Response> {
  return fetch(url, {
    redirect: "manual",
    headers: apiKey ? { authorization: `Bearer ${apiKey.reveal()}` } : {},
    signal: AbortSignal.timeout(timeoutMs),
  });
}

export const fetchHealth: FetchHealth = async (url, apiKey, timeoutMs) => {
  try {
    const response = await get(url, apiKey, timeoutMs);
    await response.body?.cancel();
    return response.ok;
  } catch {
    // Refused, reset or late: not healthy, which is the answer.
    return false;
  }
};

export const fetchJson: FetchJson = async (url, apiKey, timeoutMs) => {
  try {
    const response = await get(url, apiKey, timeoutMs);
    if (!response.ok) {
      await response.body?.cancel();
      return undefined;
    }
    const pieces: Uint8Array[] = [];
    let total = 0;
    for await (const piece of response.body ?? []) {
      total += piece.length;
      if (total > MAX_BYTES) return undefined;
      pieces.push(piece);
    }
    return JSON.parse(Buffer.concat(pieces).toString());
  } catch {
    // No such page, no JSON, no answer: nothing is known from here, and the caller asks elsewhere.
    return undefined;
  }
};
