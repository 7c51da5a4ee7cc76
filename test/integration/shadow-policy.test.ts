import { expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEngine } from "../support/engine.ts";
import { HELLO, post, startGateway, type TestGateway } from "../support/gateway.ts";
import { metricOf } from "../support/pd-gateway.ts";
import { startProcess } from "../support/process.ts";

const CHAT = "/v1/chat/completions";
const ALL = 8;

async function chat({ url }: Pick<TestGateway, "url">, count: number, stream = false): Promise<void> {
  for (let sent = 0; sent < count; sent += 1) {
    const response = await post(`${url}${CHAT}`, { ...HELLO, stream }, { connection: "close" });
    expect(response.status).toBe(200);
    await response.text();
  }
}

/** Adds workers, which are ready then on all threads. */
async function addWorkers(
  { url }: Pick<TestGateway, "url">,
  workers: readonly { readonly url: string }[],
): Promise<void> {
  for (const worker of workers) {
    const response = await post(`${url}/workers?wait=true`, { url: worker.url }, { connection: "close" });
    expect(response.status).toBe(201);
  }
}

function asked(engine: { readonly requests: readonly { readonly path: string }[] }): number {
  return engine.requests.filter(({ path }) => path === CHAT).length;
}

test("a shadow is compared with the real policy, and no request goes where it says", async () => {
  await using first = await startEngine();
  await using second = await startEngine();
  await using gateway = await startGateway({
    workers: [first.url, second.url],
    config: { defaultPolicy: "passthrough", shadowPolicy: "round_robin" },
  });
  await chat(gateway, ALL / 2);
  await chat(gateway, ALL / 2, true);
  expect([asked(first), asked(second)]).toEqual([ALL, 0]);
  const labels = { model: "sim-1", policy: "round_robin" };
  const choices = (choice: string): Promise<number> =>
    metricOf(gateway, "pointsman_shadow_choices_total", { ...labels, choice });
  expect([await choices("same"), await choices("other"), await choices("failed")]).toEqual([ALL / 2, ALL / 2, 0]);
  expect(await metricOf(gateway, "pointsman_shadow_priced_choices_total", labels)).toBe(ALL);
  for (const choice of ["real", "shadow"]) {
    expect(await metricOf(gateway, "pointsman_shadow_cost_seconds_total", { ...labels, choice })).toBeGreaterThan(0);
  }
  const { models } = (await (await fetch(`${gateway.url}/policies`)).json()) as { readonly models: readonly object[] };
  expect(models).toContainEqual({
    model: "sim-1",
    policy: "passthrough",
    source: "default",
    shadow: "round_robin",
    workers: 2,
  });
});

test("without a shadow there is nothing of it", async () => {
  await using engine = await startEngine();
  await using gateway = await startGateway({ workers: [engine.url] });
  await chat(gateway, 1);
  const page = gateway.context.metrics.expose().split("\n");
  expect(page.filter((line) => line.startsWith("pointsman_shadow"))).toEqual([]);
});

test("a shadow of the operator's that fails is told of, and clients notice nothing", async () => {
  const path = join(tmpdir(), `shadow-${process.pid}.ts`);
  writeFileSync(
    path,
    'export default { name: "mine", create: () => ({ pick() { throw new Error("shadow boom"); } }) };\n',
  );
  try {
    await using first = await startEngine();
    await using second = await startEngine();
    await using gateway = await startProcess([
      ...["--policy-module", path, "--policy", "round_robin", "--shadow-policy", "mine"],
    ]);
    await addWorkers(gateway, [first, second]);
    await chat(gateway, 4);
    expect(asked(first) + asked(second)).toBe(4);
    const page = await (await fetch(`${gateway.url}/metrics`)).text();
    expect(page).toMatch(/pointsman_shadow_choices_total\{.*policy="mine",choice="failed"\} 4/);
  } finally {
    rmSync(path);
  }
});

test("with several threads the shadow follows what all of them send, and the counts are put together", async () => {
  await using first = await startEngine();
  await using second = await startEngine();
  await using gateway = await startProcess([
    ...["--threads", "2", "--policy", "passthrough", "--shadow-policy", "round_robin"],
  ]);
  await addWorkers(gateway, [first, second]);
  await chat(gateway, ALL);
  expect([asked(first), asked(second)]).toEqual([ALL, 0]);
  const page = await (await fetch(`${gateway.url}/metrics`)).text();
  const count = (choice: string): number =>
    Number(new RegExp(`pointsman_shadow_choices_total\\{.*choice="${choice}"\\} (\\d+)`).exec(page)?.[1]);
  // The turn is in memory that the threads share.
  expect([count("same"), count("other")]).toEqual([ALL / 2, ALL / 2]);
}, 60_000);
