import { foreignFlagRows } from "../src/config/launch-flags.ts";
import { flagNames } from "../src/config/options.ts";
import { type ConfigKey, configSchema } from "../src/config/schema.ts";
import { keysOf } from "../src/util/objects.ts";
import { type Peer, PEERS } from "./peer-flags.ts";

/** Flags that name workers, which `src/config/given-workers.ts` reads. */
const WORKER_FLAGS = new Set(["--worker-urls", "--prefill", "--decode"]);

const OPTION_OF: ReadonlyMap<string, ConfigKey> = new Map(
  keysOf(configSchema.shape).flatMap((key) => flagNames(key).map((flag): [string, ConfigKey] => [flag, key])),
);

/** What becomes of a flag of another gateway. `text` says more, where its name does not. */
export type Fate =
  | { readonly kind: "same" }
  | { readonly kind: "renamed" | "byValue" | "unused" | "refused"; readonly text: string };

/** What becomes of a flag here; undefined for one that is not known. */
export function fateOf(flag: string): Fate | undefined {
  if (WORKER_FLAGS.has(flag)) return { kind: "same" };
  // A switch is turned off by `--no-` before its name.
  const key = OPTION_OF.get(flag) ?? OPTION_OF.get(flag.replace(/^--no-/, "--"));
  if (key !== undefined) {
    const [own = flag] = flagNames(key);
    return own === flag || flag.startsWith("--no-") ? { kind: "same" } : { kind: "renamed", text: `\`${own}\`` };
  }
  const rows = foreignFlagRows();
  for (const kind of ["byValue", "unused", "refused"] as const) {
    const row = rows[kind].find(({ flags }) => flags.includes(flag));
    if (row) return { kind, text: row.text };
  }
  return undefined;
}

const TITLES: readonly (readonly [kind: Exclude<Fate["kind"], "same">, title: string])[] = [
  ["renamed", "Taken, under another name"],
  ["byValue", "Taken or refused by their value"],
  ["unused", "Taken, and change nothing: a line at the start says why"],
  ["refused", "Refused, with this sentence"],
];

function code(text: string): string {
  return `\`${text}\``;
}

function tableOf(peer: Peer, kind: Fate["kind"]): string[] {
  const texts = new Map<string, string[]>();
  for (const flag of peer.flags) {
    const fate = fateOf(flag);
    if (fate?.kind !== kind || fate.kind === "same") continue;
    texts.set(fate.text, [...(texts.get(fate.text) ?? []), code(flag)]);
  }
  return [...texts].map(([text, flags]) => `| ${flags.join(", ")} | ${text} |`);
}

/** The part of the page on one gateway: each of its flags stands in it once. */
export function peerText(peer: Peer): string[] {
  const same = peer.flags.filter((flag) => fateOf(flag)?.kind === "same").map(code);
  const lines = [`Flags of ${peer.name} ${peer.version}.`, "", `Taken as they are: ${same.join(", ")}.`];
  for (const [kind, title] of TITLES) {
    const rows = tableOf(peer, kind);
    if (rows.length > 0) lines.push("", `${title}:`, "", "| | |", "|---|---|", ...rows);
  }
  return lines;
}

/** The made parts of `docs/migration.md`, by their names. */
export function migrationParts(): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(PEERS.map((peer) => [peer.name, peerText(peer)]));
}
