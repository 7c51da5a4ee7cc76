import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { settled } from "../../test/support/settled.ts";
import { configSchema } from "../config/schema.ts";
import type { WorkerSource } from "../worker/sources/worker-source.ts";
import { FollowedNames } from "./dns-discovery.ts";

test("names come, go and come back with the configuration, and their workers have the key that it gives them", async () => {
  const reported = new Map<string, unknown>();
  const { signal } = new AbortController();
  const sources = {
    follow(source: WorkerSource) {
      void source.watch((said) => {
        const workers = said.state === "ready" ? said.workers : [];
        reported.set(
          source.name,
          workers.map(({ url, workerType, apiKey }) => [url, workerType, apiKey?.reveal()]),
        );
      }, signal);
      return [];
    },
  };
  const resolver = { addresses: () => Promise.resolve(["10.0.0.1"]), services: () => Promise.resolve([]) };
  const names = new FollowedNames(sources, new ManualClock(), resolver);
  const want = async (options: object): Promise<unknown> => {
    names.want(configSchema.parse(options));
    await settled();
    return Object.fromEntries(reported);
  };
  const engines = "dns:http://engines:8000";
  const prefill = "dns:prefill:grpc://p:9000";
  expect(await want({ workerDns: ["engines:8000"] })).toEqual({
    [engines]: [["http://10.0.0.1:8000", "regular", undefined]],
  });
  expect(await want({ prefillDns: ["grpc://p:9000"] })).toEqual({
    [engines]: [],
    [prefill]: [["grpc://10.0.0.1:9000", "prefill", undefined]],
  });
  expect(await want({ workerDns: ["http://engines:8000"], workerApiKey: "k" })).toEqual({
    [engines]: [["http://10.0.0.1:8000", "regular", "k"]],
    [prefill]: [],
  });
});
