/**
 * The workers of a load as engines that answer in real time: `bun bench/quality/fleet.ts FIRST_PORT LOAD TRACE SEED SECONDS`.
 * Each worker listens on a port of its own. A request at the port after the last worker's begins the load's faults.
 */
import { BlockIds } from "./block-ids.ts";
import { EngineServer } from "./engine-server.ts";
import { loadOf } from "./load-of.ts";

const [port = "", ...played] = process.argv.slice(2);
const firstPort = Number(port);
const load = loadOf(played);
const ids = new BlockIds();
const servers = load.workers.map((spec) => new EngineServer(spec, ids));
for (const [index, server] of servers.entries()) server.listen(firstPort + index);
Bun.serve({
  hostname: "127.0.0.1",
  port: firstPort + servers.length,
  fetch: () => {
    for (const fault of load.faults) setTimeout(() => servers[fault.worker]?.strike(fault), fault.atMs);
    return new Response(String(load.faults.length));
  },
});
