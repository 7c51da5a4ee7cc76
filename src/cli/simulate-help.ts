import { LOADS } from "../simulate/loads/loads.ts";
import { NAMED_POLICIES } from "../simulate/named-policies.ts";

/** The end of `pointsman simulate --help`: the loads, the policies, and command lines to begin with. */
export function simulateHelp(): string {
  return `
Loads:
${table(LOADS.map(({ name, describes }) => [name, describes]))}

Our own policies; options follow a colon, as NAME:OPTION=VALUE:
${policies("own")}

Formulas of other gateways, made anew from what they have published (docs/routing.md has the sources):
${policies("peer")}

Ways to choose pairs with --pd, by the true state of each engine:
${policies("pair")}

Beside them:
${policies("oracle")}

Examples:
  pointsman simulate
      our policies and three of others on three loads
  pointsman simulate --load agent --policies all --seeds 5 --plot agent.html
      every policy, with charts
  pointsman simulate --load rag --rate 0.6,0.8,1,1.2,1.4 --policies own --plot rag.html
      how much traffic keeps the SLO
  pointsman serve --record traffic.jsonl ...
  pointsman simulate --trace traffic.jsonl --workers 12 --slo 1500,50 --plot mine.html
      your own traffic on another fleet; the file has no text
  pointsman simulate --load chat --fault slow:0@40=3,die:1@80
      a worker that is three times slower from second 40 on, and one that dies
  pointsman simulate --load heavytail,toolagents --pd 4 --policies pairs
      four workers that prefill and four that decode
  pointsman simulate --gateways 4 --news-ms 100
      four gateways that hear of each other's requests 100 ms late
`;
}

function policies(kind: (typeof NAMED_POLICIES)[number]["kind"]): string {
  return table(NAMED_POLICIES.filter((one) => one.kind === kind).map(({ name, chooses }) => [name, chooses]));
}

function table(rows: readonly (readonly [name: string, text: string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`).join("\n");
}
