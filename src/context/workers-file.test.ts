import { expect, test } from "bun:test";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { settled } from "../../test/support/settled.ts";
import { configSchema } from "../config/schema.ts";
import type { WorkerSource } from "../worker/sources/worker-source.ts";
import { FollowedFile } from "./workers-file.ts";

test("a file is followed from the time that the configuration names it, by one source, and read anew with another name or key", async () => {
  const followed: string[] = [];
  const said: string[] = [];
  const file = new FollowedFile({
    clock: new ManualClock(),
    stateOf: () => "missing",
    workerSources: {
      follow(source: WorkerSource) {
        followed.push(source.name);
        void source.watch(
          (report) => said.push(report.state === "away" ? report.reason : `${report.workers.length} workers`),
          new AbortController().signal,
        );
        return [];
      },
    },
  });
  const want = async (options: object): Promise<void> => {
    file.want(configSchema.parse(options));
    await settled();
  };
  await want({});
  expect(followed).toEqual([]);
  await want({ workersFile: "no-such/one.yaml" });
  await want({ workersFile: "no-such/one.yaml", queueSize: 3 });
  await want({ workersFile: "no-such/one.yaml", workerApiKey: "k" });
  await want({ workersFile: "no-such/two.yaml", workerApiKey: "k" });
  await want({});
  expect(followed).toEqual(["workers_file"]);
  const missing = (name: string): string => `no-such/${name}.yaml: there is no such file`;
  expect(said).toEqual([missing("one"), missing("one"), missing("two"), "0 workers"]);
});
