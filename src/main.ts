import { check } from "./cli/check.ts";
import { demo } from "./cli/demo.ts";
import { engine } from "./cli/engine.ts";
import { runProgram } from "./cli/program.ts";
import { serve } from "./cli/serve.ts";
import { VERSION } from "./util/version.ts";

await runProgram(process.argv.slice(2), VERSION, {
  serve,
  check,
  // What asks a running gateway loads nothing of one.
  config: async (given) => (await import("./cli/ask-gateway.ts")).askGateway(given),
  keys: async (given) => (await import("./cli/keys.ts")).keys(given),
  workers: async (given) => (await import("./cli/workers.ts")).workers(given),
  top: async (given) => (await import("./cli/top.ts")).top(given),
  demo,
  engine,
  // Nothing of the simulation is loaded where a gateway serves.
  simulate: async (argv) => (await import("./cli/simulate.ts")).simulate(argv),
});
