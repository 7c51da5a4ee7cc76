import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { startEngine } from "../support/engine.ts";
import { type GatewayProcess, startProcess } from "../support/process.ts";

/** A machine that does much else loads the code of some threads in seconds. */
setDefaultTimeout(60_000);

const SESSIONS = 6;

/** Sends a request of the session on a connection of its own, so that the kernel spreads them over the threads. Returns the worker's number. */
async function ask(
  gateway: GatewayProcess,
  engines: readonly Awaited<ReturnType<typeof startEngine>>[],
  session: string | undefined,
  header = "x-session-id",
): Promise<number> {
  const before = engines.map(({ requests }) => requests.length);
  const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      connection: "close",
      // The second header is read after the first.
      ...(session === undefined ? {} : { [header]: session, "x-user-id": `${Math.random()}` }),
    },
    body: JSON.stringify({ model: "m", max_tokens: 2, messages: [{ role: "user", content: `${Math.random()}` }] }),
  });
  expect(answer.status).toBe(200);
  await answer.text();
  return engines.findIndex(({ requests }, index) => requests.length > (before[index] ?? 0));
}

for (const threads of ["1", "2"]) {
  for (const [name, header, args] of [
    ["with sticky sessions before round robin", "x-session-id", ["--policy", "round_robin", "--sticky-sessions"]],
    [
      "with the policy manual, by a header of one's own",
      "x-team",
      ["--policy", "manual", "--assignment-mode", "min_group", "--session-key", "X-Team"],
    ],
  ] as const) {
    describe(`${name}, ${threads} threads`, () => {
      test("a session stays on its worker until a client finishes it, and what became of it is counted", async () => {
        const engines = [];
        for (let count = 0; count < 3; count += 1) engines.push(await startEngine({ model: "m", instant: true }));
        try {
          const urls = engines.map(({ url }) => url);
          const wait = ["--worker-startup-check-interval", "0.05"];
          await using gateway = await startProcess([...args, ...wait, "--threads", threads, "--worker-urls", ...urls]);
          for (;;) {
            if ((await fetch(`${gateway.url}/readiness`)).ok) break;
            await Bun.sleep(10);
          }
          while ((await gateway.metric("pointsman_worker_up")) < 3) await Bun.sleep(10);
          const homes = new Map<string, number>();
          for (let turn = 0; turn < 5; turn += 1) {
            for (let session = 0; session < SESSIONS; session += 1) {
              const at = await ask(gateway, engines, `s${session}`, header);
              const home = homes.get(`s${session}`) ?? at;
              expect({ session, at }).toEqual({ session, at: home });
              homes.set(`s${session}`, home);
            }
          }
          // Six sessions on three workers, two each.
          expect([0, 1, 2].map((one) => [...homes.values()].filter((home) => home === one).length)).toEqual([2, 2, 2]);
          expect(await gateway.metric("pointsman_sessions", { model: "m" })).toBe(SESSIONS);
          const outcome = (name: string): Promise<number> =>
            gateway.metric("pointsman_session_requests_total", { model: "m", outcome: name });
          expect([await outcome("new"), await outcome("kept"), await outcome("lost")]).toEqual([6, 24, 0]);

          const finished = async (method: string, path: string): Promise<unknown> =>
            (await fetch(gateway.url + path, { method })).json();
          expect(await finished("DELETE", "/sessions/s0")).toEqual({ finished: true });
          expect(await finished("DELETE", "/sessions/s0")).toEqual({ finished: false });
          expect(await finished("POST", "/finish_session?session_id=s1")).toEqual({ finished: true });
          expect((await fetch(`${gateway.url}/finish_session`, { method: "POST" })).status).toBe(400);
          expect([await outcome("finished"), await gateway.metric("pointsman_sessions", { model: "m" })]).toEqual([
            2, 4,
          ]);
        } finally {
          for (const engine of engines) await engine.stop();
        }
      });
    });
  }
}

test("a policy that runs without its signal says so in the log, the metrics and its description", async () => {
  await using engine = await startEngine({ model: "m", instant: true });
  await using gateway = await startProcess([
    "--policy",
    "consistent_hashing",
    "--worker-startup-check-interval",
    "0.05",
    "--worker-urls",
    engine.url,
  ]);
  while ((await gateway.metric("pointsman_worker_up")) < 1) await Bun.sleep(10);
  for (let count = 0; count < 40; count += 1) await ask(gateway, [engine], undefined);
  expect(await gateway.metric("pointsman_policy_signal_missing", { signal: "routing_key" })).toBe(1);
  expect(await gateway.metric("pointsman_policy_requests_without_signal_total", { signal: "routing_key" })).toBe(40);
  const { models } = (await (await fetch(`${gateway.url}/policies`)).json()) as { models: { signals: object[] }[] };
  expect(models[0]?.signals).toMatchObject([
    { signal: "routing_key", missing: true, requests: 40, without: 40, instead: "takes the least loaded worker" },
  ]);
  const lines = (): Record<string, unknown>[] => gateway.lines().filter(({ signal }) => signal === "routing_key");
  while (lines().length === 0) await Bun.sleep(5);
  const told = lines();
  expect(told).toHaveLength(1);
  expect(told[0]).toMatchObject({ level: 40, model: "m", policy: "consistent_hashing", without_share: 1 });
});
