/**
 * Chaos for as long as you like: prints how each kind of client ended and what went wrong, and ends with 1 where
 * something did.
 *
 *   bun run test/chaos/run.ts [--minutes 1] [--seed N] [--threads 2] [--clients 16]
 */
import { parseArgs } from "node:util";
import { runChaos } from "./chaos.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    threads: { type: "string", default: "2" },
    clients: { type: "string", default: "16" },
  },
});
const seed = Number(values.seed);
console.log(`seed ${seed}, ${values.threads} threads, ${values.clients} clients, ${values.minutes} minutes`);
const { endings, wrong, changes, rssMb } = await runChaos({
  seed,
  threads: Number(values.threads),
  durationMs: Number(values.minutes) * 60_000,
  clients: Number(values.clients),
});
for (const [ending, count] of endings) console.log(`${String(count).padStart(8)}  ${ending}`);
const total = [...endings.values()].reduce((sum, count) => sum + count, 0);
console.log(
  `${total} requests, ${changes} changes, resident ${rssMb.before.toFixed(0)} -> ${rssMb.after.toFixed(0)} MB`,
);
for (const what of wrong.slice(0, 50)) console.log(`WRONG: ${what}`);
console.log(wrong.length === 0 ? "nothing went wrong" : `${wrong.length} things went wrong`);
process.exit(wrong.length === 0 ? 0 : 1);
