import { runProgram } from "./cli/program.ts";
import { VERSION } from "./util/version.ts";

// Each command loads what it needs: nothing of a simulation where a gateway serves, nothing of a gateway where one is asked.
await runProgram(process.argv.slice(2), VERSION, {
  serve: async (given) => (await import("./cli/serve.ts")).serve(given),
  check: async (given) => (await import("./cli/check.ts")).check(given),
  config: async (given) => (await import("./cli/ask-gateway.ts")).askGateway(given),
  keys: async (given) => (await import("./cli/keys.ts")).keys(given),
  workers: async (given) => (await import("./cli/workers.ts")).workers(given),
  top: async (given) => (await import("./cli/top.ts")).top(given),
  demo: async (given) => (await import("./cli/demo.ts")).demo(given),
  engine: async (given) => (await import("./cli/engine.ts")).engine(given),
  simulate: async (argv) => (await import("./cli/simulate.ts")).simulate(argv),
});
