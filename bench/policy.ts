/** Microseconds that each policy takes to choose, by size of the fleet and of the prompt. In one process, no sockets. */
import { POLICIES } from "../src/policy/policy-config.ts";
import type { Candidate, RequestFeatures } from "../src/policy/policy.ts";

const FLEETS = [8, 1000, 10_000];
const PROMPTS = [300, 8192, 409_600];
/** Long enough for the compiler to have done its work. */
const MIN_MS = 300;

function fleet(count: number): Candidate[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `worker-${index}`,
    url: `http://10.0.${index >> 8}.${index & 255}:8000`,
    slot: index,
    inFlight: (index * 7919) % 50,
    pendingPromptTokens: 0,
  }));
}

/** Prompts of one length that share their first half with some of the others, as conversations do. */
function requests(bytes: number): RequestFeatures[] {
  return Array.from({ length: 64 }, (_, index) => {
    const prompt = Buffer.alloc(bytes, `conversation ${index % 16} `);
    prompt.write(`turn ${index}`, bytes >> 1);
    const key = `session-${index}`;
    return { model: "m", promptTokens: bytes >> 2, promptBytes: () => prompt, routingKey: () => key };
  });
}

function microsPerSelect(name: string, candidates: readonly Candidate[], all: readonly RequestFeatures[]): number {
  const policy = POLICIES.get(name)?.({});
  if (!policy) throw new Error(`no policy ${name}`);
  let count = 0;
  let from = performance.now();
  for (const isCounted of [false, true]) {
    count = 0;
    from = performance.now();
    while (performance.now() - from < (isCounted ? MIN_MS : MIN_MS / 3)) {
      for (const request of all) policy.select(candidates, request);
      count += all.length;
    }
  }
  return ((performance.now() - from) * 1000) / count;
}

console.log("| policy | prompt, bytes | " + FLEETS.map((count) => `${count} workers |`).join(" "));
console.log("|---|---|" + FLEETS.map(() => "---|").join(""));
for (const name of POLICIES.keys()) {
  for (const bytes of name === "cache_aware" ? PROMPTS : [300]) {
    const all = requests(bytes);
    const cells = FLEETS.map((count) => `${microsPerSelect(name, fleet(count), all).toFixed(2)} |`);
    console.log(`| ${name} | ${bytes} | ${cells.join(" ")}`);
  }
}
