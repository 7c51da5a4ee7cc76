import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../faults/observe.ts";
import { startEngine } from "../support/engine.ts";
import { HELLO, post } from "../support/gateway.ts";
import { ELSEWHERE, startProcess } from "../support/process.ts";

interface State {
  readonly sources: readonly { readonly name: string; readonly state: string; readonly reason: string | null }[];
  readonly workers: readonly { readonly url: string; readonly status: string; readonly source: string }[];
}

test("workers follow a mounted file whose link is swapped, and a bad or missing one changes nothing", async () => {
  await using one = await startEngine({ model: "sim-1" });
  await using two = await startEngine({ model: "sim-1" });
  const mount = mkdtempSync(join(ELSEWHERE, "workers-"));
  let version = 0;
  /** As Kubernetes does with a config map: a new folder, and one link that is swapped. */
  const put = (text: string | undefined): void => {
    version += 1;
    const folder = `..version-${version}`;
    mkdirSync(join(mount, folder));
    if (text !== undefined) writeFileSync(join(mount, folder, "workers.yaml"), text);
    symlinkSync(folder, join(mount, "..next"));
    renameSync(join(mount, "..next"), join(mount, "..data"));
    rmSync(join(mount, `..version-${version - 1}`), { recursive: true, force: true });
  };
  put(`- { url: "${one.url}", labels: { rack: a } }\n`);
  symlinkSync("..data/workers.yaml", join(mount, "workers.yaml"));
  const file = join(mount, "workers.yaml");
  await using gateway = await startProcess(["--workers-file", file, "--shutdown-delay-secs", "0"]);
  const state = async (): Promise<State> => (await (await fetch(`${gateway.url}/workers`)).json()) as State;
  const serving = async (): Promise<string> => {
    const { workers } = await state();
    return workers
      .filter(({ status }) => status === "ready")
      .map(({ url }) => url)
      .join(" ");
  };
  const source = async (): Promise<State["sources"][number] | undefined> =>
    (await state()).sources.find(({ name }) => name === "workers_file");
  await eventually(async () => (await serving()) === one.url, "the first worker serves");
  expect((await post(`${gateway.url}/v1/chat/completions`, HELLO)).status).toBe(200);
  put(JSON.stringify([{ url: one.url }, { url: two.url }]));
  await eventually(async () => (await serving()) === `${one.url} ${two.url}`, "both serve");
  put(`- url: ${one.url}\n  cots: 3\n`);
  await eventually(async () => (await source())?.state === "away", "the mistake is told");
  expect((await source())?.reason).toContain("workers.yaml:2:3: unknown key");
  await eventually(() => gateway.output.includes("source of workers is away; its workers stay"), "the log says so");
  put(undefined);
  await eventually(
    async () => (await source())?.reason?.endsWith("there is no such file") === true,
    "the loss is told",
  );
  expect(await serving()).toBe(`${one.url} ${two.url}`);
  expect(await gateway.metric("pointsman_worker_source_up", { source: "workers_file" })).toBe(0);
  put(`- url: ${two.url}\n`);
  await eventually(async () => (await serving()) === two.url, "the second serves alone");
  expect((await state()).workers.map((worker) => worker.source)).toEqual(["workers_file"]);
}, 30_000);
