import { Command, Option } from "commander";
import { ConfigError } from "../config/config-error.ts";
import { splitList } from "../config/options.ts";
import { USUAL_SITUATION } from "../simulate/job.ts";
import type { Terminal } from "./command-output.ts";
import { simulateHelp } from "./simulate-help.ts";

/** The words as the parser of the command line gives them. */
export interface Given {
  readonly load?: readonly string[];
  readonly trace?: readonly string[];
  readonly policies?: readonly string[];
  readonly policyModule?: string;
  readonly baseline?: string;
  readonly oracle: boolean;
  readonly model?: string;
  readonly closedLoop?: boolean;
  readonly seeds: string;
  readonly seed: string;
  readonly duration?: string;
  readonly rate?: readonly string[];
  readonly workers?: string;
  readonly kvTokens?: string;
  readonly slowness: string;
  readonly pd?: string;
  readonly handOverUs?: string;
  readonly gateways: string;
  readonly newsMs?: string;
  readonly stream: boolean;
  readonly usage: boolean;
  readonly kvReport: string;
  readonly fault?: readonly string[];
  readonly slo?: string;
  readonly threads?: string;
  readonly json?: string;
  readonly plot?: string;
}

export const USUAL_LOADS = ["chat", "agent", "rag"];
export const USUAL_POLICIES = ["own", "smg", "gie", "llmd"];
export const USUAL_DURATION_SECS = 120;
export const USUAL_HAND_OVER_US = USUAL_SITUATION.handOverUs;

/** The options of `pointsman simulate`, and its help. */
export function createSimulateCommand({ out, err, columns }: Terminal): Command {
  const lists = (flags: string, description: string): Option => {
    const list = (value: string, before: readonly string[] = []): readonly string[] => [
      ...before,
      ...itemsOf(flags, value),
    ];
    return new Option(flags, description).argParser(list);
  };
  return new Command("pointsman simulate")
    .description("Judges policies in virtual time: no worker, no network, the product's own policies.")
    .exitOverride()
    .allowExcessArguments(false)
    .configureOutput({
      writeOut: out,
      writeErr: err,
      getOutHelpWidth: () => columns ?? 120,
      outputError: (text, write) => write(text.replace(/^error: /, "pointsman: ")),
    })
    .addOption(
      lists("--load <names>", `made-up loads, or all (default: ${USUAL_LOADS.join(",")})`).helpGroup("Traffic:"),
    )
    .addOption(
      lists(
        "--trace <files>",
        "recordings of serve --record, or files in Mooncake's format, also as .gz; - is standard input",
      ).helpGroup("Traffic:"),
    )
    .addOption(
      new Option("--model <name>", "only a trace's requests for this model (default: all, as for one model)").helpGroup(
        "Traffic:",
      ),
    )
    .addOption(
      new Option(
        "--closed-loop",
        "requests of a recorded session wait for the answer before and the pause after it (default: each comes at its time)",
      ).helpGroup("Traffic:"),
    )
    .addOption(
      new Option(
        "--duration <secs>",
        `time in which requests arrive (default: ${USUAL_DURATION_SECS}; traces: all)`,
      ).helpGroup("Traffic:"),
    )
    .addOption(
      lists(
        "--rate <factors>",
        "requests as multiples of the load's own rate; several draw goodput by rate (default: 1)",
      ).helpGroup("Traffic:"),
    )
    .addOption(
      new Option("--seeds <n>", "runs with seeds of their own; several give confidence")
        .default("3")
        .helpGroup("Traffic:"),
    )
    .addOption(new Option("--seed <n>", "the first seed").default("1").helpGroup("Traffic:"))
    .addOption(
      new Option("--no-stream", "clients ask for whole answers: gateways see no first token").helpGroup("Traffic:"),
    )
    .addOption(
      lists(
        "--policies <names>",
        `policies, or the groups own, peers, all (default: ${USUAL_POLICIES.join(",")})`,
      ).helpGroup("Policies:"),
    )
    .addOption(
      new Option("--policy-module <file>", "a policy of your own, as for serve; it runs beside the others").helpGroup(
        "Policies:",
      ),
    )
    .addOption(
      new Option(
        "--baseline <name>",
        "the policy that the others are compared with (default: oracle; without it the first policy)",
      ).helpGroup("Policies:"),
    )
    .addOption(new Option("--no-oracle", "leave the oracle out; it takes most of the time").helpGroup("Policies:"))
    .addOption(
      new Option("--workers <n>", "size of the fleet; made-up loads grow with it (default: 8)").helpGroup("Fleet:"),
    )
    .addOption(
      new Option("--kv-tokens <n>", "tokens of each worker's KV cache (default: as in the load)").helpGroup("Fleet:"),
    )
    .addOption(
      new Option("--slowness <factor>", "steps of engines take this many times as long")
        .default("1")
        .helpGroup("Fleet:"),
    )
    .addOption(
      lists("--fault <faults>", "what goes wrong: slow:0@60=3, freeze:1@30=6, die:2@40, restart:3@50").helpGroup(
        "Fleet:",
      ),
    )
    .addOption(
      new Option("--kv-report <factor>", "what engines say of their KV cache, as a multiple of the truth, or none")
        .default("1")
        .helpGroup("Fleet:"),
    )
    .addOption(new Option("--no-usage", "engines report neither prompt_tokens nor cached_tokens").helpGroup("Fleet:"))
    .addOption(
      new Option("--pd <prefill>", "so many of the workers only prefill, and the others decode").helpGroup("Fleet:"),
    )
    .addOption(
      new Option(
        "--hand-over-us <us>",
        `time to hand the KV cache of a token over from prefill to decode (default: ${USUAL_HAND_OVER_US})`,
      ).helpGroup("Fleet:"),
    )
    .addOption(new Option("--gateways <n>", "gateways that share the traffic").default("1").helpGroup("Fleet:"))
    .addOption(
      new Option("--news-ms <ms>", "gateways hear of each other's requests this late (default: never)").helpGroup(
        "Fleet:",
      ),
    )
    .addOption(
      new Option("--slo <ttft,tpot>", "bounds of a good answer, ms (default: as in the load)").helpGroup("Report:"),
    )
    .addOption(
      new Option("--json <file>", "write all figures; - for standard output, without tables").helpGroup("Report:"),
    )
    .addOption(
      new Option("--plot <file.html>", "write one page with charts, which needs nothing else").helpGroup("Report:"),
    )
    .addOption(new Option("--threads <n>", "runs at the same time (default: one for each core)").helpGroup("Report:"))
    .addHelpText("after", simulateHelp);
}

/** Throws ConfigError where a list has nothing in it, as an empty shell variable has. */
function itemsOf(flags: string, value: string): readonly string[] {
  const items = splitList(value);
  if (items.length === 0) throw new ConfigError(flags.split(" ", 1)[0] ?? flags, "has no value");
  return items;
}
