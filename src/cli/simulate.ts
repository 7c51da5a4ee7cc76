import { ConfigError } from "../config/config-error.ts";
import { POLICIES } from "../policy/policies.ts";
import { runLoad } from "../simulate/driver.ts";
import type { SimPolicy } from "../simulate/driver-gateway.ts";
import { summarize } from "../simulate/driver-summary.ts";
import { LOADS } from "../simulate/loads/loads.ts";
import { ORACLE } from "../simulate/oracle.ts";

/** The command line of `pointsman simulate`. */
export interface SimulateArguments {
  readonly load: string;
  readonly policies: readonly string[];
  readonly seed: number;
  readonly durationSecs: number;
}

/** `pointsman simulate`: runs policies on a load in virtual time and prints a line for each. Throws ConfigError for an unknown name. */
export async function simulate({ load, policies, seed, durationSecs }: SimulateArguments): Promise<void> {
  const row = LOADS.find(({ name }) => name === load);
  if (!row)
    throw new ConfigError("--load", `there is no load ${load}; there are ${LOADS.map(({ name }) => name).join(", ")}`);
  const made = row.create({ seed, durationSecs });
  for (const policy of policies.map(policyNamed)) {
    const { ttft, tpot, goodput, hitRate, requests } = summarize(runLoad({ load: made, policy, seed }));
    const times = `ttft mean ${ttft.mean.toFixed(1)} p99 ${ttft.p99.toFixed(0)} ms, tpot p90 ${tpot.p90.toFixed(1)} ms`;
    process.stdout.write(
      `${policy.name}: ${requests} requests, ${times}, goodput ${goodput.toFixed(3)}, hit rate ${hitRate.toFixed(3)}\n`,
    );
  }
}

function policyNamed(name: string): SimPolicy {
  if (name === ORACLE.name) return ORACLE;
  const row = POLICIES.find((one) => one.name === name);
  if (!row) throw new ConfigError("--policy", `there is no policy ${name}`);
  return { name, create: (parts) => row.create({}, parts) };
}
