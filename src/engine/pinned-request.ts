import type { JsonBody } from "../protocol/json/json-body.ts";
import type { Worker } from "../worker/worker.ts";
import { engineOf } from "./engines.ts";
import { RANK_HEADER } from "./rank-pin.ts";

const NO_MEMBERS: ReadonlyMap<string, Uint8Array | string> = new Map();

/** The header line that names the worker's data-parallel rank; undefined for a worker that is no rank. */
export function rankHeader({ pinnedRank }: Pick<Worker, "pinnedRank">): string | undefined {
  return pinnedRank === undefined ? undefined : `${RANK_HEADER}: ${pinnedRank}\r\n`;
}

/** The client's body with these members and, for a data-parallel rank, those that name it. Members are JSON text. */
export function pinnedBody(
  worker: Pick<Worker, "pinnedRank" | "info">,
  body: JsonBody,
  members: ReadonlyMap<string, Uint8Array | string> = NO_MEMBERS,
): Uint8Array {
  const { pinnedRank } = worker;
  const pin = pinnedRank === undefined ? undefined : engineOf(worker).rankPin;
  if (!pin || pin.members.length === 0) return members.size === 0 ? body.bytes : body.with(members);
  const all = new Map(members);
  for (const name of pin.cleared) if (!all.has(name) && body.raw(name) !== undefined) all.set(name, "null");
  for (const name of pin.members) all.set(name, String(pinnedRank));
  return body.with(all);
}
