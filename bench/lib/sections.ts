import { choice } from "../sections/choice.ts";
import { chunksCadence } from "../sections/chunks-cadence.ts";
import { chunksSaturated } from "../sections/chunks-saturated.ts";
import { fleet } from "../sections/fleet.ts";
import { idleClients } from "../sections/idle-clients.ts";
import { jsonCacheAware } from "../sections/json-cache-aware.ts";
import { jsonRoundRobin } from "../sections/json-round-robin.ts";
import { keys } from "../sections/keys.ts";
import { latency } from "../sections/latency.ts";
import { memory } from "../sections/memory.ts";
import { prompts } from "../sections/prompts.ts";
import { selection } from "../sections/selection.ts";
import { threads } from "../sections/threads.ts";
import { tlsClients } from "../sections/tls-clients.ts";
import type { Section } from "./section.ts";

/** In the order of the report. */
const SECTIONS: readonly Section[] = [
  jsonRoundRobin,
  jsonCacheAware,
  keys,
  prompts,
  chunksSaturated,
  chunksCadence,
  latency,
  threads,
  memory,
  idleClients,
  tlsClients,
  fleet,
  selection,
  choice,
];

/** Those of the list of names, or all. Throws where a name is none. */
export function sectionsOf(names: string | undefined): readonly Section[] {
  if (names === undefined) return SECTIONS;
  return names.split(",").map((name) => {
    const section = SECTIONS.find((candidate) => candidate.name === name);
    if (!section) throw new Error(`no section ${name}; there are ${SECTIONS.map(({ name }) => name).join(", ")}`);
    return section;
  });
}
