import type { Candidate, Policy } from "../src/policy/policy.ts";

/** Weight of the newest first token in what is known of a worker. */
const WEIGHT = 0.2;

/**
 * Learns how long each worker takes to the first token, for each request that is in flight there, and sends a request to the
 * worker from which it expects one first. A worker that it knows nothing of is tried.
 */
function create(): Policy {
  const msPerRequest = new Map<string, number>();
  const learn = (id: string, ms: number): void => {
    const known = msPerRequest.get(id) ?? ms;
    msPerRequest.set(id, known + WEIGHT * (ms - known));
  };
  const costOf = ({ id, inFlight }: Candidate): number => (inFlight + 1) * (msPerRequest.get(id) ?? 0);
  return {
    name: "quickest",
    pick(candidates) {
      const costs = candidates.map(costOf);
      const index = costs.indexOf(Math.min(...costs));
      const { id = "", inFlight = 0 } = candidates[index] ?? {};
      return {
        index,
        onFirstToken: (ms) => learn(id, ms / (inFlight + 1)),
        onEnd({ outcome, ms }) {
          // As bad as if its first token had taken ten times as long.
          if (outcome === "failed") learn(id, 10 * ms);
        },
      };
    },
    costs: (candidates) => candidates.map(costOf),
    forget: (id) => void msPerRequest.delete(id),
  };
}

export default { name: "quickest", create };
